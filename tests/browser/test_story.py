"""The seller's story in a real browser: Kafka, a worker, `serve`, and the page, which is never loaded anew."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from streams.broker import EmbeddedBroker
from streams.engine.sender import send
from streams.testing.records import SimulatedRecord
from tests.browser import story
from tests.browser.conftest import keep_screenshot
from tests.integration.pipeline import Pipeline, pipeline
from tests.integration.serving import make_topics, start_serve, wait_until_ready
from tests.integration.waiting import LONG_S
from tests.unit.web.serving import token

pytestmark = pytest.mark.integration

METRIC = "unshipped_overdue_rate"
REVIEW = "https://seller.example/review?product={product_id}&region={region}"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SERIOUS = {"serious", "critical"}

expect.set_options(timeout=LONG_S * 1000)


@dataclass
class Stage:
    """What one step of the story leads to: the list's tab, the levels, the bands of the graph so far."""

    name: str
    events: Callable[[], list[SimulatedRecord]]
    status: str
    level: str
    bands: str
    overdue: int


STAGES = (
    Stage("1-at-risk", story.at_risk, "at_risk", "at_risk", "clear,at_risk", 3),
    Stage("2-impacted", story.impacted, "impacted", "impacted", "clear,at_risk,impacted", 13),
    Stage("3-at-risk-again", story.at_risk_again, "at_risk", "at_risk", "clear,at_risk,impacted,at_risk", 0),
    Stage("4-resolved", story.resolved, "resolved", "none", "clear,at_risk,impacted,at_risk,resolved", 0),
)


@dataclass
class Theatre:
    """Two pages of one seller, open through the whole story."""

    running: Pipeline
    address: str
    list: Page
    details: Page
    errors: list[str]

    def play(self, records: list[SimulatedRecord]) -> None:
        """Send events, and move the clock to the last of them."""
        until_ms = records[-1].timestamp_ms
        apart(lambda: asyncio.run(send(self.running.settings, records, lambda _: None, until_ms=until_ms)))


def apart(work: Callable[[], object]) -> None:
    """In a thread without an event loop: Playwright has one in this."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


@pytest.fixture
def theatre(broker: EmbeddedBroker, browser: Browser, tmp_path: Path) -> Iterator[Theatre]:
    policy_file = tmp_path / "policy.toml"
    policy_file.write_text(story.policy(REVIEW))
    with pipeline(broker, tmp_path, FLAGGED_POLICY_FILE=str(policy_file)) as running:
        apart(lambda: make_topics(running))
        running.start_worker()
        address = wait_until_ready(start_serve(running))
        context = browser.new_context(viewport=DESKTOP, locale="en-GB")
        errors: list[str] = []
        _watch(context, errors)
        listed, details = context.new_page(), context.new_page()
        listed.goto(f"{address}#token={token(story.SELLER)}")
        details.goto(f"{address}#token={token(story.SELLER)}")
        yield Theatre(running, address, listed, details, errors)
        context.close()


def _watch(context: BrowserContext, errors: list[str]) -> None:
    """Whatever the page complains of, and whatever it asks of others."""
    context.on("weberror", lambda error: errors.append(str(error.error)))
    context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    context.on(
        "request",
        lambda request: (
            errors.append(request.url) if not re.match(r"(https?://127\.|data:|blob:)", request.url) else None
        ),
    )


def _check_list(page: Page, stage: Stage) -> None:
    for status in ("impacted", "at_risk", "resolved"):
        count = page.locator(f"[data-tab={status}] [data-count]")
        expect(count).to_have_text("1" if status == stage.status else "0")
    page.locator(f"[data-tab={stage.status}]").click()
    row = page.locator("[data-product]")
    expect(row).to_have_count(1)
    assert row.get_attribute("data-product") == story.PRODUCT
    words = {"at_risk": "At risk", "impacted": "Impacted", "resolved": "Resolved"}
    expect(row.locator("[data-cell=status]")).to_contain_text(words[stage.status])
    if stage.level != "none":
        expect(row.locator("[data-cell=reason]")).to_contain_text(f"{stage.overdue} of")


def _check_details(page: Page, stage: Stage) -> None:
    expect(page.locator("[data-status]").first).to_have_attribute("data-status", stage.status)
    expect(page.locator("[data-metric]")).to_have_count(1)  # of the others none is judged by
    card = page.locator(f"[data-metric={METRIC}]")
    expect(card).to_have_attribute("data-level", stage.level)
    expect(card.locator("[data-bar]")).to_be_visible()
    review = card.locator("a[data-review]")
    if stage.level == "none":
        expect(review).to_have_count(0)
    else:
        link = f"https://seller.example/review?product={quote(story.PRODUCT, safe='')}&region=DE"
        expect(review).to_have_attribute("href", link)
        expect(card.locator("[data-recovery]")).to_be_visible()
        expect(card.locator("[data-evidence] tbody tr")).to_have_count(stage.overdue)
    graph = page.locator("[data-graph]")
    expect(graph).to_have_attribute("data-ready", "true")
    expect(graph).to_have_attribute("data-bands", stage.bands)
    expect(page.locator("[data-history] li[data-sequence]").first).to_be_visible()


def _check_accessible(page: Page, what: str) -> None:
    found = Axe().run(page).response["violations"]
    serious = [(item["id"], item["nodes"][0]["html"]) for item in found if item["impact"] in SERIOUS]
    assert not serious, f"{what}: {serious}"


def test_a_product_goes_at_risk_impacted_at_risk_and_is_resolved(theatre: Theatre) -> None:
    listed, details = theatre.list, theatre.details
    expect(listed.locator("[data-state=empty]")).to_be_visible()
    assert "token" not in listed.url
    for number, stage in enumerate(STAGES):
        theatre.play(stage.events())
        _check_list(listed, stage)
        if number == 0:
            # As a seller comes there: from the list, by the product's link.
            details.locator("[data-tab=at_risk]").click()
            details.locator("[data-product] a").first.click()
            expect(details.locator("[data-view=details]")).to_be_visible()
        _check_details(details, stage)
        _keep(theatre, stage)
    _check_impressions(details)
    assert theatre.errors == []


def _keep(theatre: Theatre, stage: Stage) -> None:
    for page, name in ((theatre.list, "list"), (theatre.details, "details")):
        for width, size in (("desktop", DESKTOP), ("phone", PHONE)):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                _check_accessible(page, f"{stage.name} {name} {width} {scheme}")
                if stage.name.startswith("2") or scheme == "light":
                    keep_screenshot(page, f"{stage.name}-{name}-{width}-{scheme}")
            too_wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            assert not too_wide, f"{name} scrolls sideways at {size}"
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        page.emulate_media(color_scheme="light")


def _check_impressions(page: Page) -> None:
    """The table beside the graph has each day's number: few while impacted, and back afterwards."""
    texts = page.locator("[data-impressions] tbody tr").all_text_contents()
    numbers = [int(re.sub(r"\D", "", text.replace(",", "").split("2026")[-1])) for text in texts]
    expected = [story.seen_on(day) for day in range(1, 12)]
    assert sorted(numbers) == sorted(expected), texts


def test_without_a_token_there_is_nothing_but_a_word(theatre: Theatre, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(theatre.address)
    expect(page.locator("[data-state=signed-out]")).to_be_visible()
    assert page.locator("[data-product]").count() == 0
    _check_accessible(page, "signed out")
    page.close()


def test_the_keyboard_is_enough(theatre: Theatre) -> None:
    theatre.play(story.at_risk())
    page = theatre.list
    page.locator("[data-tab=impacted]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-tab=at_risk]")).to_be_focused()
    expect(page.locator("[data-product]")).to_have_count(1)
    page.locator("[data-product] a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-view=details]")).to_be_visible()
    expect(page.locator("h1")).to_be_focused()
