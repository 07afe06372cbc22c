"""The main job end to end: workers on a real broker give what the backtest of the same log gives, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from streams.codecs.event_lines import read_files
from streams.codecs.outputs import encode_transition
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.engine.backtest import BacktestResult, backtest
from streams.settings import Settings
from streams.testing.market import Market
from streams.testing.records import to_line
from streams.topic_names import topic_indices
from tests.integration.pipeline import Pipeline, check_copies, pipeline, wait_for

pytestmark = pytest.mark.integration

PARTITIONS = 8
UNTIL = "2026-03-01T00:00:00Z"  # two weeks beyond the last event: graces, dwells and resolved_for end
UNTIL_MS = 1_772_323_200_000


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated log of more than 60,000 events."""
    path = tmp_path_factory.mktemp("market") / "market.jsonl"
    with path.open("wb") as file:
        count = sum(1 for record in Market(3) if file.write(to_line(record)))
    assert count >= 60_000
    return path


@pytest.fixture(scope="module")
def reference(market: Path) -> BacktestResult:
    """What the log gives without a broker."""
    records = read_files([market], topic_indices(Settings()))
    return backtest(records, PolicySet((DEFAULT_POLICY,)), partitions=PARTITIONS, until_ms=UNTIL_MS)


@pytest.fixture(scope="module")
def expected(reference: BacktestResult) -> list[bytes]:
    """The reference's transitions, by partition and in order of emission."""
    lines = [encode_transition(t) for emitted in reference.transitions for t in emitted]
    assert len(lines) > 100
    return lines


@pytest.fixture
def running(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(broker, tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("workers", "batch_max_records", "batch_transport"),
    [(1, 1, True), (1, 7, True), (1, 2000, True), (3, 1, True), (3, 7, True), (3, 2000, True), (1, 2000, False)],
    ids=["1x1", "1x7", "1x2000", "3x1", "3x7", "3x2000", "stock-transport"],
)
def test_transitions_equal_the_backtest(
    running: Pipeline,
    market: Path,
    expected: list[bytes],
    workers: int,
    batch_max_records: int,
    batch_transport: bool,
) -> None:
    running.environment["FLAGGED_BATCH_MAX_RECORDS"] = str(batch_max_records)
    running.environment["FLAGGED_BATCH_TRANSPORT"] = str(batch_transport).lower()
    started = [running.start_worker() for _ in range(workers)]
    assert running.replay(market, "--until", UNTIL) == expected
    check_copies(running.read(running.settings.flag_status_changed_topic))
    assert [worker.stop() for worker in started] == [0] * workers


def test_a_log_that_was_there_before_the_worker_gives_the_same(
    running: Pipeline, market: Path, expected: list[bytes]
) -> None:
    running.run("replay", str(market), "--until", UNTIL)
    running.start_worker()
    empty = running.directory / "empty.jsonl"
    empty.touch()
    running.run("replay", str(empty), "--wait")
    published = [record.value for record in running.read(running.settings.flag_status_changed_topic)]
    assert published == expected


def test_kill_9_in_the_midst_of_a_replay(running: Pipeline, market: Path, expected: list[bytes]) -> None:
    # Small batches and short flushes, so that kills fall into the midst of everything.
    running.environment |= {"FLAGGED_BATCH_MAX_RECORDS": "200", "FLAGGED_FLUSH_INTERVAL": "20ms"}
    settings = running.settings
    running.run("replay", str(market), "--until", UNTIL)
    kills = 0
    for published in (1, len(expected) // 4, len(expected) // 2):
        worker = running.start_worker()
        wait_for(
            lambda seen=published: len(_published(running)) >= seen,
            f"{published} transitions",
        )
        worker.kill()
        kills += 1
    assert kills == 3
    assert len(_published(running)) < len(expected), "killed too late to prove anything"
    running.start_worker()
    wait_for(lambda: len({record.value for record in _published(running)}) >= len(expected), "all transitions")
    records = running.read(settings.flag_status_changed_topic)
    check_copies(records)
    seen: set[bytes | None] = set()
    first = [r.value for r in records if not (r.value in seen or seen.add(r.value))]  # type: ignore[func-returns-value]
    assert first == expected


def _published(running: Pipeline) -> list[object]:
    return list(running.read(running.settings.flag_status_changed_topic))


def test_snapshots_are_the_present_status(running: Pipeline, market: Path, reference: BacktestResult) -> None:
    running.start_worker()
    running.replay(market, "--until", UNTIL)
    latest = {record.key: record.value for record in running.read(running.settings.flag_status_topic)}
    snapshots = {key.decode(): json.loads(value) for key, value in latest.items() if key and value}
    flagged = {line["product_id"]: line for line in reference.rates() if line["status"] != "clear"}
    assert flagged
    assert {product: snapshot["current_status"] for product, snapshot in snapshots.items()} == {
        product: line["status"] for product, line in flagged.items()
    }
    assert None in latest.values(), "nobody came back to clear: the market tells nothing of tombstones"


def test_sigterm_flushes_commits_and_leaves(running: Pipeline, market: Path, expected: list[bytes]) -> None:
    worker = running.start_worker()
    running.replay(market, "--until", UNTIL)
    assert worker.stop() == 0
    assert worker.says("partitions given up")
    # Whoever comes next has nothing to do: no transition comes a second time.
    before = len(_published(running))
    again = running.start_worker()
    wait_for(lambda: again.says("partitions taken over"), "the second worker")
    assert again.stop() == 0
    assert len(_published(running)) == before == len(expected)
