"""A wall clock that steps by an hour, both ways, under a worker that follows it (SPEC 5)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from streams.codecs.event_lines import InputRecord
from tests.chaos.harness import PARTITIONS, Chaos, chaos, story
from tests.integration.pipeline import check_copies, wait_for

pytestmark = pytest.mark.chaos

HOUR_MS = 3_600_000
STEPS = (HOUR_MS, 0, -HOUR_MS, 0)


def test_the_wall_clock_steps_by_an_hour(
    broker: EmbeddedBroker, tmp_path: Path, market: list[InputRecord], table: list[str]
) -> None:
    """While a worker catches up, the log alone tells the time; then its clock goes on with the wall's, and never back.
    So what is published of a history is the same, however the wall's clock steps."""
    ahead = tmp_path / "ahead"
    ahead.write_text("0")
    steady = _history(broker, tmp_path, market, [], lambda _running: None, ahead)
    assert len(steady) > 100

    def step_at_work(running: Chaos) -> None:
        for step in itertools.cycle(STEPS):
            if running.is_applied():
                return
            ahead.write_text(str(step))
            time.sleep(0.2)

    assert _history(broker, tmp_path, market, table, step_at_work, ahead) == steady


def _history(
    broker: EmbeddedBroker,
    directory: Path,
    market: list[InputRecord],
    table: list[str],
    at_work: Callable[[Chaos], None],
    ahead: Path,
) -> list[bytes]:
    """What a worker publishes of the market; its clock steps when it is caught up, and `at_work` as that does."""
    told = story(market, time.time_ns() // 1_000_000, 1)
    own = {"FLAGGED_CLOCK": "wall", "SPOIL_CLOCK": str(ahead)}
    with chaos(broker, directory, told, table, "wall clock steps by +1 h, -1 h, -1 h, +1 h", **own) as running:
        running.feed_whole()
        worker = running.start_worker(module="tests.chaos.spoilt_worker")
        at_work(running)
        running.wait_applied()
        clocks = [_clocks(running)]
        for step in STEPS:
            ahead.write_text(str(step))
            running.outcome.survived += 1
            time.sleep(1)
            clocks.append(_clocks(running))
        for before, after in itertools.pairwise(clocks):
            assert all(b <= a for b, a in zip(before, after, strict=True)), "a clock went back"
        now_ms = time.time_ns() // 1_000_000
        wait_for(lambda: min(_clocks(running)) >= now_ms, "the clocks follow the wall's")
        assert worker.stop() == 0
        records = running.read(running.settings.flag_status_changed_topic)
        check_copies(records)
        running.outcome.transitions = len(records)
        return list(dict.fromkeys(record.value or b"" for record in records))


def _clocks(running: Chaos) -> list[int]:
    return [running.log_state(partition).decode_meta().clock or 0 for partition in range(PARTITIONS)]
