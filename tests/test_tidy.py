"""House rules that no linter knows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for package in ("streams", "benchmarks") for path in (ROOT / package).rglob("*.py"))
# About 300, as a module that grows lacks a concept; a little over is no reason to tear one apart.
LINES_MAX = 330


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_no_longer_than_one_can_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_MAX


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_to_be_done(path: Path) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", path.read_text())


def test_every_decision_is_listed_and_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"
    decisions = {path.name for path in (ROOT / "docs" / "adr").glob("0*.md")}
    listed = set(re.findall(r"\((0[^)]+)\)", (ROOT / "docs" / "adr" / "README.md").read_text()))
    assert decisions == listed


def test_the_tests_that_prove_a_promise_exist() -> None:
    page = (ROOT / "docs" / "PROMISES.md").read_text()
    named = set(re.findall(r"`(tests/[\w/.]+)", page))
    assert named
    for name in named:
        assert (ROOT / name).exists(), name


def test_nothing_generated_is_committed() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert not re.search(r"(^|/)(__pycache__|\.venv|\.hypothesis)/", tracked)
