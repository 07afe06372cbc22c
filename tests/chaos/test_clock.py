"""A wall clock that steps by an hour, both ways, under a worker that follows it (SPEC 5)."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from streams.codecs.event_lines import InputRecord
from tests.chaos.harness import PARTITIONS, Chaos, chaos, story
from tests.integration.pipeline import wait_for

pytestmark = pytest.mark.chaos

HOUR_MS = 3_600_000


def test_the_wall_clock_steps_by_an_hour(
    broker: EmbeddedBroker, tmp_path: Path, market: list[InputRecord], table: list[str]
) -> None:
    """While it catches up, the log alone tells the time. Caught up, its clock goes on with the wall's, never back, and
    what became due of a history long past is due once."""
    told = story(market, time.time_ns() // 1_000_000, 1)
    ahead = tmp_path / "ahead"
    ahead.write_text("0")
    name = "wall clock steps by +1 h, -1 h, -1 h, +1 h"
    with chaos(broker, tmp_path, told, table, name, FLAGGED_CLOCK="wall", SPOIL_CLOCK=str(ahead)) as running:
        running.feed_whole()
        running.start_worker(module="tests.chaos.spoilt_worker")
        steps = [HOUR_MS, 0, -HOUR_MS, 0]
        while not running.is_applied():
            steps.append(steps.pop(0))
            ahead.write_text(str(steps[-1]))
            time.sleep(0.2)
        running.outcome.survived += 1
        clocks = [_clocks(running)]
        for step in (HOUR_MS, 0, -HOUR_MS, 0):
            ahead.write_text(str(step))
            running.outcome.survived += 1
            time.sleep(1.5)
            clocks.append(_clocks(running))
        for before, after in itertools.pairwise(clocks):
            assert all(b <= a for b, a in zip(before, after, strict=True)), "a clock went back"
        now_ms = time.time_ns() // 1_000_000
        wait_for(lambda: min(_clocks(running)) >= now_ms, "the clocks follow the wall's")
        running.check_published()
        assert running.workers[0].stop() == 0


def _clocks(running: Chaos) -> list[int]:
    return [running.log_state(partition).decode_meta().clock or 0 for partition in range(PARTITIONS)]
