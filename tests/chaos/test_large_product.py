"""A product with 100,000 open lines, and what one flush may hold (SPEC 9; docs/PROMISES.md, "Limits")."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from streams.codecs.event_lines import InputRecord
from streams.codecs.meta import META_KEY
from streams.engine.cut import BATCH_BYTES_MAX
from streams.testing.market import START_MS
from tests.chaos.harness import Chaos, chaos, story

pytestmark = pytest.mark.chaos

LINES = 100_000
#: Long ids, so that all the rows together are more than any record batch may be (15 MB).
ORDER = "order-" + "x" * 180


def records() -> Iterator[InputRecord]:
    for number in range(LINES):
        at = START_MS + number
        yield order(number, at, "order.placed", {
            "seller_id": "S1", "region": "US", "quantity": 1, "item_price": 1, "currency": "USD",
            "ship_by": START_MS + 86_400_000,
        })  # fmt: skip
    for number in range(0, LINES, 10):
        yield order(number, START_MS + LINES + number, "order.shipped", {})


def order(number: int, at: int, kind: str, told: dict[str, object]) -> InputRecord:
    event = {"type": kind, "event_id": f"{kind}-{number}", "occurred_at": at, "product_id": "large"}
    event |= {"order_id": f"{ORDER}{number}"} | told
    return InputRecord(0, at, b"large", json.dumps(event).encode())


def test_a_product_with_100_000_open_lines(broker: EmbeddedBroker, tmp_path: Path, table: list[str]) -> None:
    """Half of the lines come at once, so that a cut is larger than one record batch."""
    told = story(list(records()), START_MS + 2 * 86_400_000, 4)
    settings = {"FLAGGED_FLUSH_INTERVAL": "10s", "FLAGGED_FLUSH_BYTES": "10MB", "FLAGGED_BATCH_MAX_RECORDS": "5000"}
    settings["FLAGGED_SESSION_TIMEOUT"] = "20s"  # it sleeps while half of the lines are sent
    with chaos(broker, tmp_path, told, table, "kill -9, a product with 100,000 open lines", **settings) as running:
        (worker,) = running.start()
        with running.asleep():
            running.feed(2)
        running.wait_applied()
        worker.kill()
        running.survive(lambda: running.start())
        running.finish()
        assert max(_cut_sizes(running)) > BATCH_BYTES_MAX


def _cut_sizes(running: Chaos) -> Iterator[int]:
    """How many bytes the rows of each cut have."""
    size = 0
    for row in running.read(running.settings.changelog_topic):
        size += len(row.key or b"") + len(row.value or b"")
        if row.key == META_KEY:
            yield size
            size = 0
