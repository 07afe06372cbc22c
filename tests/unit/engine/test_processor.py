"""The clock modes, what moves the clock and what does not, and what a processor hands on (SPEC section 5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.codecs.event_lines import InputRecord
from streams.domain.events import TOPIC_OF_TYPE
from streams.domain.partition import Partition
from streams.domain.rulebook import Rulebook
from streams.engine.processor import CLOCK_ADVANCED_TYPE, REPLAY_ENDS_HEADER, ClockMode, PartitionProcessor
from tests.core.logs import policy_set
from tests.core.pipeline import input_batch, no_wall
from tests.core.scene import DAY_MS, HOUR_MS, T0


def event(type_: str, at: int, timestamp_ms: int | None = None, **fields: Any) -> InputRecord:
    body = {"type": type_, "event_id": f"{type_} {at} {fields}", "product_id": "P1", "occurred_at": at, **fields}
    topic = TOPIC_OF_TYPE.get(type_, 0)
    key = str(body["product_id"]).encode()
    return InputRecord(topic, at if timestamp_ms is None else timestamp_ms, key, json.dumps(body).encode())


def placed(order: str, at: int, timestamp_ms: int | None = None, **fields: Any) -> InputRecord:
    fields = {"seller_id": "S", "region": "US", "quantity": 1, "item_price": 1, "currency": "USD"} | fields
    return event("order.placed", at, timestamp_ms, order_id=order, **({"ship_by": at + HOUR_MS} | fields))


def shipped(order: str, at: int, timestamp_ms: int | None = None) -> InputRecord:
    return event("order.shipped", at, timestamp_ms, order_id=order)


def cancelled(order: str, at: int, timestamp_ms: int | None = None) -> InputRecord:
    return event("order.cancelled", at, timestamp_ms, order_id=order, reason="out_of_stock")


class Reader:
    """A processor and the four logs it reads; each record is a fetch of its own."""

    def __init__(self, clock_mode: ClockMode = "event", wall_ms: int = 0) -> None:
        self.wall_ms = wall_ms
        wall = no_wall if clock_mode == "event" else (lambda: self.wall_ms)
        self.processor = PartitionProcessor(Partition(Rulebook(policy_set(None))), clock_mode, wall)

    @property
    def clock(self) -> int | None:
        return self.processor.partition.clock

    def read(self, *records: InputRecord, end: int | None = None, headers: tuple[tuple[str, bytes], ...] = ()) -> int:
        """Fetch records, each from the end of what was fetched of its topic, and apply what can be."""
        for record in records:
            queue = self.processor.queues[record.topic]
            batch = input_batch([record], queue.fetched, queue.fetched + 1 if end is None else end)
            batch.headers = [headers]
            self.processor.offer(record.topic, batch)
        return self.processor.run(1000)


# -- the event clock


def test_the_event_clock_is_the_largest_occurred_at_of_the_accepted_records() -> None:
    reader = Reader()
    assert reader.clock is None
    reader.read(placed("O", T0, T0 + 99))
    assert reader.clock == T0
    reader.read(shipped("O", T0 - 5))
    assert reader.clock == T0
    reader.read(shipped("O", T0 + 5))
    assert reader.clock == T0 + 5


def test_repeats_and_late_records_are_accepted_ones() -> None:
    reader = Reader()
    first = placed("O", T0)
    reader.read(first)
    reader.read(InputRecord(first.topic, T0 + 50, first.key, first.value))
    reader.read(shipped("O", T0 - 8 * DAY_MS))
    assert reader.clock == T0
    _, tally = reader.processor.take()
    assert dict(tally.outcomes) == {
        ("order.placed", "applied"): 1,
        ("order.placed", "repeat"): 1,
        ("order.shipped", "late"): 1,
    }


@pytest.mark.parametrize(
    "record",
    [
        InputRecord(0, T0 + DAY_MS, b"P1", b"nonsense"),
        InputRecord(0, T0 + DAY_MS, b"P1", None),
        placed("O", T0 + DAY_MS, quantity=0),
        InputRecord(0, T0 + DAY_MS, b"P2", shipped("O", T0 + DAY_MS).value),
        event("order.wrapped", T0 + DAY_MS),
    ],
)
def test_refused_and_unknown_records_do_not_move_the_clock(record: InputRecord) -> None:
    for reader in (Reader("event"), Reader("wall", T0 + 9 * DAY_MS)):
        reader.read(record)
        assert reader.clock is None
        reader.read(placed("O", T0))
        reader.read(record)
        assert reader.clock == T0
        assert reader.processor.positions[0] == 3


def test_refused_records_are_handed_on_as_they_came() -> None:
    reader = Reader()
    bad = InputRecord(1, T0, b"K", b"\xff")
    assert reader.read(bad, event("order.wrapped", T0)) == 2
    cut, tally = reader.processor.take()
    (letter,) = tally.dead_letters
    assert (letter.topic, letter.batch.keys[letter.index], letter.batch.values[letter.index]) == (1, b"K", b"\xff")
    assert letter.batch.offsets[letter.index] == 0
    assert letter.refused.reason.value == "not_utf8"
    assert dict(tally.outcomes) == {("", "refused"): 1, ("order.wrapped", "skipped"): 1}
    assert cut.is_empty
    assert reader.processor.take()[1].dead_letters == []


def test_a_given_end_time_moves_the_clock_on_but_does_not_set_it() -> None:
    reader = Reader()
    reader.processor.advance(T0 + DAY_MS)
    assert reader.clock is None
    reader.read(placed("O", T0))
    reader.processor.advance(T0 + DAY_MS)
    assert reader.clock == T0 + DAY_MS
    reader.processor.advance(T0)
    assert reader.clock == T0 + DAY_MS


# -- the wall clock


def test_the_wall_clock_never_passes_an_unread_record() -> None:
    """Of the unread heads the least is applied next: the clock comes to its timestamp at most."""
    reader = Reader("wall", T0 + 30 * DAY_MS)
    reader.read(placed("O", T0, T0))
    assert reader.clock == T0
    # 5 minutes at the most lie between a record's time and its event's.
    reader.read(placed("O2", T0 + 60_000, T0 + 10))
    assert reader.clock == T0 + 10


def test_a_worker_that_catches_up_flags_nobody_for_orders_whose_shipped_is_unread() -> None:
    orders = [placed(f"O{number}", T0 + number) for number in range(20)]
    shipments = [shipped(f"O{number}", T0 + HOUR_MS // 2 + number) for number in range(20)]
    reader = Reader("wall", T0 + 30 * DAY_MS)
    reader.processor.queues[0].end = 40
    reader.read(*orders, end=40)
    assert not reader.processor.read_to_end
    reader.read(*shipments, end=40)
    assert reader.processor.read_to_end
    reader.processor.advance(reader.wall_ms)
    cut, _ = reader.processor.take()
    assert cut.transitions == []
    assert reader.clock == T0 + 30 * DAY_MS


def test_it_never_runs_ahead_of_wall_time() -> None:
    reader = Reader("wall", T0 + 7)
    reader.read(placed("O", T0 + 60_000, T0 + 60_000))
    assert reader.clock == T0 + 7
    reader.wall_ms = T0 + 9
    reader.read(placed("O2", T0 + 60_000, T0 + 60_000))
    assert reader.clock == T0 + 9


def test_it_never_goes_back() -> None:
    reader = Reader("wall", T0 + DAY_MS)
    reader.read(placed("O", T0, T0 + HOUR_MS))
    reader.wall_ms = T0
    reader.read(placed("O2", T0, T0 - 5), placed("O3", T0, T0 + DAY_MS))
    assert reader.clock == T0 + HOUR_MS


def test_an_event_ahead_of_the_wall_clock_counts_once_its_bucket_has_come() -> None:
    reader = Reader("wall", T0 - 60_000)
    reader.read(placed("O", T0, T0 - 60_000))
    partition = reader.processor.partition
    product = partition.products["P1"]
    assert product.totals == [0, 0]
    reader.processor.advance(T0)
    product.catch_up(partition.book, T0)  # it lay untouched, for nothing could come of it
    assert product.totals != [0, 0]


def test_a_tick_moves_the_wall_clock_once_all_input_is_applied() -> None:
    reader = Reader("wall", T0)
    reader.processor.tick()
    assert reader.clock is None
    reader.read(placed("O", T0))
    reader.wall_ms = T0 + HOUR_MS
    reader.processor.queues[2].end = 1
    reader.processor.tick()
    assert reader.clock == T0  # there is lag
    reader.processor.queues[2].end = 0
    reader.processor.tick()
    assert reader.clock == T0 + HOUR_MS
    reader.wall_ms = T0
    reader.processor.tick()
    assert reader.clock == T0 + HOUR_MS
    by_events = Reader()
    by_events.read(placed("O", T0))
    by_events.processor.tick()
    assert by_events.clock == T0


def test_the_wall_clock_goes_no_further_than_each_topic_is_known_to_be_read() -> None:
    """A topic without a record at hand may have some that nobody has heard of yet."""
    reader = Reader("wall", T0 + DAY_MS)
    horizon: list[int | None] = [None] * 4
    reader.processor.horizon = lambda: horizon
    reader.read(placed("O", T0, T0))  # the first accepted record sets it all the same
    assert reader.clock == T0
    horizon[:] = [T0 + 50, T0 + 70, T0 + 60, None]
    reader.processor.tick()
    assert reader.clock == T0  # nothing is known of the fourth
    horizon[3] = T0 + 90
    reader.processor.tick()
    assert reader.clock == T0 + 50
    # Of a topic with records at hand the next one is known.
    reader.read(placed("O2", T0, T0 + 65))
    assert reader.clock == T0 + 60
    horizon[:] = [T0 + 40, T0 + 80, T0 + 80, T0 + 80]
    reader.read(placed("O3", T0, T0 + 75))
    assert reader.clock == T0 + 75
    reader.read(placed("O4", T0, T0 + 85))
    assert reader.clock == T0 + 80


# -- merging


def test_records_come_by_timestamp_and_topic_and_an_unread_topic_is_waited_for() -> None:
    reader = Reader()
    reader.processor.queues[1].end = 1
    assert reader.read(placed("O", T0)) == 0
    assert (reader.processor.waits_for, reader.processor.pending) == ([1], 1)
    assert not reader.processor.read_to_end
    assert reader.read(cancelled("O", T0 - 1)) == 2
    assert (reader.processor.waits_for, reader.processor.read_to_end) == ([], True)
    assert list(reader.processor.partition.products["P1"].lines["O", "1"].facts[0])[1] == T0 - 1


def test_run_applies_no_more_than_it_is_asked_for() -> None:
    reader = Reader()
    batch = input_batch([placed(f"O{number}", T0 + number) for number in range(10)], 0, 10)
    reader.processor.offer(0, batch)
    assert [reader.processor.run(4), reader.processor.positions[0], reader.clock] == [4, 4, T0 + 3]
    assert [reader.processor.run(4), reader.processor.run(4), reader.processor.run(4)] == [4, 2, 0]
    assert reader.processor.positions == [10, 0, 0, 0]


# -- replay


def test_a_replay_announces_what_is_to_be_waited_for() -> None:
    reader = Reader()
    assert reader.read(placed("O", T0), headers=((REPLAY_ENDS_HEADER, b"1,2,0,0"),)) == 0
    assert [queue.awaited for queue in reader.processor.queues] == [1, 2, 0, 0]
    assert reader.processor.waits_for == [1]
    assert reader.read(cancelled("O", T0 + 1)) == 2
    assert not reader.processor.read_to_end
    assert reader.read(cancelled("O", T0 + 2)) == 1
    assert reader.processor.read_to_end
    # A later announcement that says less, or nonsense, takes nothing back.
    reader.read(shipped("O", T0 + 3), headers=((REPLAY_ENDS_HEADER, b"0,x"), ("other", b"9,9,9,9")))
    assert [queue.awaited for queue in reader.processor.queues] == [1, 2, 0, 0]


def test_on_a_wall_clock_nothing_is_announced() -> None:
    reader = Reader("wall", T0)
    assert reader.read(placed("O", T0), headers=((REPLAY_ENDS_HEADER, b"1,2,0,0"),)) == 1


def advanced(until_ms: object, timestamp_ms: int = T0) -> InputRecord:
    body = {"type": CLOCK_ADVANCED_TYPE, "until_ms": until_ms}
    return InputRecord(0, timestamp_ms, b"P1", json.dumps(body).encode())


def test_a_clock_advanced_record_moves_the_event_clock_on() -> None:
    reader = Reader()
    reader.read(advanced(T0 + DAY_MS))
    assert reader.clock is None  # only an accepted record sets it
    reader.read(placed("O", T0), advanced(T0 + DAY_MS))
    assert reader.clock == T0 + DAY_MS
    reader.read(advanced(T0))
    assert reader.clock == T0 + DAY_MS
    _, tally = reader.processor.take()
    assert tally.outcomes[CLOCK_ADVANCED_TYPE, "control"] == 3
    reader.read(advanced("soon"))
    assert dict(reader.processor.take()[1].outcomes) == {(CLOCK_ADVANCED_TYPE, "skipped"): 1}


def test_on_a_wall_clock_it_is_an_unknown_type_like_any_other() -> None:
    reader = Reader("wall", T0 + 2 * DAY_MS)
    reader.read(placed("O", T0), advanced(T0 + DAY_MS))
    assert reader.clock == T0
    assert reader.processor.take()[1].outcomes[CLOCK_ADVANCED_TYPE, "skipped"] == 1


# -- what is handed on


def test_take_hands_on_what_has_changed_since() -> None:
    reader = Reader()
    for number in range(20):
        reader.read(placed(f"O{number}", T0 + number, ship_by=T0 + 60 * DAY_MS))
    for number in range(3):
        reader.read(cancelled(f"O{number}", T0 + 100))
    cut, tally = reader.processor.take()
    assert [told.current_status for told in cut.transitions] == ["at_risk"]
    assert tally.outcomes == {("order.placed", "applied"): 20, ("order.cancelled", "applied"): 3}
    assert cut.changed == cut.snapshots == {"P1": None}
    cut, tally = reader.processor.take()
    assert cut.is_empty
    assert not tally.outcomes
