"""The engine keeps its promises in simulations of faults, and the simulator finds engines that do not (SPEC 9)."""

from __future__ import annotations

import subprocess
import sys
from random import SystemRandom

import pytest

from streams.codecs import row
from streams.codecs.meta import CLAIM_KEY, META_KEY, encode_meta, epoch_headers, epoch_of
from streams.codecs.row import with_due
from streams.domain.counters import NEVER
from streams.domain.cut import Cut
from streams.domain.partition import Partition
from streams.engine.batch import RecordBatch
from streams.engine.changelog import LogState
from streams.engine.cut import Flush
from streams.engine.dormant import DormantRows
from streams.engine.flush import Flusher
from streams.engine.log_writer import Row
from streams.engine.processor import ClockMode, PartitionProcessor, Wall
from streams.testing.simulated_worker import SimulatedParts
from streams.testing.simulation import Report, first_failure, main, simulate
from streams.testing.simulation_checks import Judge

FIXED_SEEDS = 300
NEW_SEEDS = 30
# A bug must show within so many. That nobody looks for a sleeper's snapshots shows in one of some thousands only:
# tests/unit/engine/test_flush.py has it by hand.
MUTATION_SEEDS = 1000


def told(report: Report) -> str:
    again = f"python -m streams.testing.simulation --seed {report.seed} --verbose"
    return "\n".join([*report.trace, f"seed {report.seed}: {report.broken}", f"again: {again}"])


def test_fixed_seeds_keep_all_promises() -> None:
    report = first_failure(range(FIXED_SEEDS))
    assert report is None, told(report)


def test_new_seeds_keep_all_promises() -> None:
    report = first_failure(SystemRandom().randrange(2**40) for _ in range(NEW_SEEDS))
    assert report is None, told(report)


def test_simulations_say_something() -> None:
    reports = [simulate(seed) for seed in range(150)]
    assert sum(report.transitions for report in reports) > 750
    trace = "\n".join(line for report in reports for line in report.trace)
    for event in ("is killed", "is suspended", "wakes", "takes over", "is taken from", "has given up", "no answer",
                  "lands late", "never happens", "is compacted", "another worker took it over"):  # fmt: skip
        assert event in trace, event


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_seed_replays_exactly_whatever_the_hashes(hash_seed: str) -> None:
    code = (
        "from streams.testing.simulation import simulate\n"
        "print([(r.steps, r.transitions, r.trace) for r in (simulate(s, verbose=True) for s in range(40))])"
    )
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    here = [(r.steps, r.transitions, r.trace) for r in (simulate(seed, verbose=True) for seed in range(40))]
    assert done.stdout.strip() == repr(here)


# -- mutations


class PositionsFirst(Flusher):
    """The group's positions pass a cut before it is durable (and who takes over begins there)."""

    async def send(self, flush: Flush) -> None:
        self.durable_positions = list(flush.meta.positions)
        await super().send(flush)


class OutboxFirst(Flusher):
    """Transitions are published before the cut that holds them is durable."""

    async def send(self, flush: Flush) -> None:
        await self.publish(flush.outbox.transitions, flush.snapshots)
        await super().send(flush)


class MetaFirst(Flusher):
    """A cut is torn in two, the meta row in the first part."""

    async def _append_cut(self, flush: Flush) -> None:
        meta_row: Row = (META_KEY, encode_meta(flush.meta), epoch_headers(self.epoch))
        for part in ([meta_row], flush.rows):
            if part:
                base = await self._append(part)
                if base != self.expected:
                    await self._inspect_intruder(base)
                self.expected = base + len(part)


class StaleForgotten(Flusher):
    """What a zombie has overwritten, or a torn cut has left, is not written again."""

    def _encode(self, partition: Partition, cut: Cut, outbox_rows: list[tuple[bytes, bytes]]) -> list[Row]:
        self._stale = set()
        return super()._encode(partition, cut, outbox_rows)


class Trusting(Flusher):
    """Never looks who else wrote to the changelog: a zombie goes on."""

    async def _inspect_intruder(self, base: int) -> None:
        pass


class Impatient(LogState):
    """Rows count before their meta row is there."""

    def read(self, batch: RecordBatch) -> None:
        super().read(batch)
        self._commit(self.meta, self.meta_offset)


class EpochsIgnored(LogState):
    """Any row counts, whoever wrote it."""

    def read(self, batch: RecordBatch) -> None:
        for offset, key, value, headers in zip(batch.offsets, batch.keys, batch.values, batch.headers, strict=True):
            self.epoch = max(self.epoch, epoch_of(headers))
            if key == META_KEY:
                self._commit(value, offset)
            elif key is not None and key != CLAIM_KEY:
                self.pending[key] = value
        self.next_offset = batch.next_offset


class Clockless(PartitionProcessor):
    """The clock is not taken from the cut: the next record sets it."""

    def __init__(self, partition: Partition, clock_mode: ClockMode, wall: Wall) -> None:
        super().__init__(partition, clock_mode, wall)
        partition.clock = None


MUTATIONS = {
    "positions committed before the flush": SimulatedParts(
        flusher=PositionsFirst, positions=lambda cut, committed: list(map(max, cut, committed))
    ),
    "outbox published before the flush": SimulatedParts(flusher=OutboxFirst),
    "a cut torn in two, meta row first": SimulatedParts(flusher=MetaFirst),
    "rows that count before their meta row": SimulatedParts(log_state=Impatient),
    "epochs ignored in recovery": SimulatedParts(log_state=EpochsIgnored),
    "the clock not in the cut": SimulatedParts(processor=Clockless),
    "stale keys not written again": SimulatedParts(flusher=StaleForgotten),
    "nobody looks who else wrote": SimulatedParts(flusher=Trusting),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_bug_put_in_by_hand_is_found(mutation: str) -> None:
    report = first_failure(range(MUTATION_SEEDS), MUTATIONS[mutation])
    assert report is not None, f"{mutation}: not found in {MUTATION_SEEDS} seeds"
    print(f"{mutation}: seed {report.seed}: {report.broken}")


def test_compaction_without_its_lag_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """That `min.compaction.lag.ms` is needed is no superstition."""
    monkeypatch.setattr(Judge, "protected", property(lambda judge: 1 << 60))
    report = first_failure(range(MUTATION_SEEDS))
    assert report is not None
    print(f"seed {report.seed}: {report.broken}")


def test_a_due_time_in_a_row_that_is_late_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product that recovery left dormant sleeps on while it should have been looked at."""
    monkeypatch.setattr(row, "row_due", lambda product, book: NEVER)
    report = first_failure(range(MUTATION_SEEDS))
    assert report is not None
    print(f"seed {report.seed}: {report.broken}")


def test_a_product_that_sleeps_without_its_due_time_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DormantRows, "with_due", lambda self, stored, due_at: with_due(stored, NEVER))
    report = first_failure(range(MUTATION_SEEDS))
    assert report is not None
    print(f"seed {report.seed}: {report.broken}")


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "3"]) == 0
    assert "3 seeds" in capsys.readouterr().out
    assert main(["--seed", "4", "--verbose"]) == 0
    assert "takes over partition" in capsys.readouterr().out
