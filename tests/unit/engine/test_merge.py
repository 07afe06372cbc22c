"""Four topics in one order: of the heads the least (record timestamp, topic) (SPEC section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from streams.codecs.event_lines import InputRecord
from streams.engine.merge import Chunk, Merged, TopicQueue, merge, next_run
from tests.core.logs import merged
from tests.core.pipeline import input_batch


def chunk(timestamps: Sequence[int], start: int = 0, end: int | None = None) -> Chunk:
    """Records of these timestamps from offset `start` on, in a log that ends at `end` (or with them)."""
    records = [InputRecord(0, timestamp_ms, b"P", b"") for timestamp_ms in timestamps]
    stop = start + len(records)
    batch = input_batch(records, start, stop if end is None else end)
    return Chunk(batch, [f"{offset}" for offset in batch.offsets])


def queues(*logs: Sequence[int]) -> list[TopicQueue]:
    """Queues that have all of their logs at hand."""
    found = [TopicQueue() for _ in range(4)]
    for queue, timestamps in zip(found, logs, strict=False):
        if timestamps:
            queue.offer(chunk(timestamps))
    return found


def drain(found: list[TopicQueue]) -> list[tuple[int, int]]:
    """(topic, timestamp) of all that can be applied now, in order."""
    order = []
    while (run := next_run(found)) is not None:
        topic, bound = run
        part, start, stop = found[topic].take_until(bound)
        assert start < stop
        order += [(topic, part.batch.timestamps[index]) for index in range(start, stop)]
        found[topic].applied(part, stop)
    return order


def test_by_timestamp_then_by_topic() -> None:
    found = queues([5, 7], [5, 6], [4, 5], [5])
    assert drain(found) == [(2, 4), (0, 5), (1, 5), (2, 5), (3, 5), (1, 6), (0, 7)]


def test_within_a_topic_by_offset_whatever_the_timestamps() -> None:
    assert drain(queues([9, 3, 1], [2, 8])) == [(1, 2), (1, 8), (0, 9), (0, 3), (0, 1)]


def test_a_run_ends_before_a_lower_topics_head_and_with_a_higher_topics() -> None:
    assert next_run(queues([5, 5, 6], [5])) == (0, 6)
    assert next_run(queues([6], [5, 5, 6])) == (1, 6)
    assert next_run(queues([6], [5], [6])) == (1, 6)
    assert next_run(queues([9], [5], [6])) == (1, 7)
    assert next_run(queues([5])) == (0, None)
    assert next_run(queues()) is None


def test_a_topic_that_has_lag_but_no_record_at_hand_is_waited_for() -> None:
    found = queues([5], [6])
    found[3].end = 1
    assert found[3].lags
    assert next_run(found) is None
    found[3].offer(chunk([4]))
    assert not found[3].lags
    assert drain(found) == [(3, 4), (0, 5), (1, 6)]


def test_a_topic_that_is_read_to_its_end_is_not_waited_for() -> None:
    found = queues([5])
    found[1].offer(chunk([1]))
    assert drain(found) == [(1, 1), (0, 5)]
    assert (found[1].position, found[1].end, found[1].lags) == (1, 1, False)


def test_lag_is_learnt_from_each_batch_that_is_fetched() -> None:
    found = queues([5])
    found[1].offer(chunk([1], end=2))
    assert drain(found) == [(1, 1)]
    assert found[1].lags
    found[1].offer(chunk([2], start=1))
    assert drain(found) == [(1, 2), (0, 5)]


def test_what_a_replay_has_announced_is_waited_for() -> None:
    found = queues([5])
    found[1].awaited = 1
    assert next_run(found) is None
    found[1].offer(chunk([7]))
    assert drain(found) == [(0, 5), (1, 7)]


def test_what_is_fetched_twice_is_applied_once() -> None:
    queue = TopicQueue()
    queue.offer(chunk([1, 2, 3]))
    queue.offer(chunk([1, 2, 3]))
    queue.offer(chunk([2, 3, 4], start=1))
    queue.offer(chunk([3], start=2))
    assert [queue.pending, queue.fetched] == [4, 4]
    assert drain([queue]) == [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert queue.position == 4


def test_reading_begins_at_the_position() -> None:
    queue = TopicQueue(position=2)
    queue.offer(chunk([1, 2, 3]))
    assert drain([queue]) == [(0, 3)]


def test_positions_follow_offsets_with_gaps() -> None:
    queue = TopicQueue()
    part = chunk([1, 2])
    part.batch.offsets[:] = [3, 8]
    part.batch.next_offset = 11
    queue.offer(part)
    assert queue.position == 0
    queue.applied(part, 1)
    assert queue.position == 4
    queue.applied(part, 2)
    assert queue.position == queue.fetched == 11


def test_a_batch_without_records_moves_the_position_once_nothing_is_before_it() -> None:
    queue = TopicQueue()
    empty = chunk([], start=0)
    empty.batch.next_offset = empty.batch.highwater = 5
    queue.offer(empty)
    assert (queue.position, queue.fetched, queue.lags, queue.head()) == (5, 5, False, None)
    queue.offer(chunk([1], start=5, end=9))
    later = chunk([], start=6)
    later.batch.next_offset = 9
    queue.offer(later)
    assert (queue.position, queue.fetched) == (5, 9)


def test_reset_drops_what_is_at_hand_and_fetches_it_again() -> None:
    queue = TopicQueue()
    part = chunk([1, 2, 3])
    queue.offer(part)
    queue.applied(part, 1)
    queue.reset()
    assert (queue.pending, queue.fetched, queue.lags) == (0, 1, True)
    queue.offer(chunk([2, 3], start=1))
    assert drain([queue]) == [(0, 2), (0, 3)]


@pytest.mark.parametrize("seed", range(30))
def test_any_logs_fetched_in_any_pieces_come_in_the_order_of_the_definition(seed: int) -> None:
    random = Random(seed)
    logs = [
        [InputRecord(topic, random.randrange(20), str(offset).encode(), b"") for offset in range(random.randrange(12))]
        for topic in range(4)
    ]
    if seed % 2:
        for log in logs:
            log.sort(key=lambda record: record.timestamp_ms)
    found = [TopicQueue(end=len(log)) for log in logs]
    order: list[InputRecord] = []
    while True:
        topic = random.randrange(4)
        queue, log = found[topic], logs[topic]
        if queue.fetched < len(log):
            fetched = log[queue.fetched : queue.fetched + random.randint(1, 4)]
            batch = input_batch(fetched, queue.fetched, len(log))
            queue.offer(Chunk(batch, [""] * len(fetched)))
        while (run := next_run(found)) is not None:
            topic, bound = run
            part, start, stop = found[topic].take_until(bound)
            stop = random.randint(start + 1, stop)
            order += logs[topic][part.batch.offsets[start] : part.batch.offsets[stop - 1] + 1]
            found[topic].applied(part, stop)
        if all(queue.position == len(log) for queue, log in zip(found, logs, strict=True)):
            break
    assert order == merged(logs)


def drain_merged(found: list[TopicQueue], limits: Sequence[int] = (10**9,)) -> list[tuple[int, int]]:
    """As `drain`, by `merge`: in slices of so many records in turn, and with the queues kept up to date in between."""
    order: list[tuple[int, int]] = []
    merged: Merged | None = None
    while True:
        for limit in limits:
            if merged is None or not merged.goes_on(found):
                merged = merge(found)
                if merged is None:
                    return order
            taken = merged.take(limit)
            assert taken
            for index in taken:
                topic, part, at = merged.place(index)
                assert merged.timestamps[index] == part.batch.timestamps[at]
                assert merged.events[index] is part.events[at]
                order.append((topic, merged.timestamps[index]))
            merged.applied(found, taken)


@pytest.mark.parametrize("seed", range(300))
def test_merging_many_is_taking_the_least_head_again_and_again(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(seed)
    if seed % 3 == 0:
        monkeypatch.setattr("streams.engine.merge.MERGE_RECORDS", random.choice((1, 2, 5)))

    def some() -> list[TopicQueue]:
        dice = Random(seed)
        made = [TopicQueue() for _ in range(4)]
        for queue in made:
            size = dice.choice((0, 1, 4, 30))
            timestamps = [dice.randint(0, 12) for _ in range(size)]
            if dice.random() < 0.5:
                timestamps.sort()
            start = 0
            while start < size:
                stop = min(size, start + dice.choice((1, 3, 10)))
                queue.offer(chunk(timestamps[start:stop], start, size))
                start = stop
            if dice.random() < 0.3:
                queue.end += 1  # there is more to come: it is waited for
        return made

    one, other = some(), some()
    assert drain_merged(one, random.choice(((10**9,), (1,), (2, 5)))) == drain(other)
    assert [queue.position for queue in one] == [queue.position for queue in other]
    assert [queue.pending for queue in one] == [queue.pending for queue in other]


def test_what_comes_to_an_idle_topic_or_is_fetched_anew_ends_what_was_merged() -> None:
    found = queues([5, 7, 9])
    merged = merge(found)
    assert merged is not None and merged.goes_on(found)
    merged.applied(found, merged.take(1))
    assert merged.goes_on(found)
    found[1].offer(chunk([6]))
    assert not merged.goes_on(found)
    assert drain_merged(found) == [(1, 6), (0, 7), (0, 9)]
    found = queues([5, 7], [6])
    merged = merge(found)
    assert merged is not None
    found[0].reset()
    assert not merged.goes_on(found)
