"""A real Chromium, without a window."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# What a browser does for itself is no part of these tests: it would look for its maker's servers, in vain.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Kept by CI beside its log, and by whoever wants to look.
ARTIFACTS = Path(__file__).parents[2] / ".data" / "screenshots"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a module; each takes pages of its own.

    Playwright runs an event loop in this thread for as long: no test of another module is to meet that.
    """
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium here; Debian's package is called chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        yield opened
        opened.close()


def keep_screenshot(page: Page, name: str) -> None:
    """A picture of the whole page."""
    directory = Path(os.environ.get("SCREENSHOTS") or ARTIFACTS)
    directory.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=directory / f"{name}.png", full_page=True)
