"""Nothing but bad records, as fast as they can be read: none is lost, memory stays flat, and readiness says so."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from streams.codecs.event_lines import InputRecord
from tests.chaos.harness import Story, chaos
from tests.integration.pipeline import Worker, wait_for

pytestmark = pytest.mark.chaos

RECORDS = 120_000
AT_MS = 1_770_000_000_000
#: More may be held at any time than a quarter of the storm would take: 30 MB of values with what is made of them.
SLACK_KIB = 160_000


def storm(count: int) -> list[InputRecord]:
    """Bad in turns: no JSON, no key, no object, a field that is missing, a type that is wrong, much too deep."""
    kinds = [
        (b"P1", b"{" * 200),
        (None, b"{}"),
        (b"P1", b"[1, 2]"),
        (b"P1", json.dumps({"type": "order.placed", "event_id": "e", "padding": "x" * 500}).encode()),
        (b"P1", json.dumps({"type": "order.shipped", "event_id": 7, "occurred_at": "soon"}).encode()),
        (b"P1", b"[" * 900),
    ]
    return [InputRecord(n % 3, AT_MS + n, *kinds[n % len(kinds)]) for n in range(count)]


def test_a_storm_of_bad_records(broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]) -> None:
    name = f"{RECORDS} bad records in a row"
    with chaos(broker, tmp_path, told, table, name, FLAGGED_BATCH_MAX_RECORDS="500") as running:
        (worker,) = running.start()
        running.feed(2)
        running.wait_applied()
        already = len(running.read(running.settings.dead_letters_topic))

        states: Counter[str] = Counter()
        running.feed_records(storm(RECORDS // 4))
        _watch(worker, states, running.is_applied)
        before_kib = _resident_kib(worker)
        running.feed_records(storm(RECORDS - RECORDS // 4))
        _watch(worker, states, running.is_applied)
        assert _resident_kib(worker) < before_kib + SLACK_KIB
        assert states["degraded"], states
        assert worker.page("/livez")[0] == 200

        assert len(running.read(running.settings.dead_letters_topic)) == already + RECORDS
        running.outcome.survived += 1
        running.finish()
        wait_for(lambda: worker.page("/readyz")[0] == 200, "readiness comes back")


def _watch(worker: Worker, states: Counter[str], is_done: object) -> None:
    def done() -> bool:
        states[worker.page("/readyz")[1].partition("\n")[0]] += 1
        return is_done()  # type: ignore[operator,no-any-return]

    wait_for(done, "the storm is over")


def _resident_kib(worker: Worker) -> int:
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))
