"""Workers come and go under load: what stays where it is is not touched, and what moves ends exact (SPEC 9.1, 9.2)."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.broker import EmbeddedBroker
from streams.codecs.event_lines import read_files
from streams.codecs.meta import CLAIM_KEY, epoch_of
from streams.engine.log_reader import read_partition
from streams.settings import Settings
from streams.testing.market import Market
from streams.testing.records import to_line
from streams.topic_names import topic_indices
from tests.chaos.harness import PARTITIONS, Chaos, chaos, story
from tests.integration.pipeline import Worker, wait_for

pytestmark = pytest.mark.integration

PARTS = 30
UNTIL_MS = 1_772_323_200_000  # 2026-03-01, two weeks beyond the last event
ALL = list(range(PARTITIONS))


@pytest.fixture
def running(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Chaos]:
    """A pipeline with the log of a small market in parts."""
    path = tmp_path / "market.jsonl"
    path.write_bytes(b"".join(to_line(record) for record in Market(5, products=24)))
    told = story(list(read_files([path], topic_indices(Settings()))), UNTIL_MS, PARTS)
    with chaos(broker, tmp_path, told, [], "rebalance") as made:
        yield made


def taken_over(worker: Worker) -> list[dict[str, Any]]:
    """What a worker has said of each of its assignments, once it had all of it at work."""
    return [line for line in worker._lines() if line.get("message") == "partitions taken over"]


def recoveries(worker: Worker) -> int:
    """How many partitions a worker has restored so far."""
    found = re.search(r"^flagged_products_recovery_seconds_count (\d+)", worker.page("/metrics")[1], re.MULTILINE)
    assert found, worker.page("/metrics")[1]
    return int(found[1])


def claims(running: Chaos, partition: int) -> list[int]:
    """The epochs of all claims of a partition: one for each time that it was restored, by whomever."""

    async def read() -> list[int]:
        topic, found = running.settings.changelog_topic, []
        async for batch in read_partition(running.settings.kafka_kwargs(), topic, partition):
            rows = zip(batch.keys, batch.headers, strict=True)
            found += [epoch_of(headers) for key, headers in rows if key == CLAIM_KEY]
        return found

    return asyncio.run(read())


def test_what_stays_is_not_touched_and_what_moves_ends_exact(running: Chaos) -> None:
    (first,) = running.start()
    feeding = threading.Thread(target=running.feed, args=(PARTS - 1,))
    feeding.start()
    assert recoveries(first) == PARTITIONS
    (second,) = running.start()
    wait_for(lambda: len(taken_over(first)) == 2, "the second assignment of the first worker")
    moved = taken_over(second)[0]["partitions"]
    stayed = taken_over(first)[1]["partitions"]
    assert sorted(moved + stayed) == ALL
    assert len(stayed) == PARTITIONS // 2
    assert taken_over(first)[1]["kept"] == stayed
    assert recoveries(first) == PARTITIONS, "nothing that stayed was restored"
    assert second.stop() == 0
    wait_for(lambda: len(taken_over(first)) == 3, "the third assignment of the first worker")
    assert taken_over(first)[2]["partitions"] == ALL
    assert taken_over(first)[2]["kept"] == stayed
    assert recoveries(first) == PARTITIONS + len(moved)
    feeding.join()
    running.finish()
    # The changelog agrees: who has a partition restored has claimed it.
    assert {p: claims(running, p) for p in ALL} == {p: [1] if p in stayed else [1, 2, 3] for p in ALL}
    assert first.process.poll() is None


def test_no_more_partitions_move_than_must(running: Chaos) -> None:
    (first,) = running.start()
    second, third = running.start_worker(), None
    wait_for(lambda: len(taken_over(first)) >= 2 and bool(taken_over(second)), "two workers at work")
    before = [set(taken_over(worker)[-1]["partitions"]) for worker in (first, second)]
    third = running.start_worker()
    wait_for(lambda: bool(taken_over(third)), "the third worker")
    wait_for(lambda: len(taken_over(first)) >= 3 and len(taken_over(second)) >= 2, "the others' new assignments")
    after = [set(taken_over(worker)[-1]["partitions"]) for worker in (first, second)]
    assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
    assert third.stop() == 0
    wait_for(lambda: sum(len(taken_over(worker)[-1]["partitions"]) for worker in (first, second)) == PARTITIONS, "all")
    finally_ = [set(taken_over(worker)[-1]["partitions"]) for worker in (first, second)]
    assert all(now >= then for now, then in zip(finally_, after, strict=True)), (after, finally_)
    running.finish()
