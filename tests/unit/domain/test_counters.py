"""Which bucket what is counted in, which buckets a window holds, and what is dropped (SPEC section 4)."""

from __future__ import annotations

from random import Random

import pytest

from streams.domain.buckets import ONE_FEE, ONE_LATE, ONE_PLACED, unpack, window_total
from streams.domain.counters import IMPRESSIONS_MAX, Counters
from streams.domain.policy import DEFAULT_POLICY, METRICS
from streams.domain.rules import make_plan
from tests.core.scene import BUCKET_MS, DAY_MS, FEES, HOUR_MS, LATE, OVERDUE, STOCK, T0, Scene, policy

PLAN = make_plan(DEFAULT_POLICY, BUCKET_MS)  # windows of 28 and 120 buckets
HELD = 120


def counters(last_bucket: int = 1000) -> Counters:
    return Counters(PLAN, last_bucket, HELD)


def total(counters: Counters, window: int) -> tuple[int, ...]:
    return unpack(counters.totals[window])


def test_the_windows_of_the_default_policy() -> None:
    assert PLAN.windows == (28, 120)


@pytest.mark.parametrize(
    ("bucket", "in_windows"),
    [(1001, (0, 0)), (1000, (1, 1)), (973, (1, 1)), (972, (0, 1)), (881, (0, 1)), (880, (0, 0))],
)
def test_a_window_holds_the_buckets_up_to_the_clocks(bucket: int, in_windows: tuple[int, int]) -> None:
    found = counters()
    found.add(bucket, ONE_PLACED)
    assert (total(found, 0)[0], total(found, 1)[0]) == in_windows
    # Buckets older than the longest window are dropped at once; what lies ahead is kept.
    assert (bucket in found.buckets) is (bucket > 880)


def test_what_is_taken_back_leaves_no_bucket_behind() -> None:
    found = counters()
    found.add(1000, ONE_PLACED)
    found.add(1000, -ONE_PLACED + ONE_LATE)
    assert found.buckets == {1000: ONE_LATE}
    assert found.totals == [ONE_LATE, ONE_LATE]
    found.add(1000, -ONE_LATE)
    assert (found.buckets, found.totals) == ({}, [0, 0])


def test_sliding_drops_what_is_older_than_the_longest_window() -> None:
    found = counters()
    for bucket in (881, 882, 1000):
        found.add(bucket, ONE_FEE)
        assert found.tell_once(f"e{bucket}", bucket)
        found.high_fees.append((bucket * BUCKET_MS, bucket, "O"))
        found.impressions[bucket] = 1
    assert not found.slide(1000, HELD)
    assert found.slide(1001, HELD)
    assert (found.held_from, found.last_bucket) == (882, 1001)
    assert set(found.buckets) == set(found.impressions) == {882, 1000}
    assert set(found.seen) == {"e882", "e1000"}
    assert [fee[1] for fee in found.high_fees] == [882, 1000]
    assert found.totals == [ONE_FEE, 2 * ONE_FEE]
    # What was dropped stays dropped.
    found.add(881, -ONE_FEE)
    assert 881 not in found.buckets


def test_a_repeat_is_told_by_its_event_id_as_long_as_its_bucket_is_held() -> None:
    found = counters()
    assert found.add_impressions("e", 881, 5)
    assert not found.add_impressions("e", 1000, 5)
    assert found.slide(1001, HELD)
    assert found.add_impressions("e", 1001, 7)
    assert found.impressions == {1001: 7}


def test_what_lies_before_the_held_buckets_is_neither_counted_nor_remembered() -> None:
    found = counters()
    assert found.add_impressions("e", 880, 5)
    assert found.tell_once("f", 880)
    assert (found.seen, found.impressions) == ({}, {})


@pytest.mark.parametrize("seed", range(20))
def test_sliding_sums_are_those_of_the_buckets(seed: int) -> None:
    random = Random(seed)
    found, last = counters(), 1000
    for _ in range(200):
        if random.random() < 0.7:
            bucket = last - random.choice((0, 1, 27, 28, 60, 119, 120, -1, -3))
            found.add(bucket, random.choice((ONE_PLACED, ONE_FEE)))
            if random.random() < 0.2 and bucket in found.buckets:
                found.add(bucket, -found.buckets[bucket])
        else:
            last += random.choice((1, 1, 2, 30, 200))
            found.slide(last, HELD)
        held = {bucket: packed for bucket, packed in found.buckets.items() if bucket > last - HELD}
        assert found.buckets == held
        assert found.totals == [window_total(held, last, length) for length in PLAN.windows]


def test_impressions_never_outgrow_a_row() -> None:
    found = counters()
    for number in range(200):
        found.add_impressions(f"e{number}", 1000, 2**53)
    assert found.impressions == {1000: IMPRESSIONS_MAX}


# -- through a product


def test_each_counter_is_in_the_bucket_the_contract_says() -> None:
    """placed and cancelled in that of placed_at; due, late and overdue in that of ship_by."""
    scene = Scene()
    due = T0 + 40 * DAY_MS
    scene.placed("open", T0, ship_by=due)
    scene.placed("gone", T0 + 1, ship_by=due)
    scene.cancelled("gone", T0 + BUCKET_MS + 5)
    scene.until(due + 1)
    buckets = {bucket: unpack(packed) for bucket, packed in scene.product().buckets.items()}
    # The 30 days of placed_at's bucket are over, so it is dropped.
    assert buckets == {due // BUCKET_MS: (0, 0, 0, 1, 1, 1, 0, 0)}

    scene = Scene()
    scene.placed("gone", T0)
    scene.cancelled("gone", T0 + 3 * BUCKET_MS)
    scene.fee(T0 + 2 * BUCKET_MS - 1)
    buckets = {bucket - T0 // BUCKET_MS: unpack(packed) for bucket, packed in scene.product().buckets.items()}
    assert buckets == {0: (1, 1, 1, 0, 0, 0, 0, 0), 1: (0, 0, 0, 0, 0, 0, 1, 1)}


@pytest.mark.parametrize(("metric", "days"), [(STOCK, 30), (FEES, 7)])
def test_a_window_lets_a_bucket_go_on_a_boundary(metric: str, days: int) -> None:
    scene = Scene()
    scene.placed("O", T0 + BUCKET_MS - 1)
    scene.fee(T0 + BUCKET_MS - 1)
    gone = T0 + days * DAY_MS
    scene.until(gone - 1)
    assert scene.numbers(metric)[1] == 1
    scene.until(gone)
    assert scene.numbers(metric)[1] == 0


def test_a_line_is_due_once_the_clock_has_passed_ship_by() -> None:
    scene = Scene()
    scene.placed("O", T0, ship_by=T0 + HOUR_MS)
    scene.until(T0 + HOUR_MS)
    assert (scene.numbers(LATE), scene.numbers(OVERDUE)) == ((0, 0), (0, 0))
    scene.until(T0 + HOUR_MS + 1)
    assert (scene.numbers(LATE), scene.numbers(OVERDUE)) == ((1, 1), (1, 1))


def test_an_event_at_ship_by_finds_the_line_not_due_yet() -> None:
    scene = Scene()
    scene.placed("O", T0, ship_by=T0)
    assert scene.counted() == {"placed": 1}
    assert scene.product().threats == 1
    scene.placed("late", T0, ship_by=T0 - 1)
    assert scene.counted() == {"placed": 2, "due": 1, "late": 1, "overdue": 1}
    scene.until(T0 + 1)
    assert scene.counted() == {"placed": 2, "due": 2, "late": 2, "overdue": 2}
    assert scene.product().threats == 0


def test_a_line_that_moves_its_deadline_moves_its_counts() -> None:
    scene = Scene()
    scene.placed("O", T0, ship_by=T0 + HOUR_MS)
    scene.until(T0 + 9 * HOUR_MS)
    assert scene.counted() == {"placed": 1, "due": 1, "late": 1, "overdue": 1}
    scene.extended("O", T0 + HOUR_MS, T0 + 8 * HOUR_MS)
    assert set(scene.product().buckets) == {T0 // BUCKET_MS, T0 // BUCKET_MS + 1}
    assert scene.counted() == {"placed": 1, "due": 1, "late": 1, "overdue": 1}
    scene.extended("O", T0 + 8 * HOUR_MS, T0 + 10 * HOUR_MS)
    assert scene.counted() == {"placed": 1}
    scene.until(T0 + 10 * HOUR_MS + 1)
    assert scene.counted() == {"placed": 1, "due": 1, "late": 1, "overdue": 1}


def test_a_rival_placed_moves_the_line_to_its_bucket() -> None:
    scene = Scene()
    scene.placed("O", T0, ship_by=T0 + HOUR_MS)
    scene.until(T0 + DAY_MS)
    scene.placed("O", T0 - 3 * HOUR_MS, ship_by=T0 - HOUR_MS)
    assert set(scene.product().buckets) == {T0 // BUCKET_MS - 1}
    assert scene.counted() == {"placed": 1, "due": 1, "late": 1, "overdue": 1}


def test_the_longest_window_of_any_policy_in_the_file_says_how_long_buckets_are_held() -> None:
    for days in (60, 30):
        later = policy("later", T0 + 900 * DAY_MS, metrics={STOCK: {"window_ms": days * DAY_MS}})
        scene = Scene(policy(), later)
        scene.placed("O", T0)
        scene.cancelled("O", T0)
        scene.until(T0 + days * DAY_MS - 1)
        assert scene.product().buckets
        scene.until(T0 + days * DAY_MS)
        assert "P1" not in scene.partition.products or not scene.product().buckets


def test_with_no_policy_in_force_the_defaults_windows_count_no_bucket_that_was_dropped() -> None:
    """The file's longest window is shorter than the default's 30 days, which serve until a policy is in force."""
    short = {name: {"window_ms": DAY_MS} for name in METRICS}
    scene = Scene(policy("later", T0 + 900 * DAY_MS, metrics=short))
    scene.placed("old", T0)
    scene.placed("new", T0 + 20 * DAY_MS)
    scene.until(T0 + 28 * DAY_MS - 1)
    assert scene.numbers(STOCK) == (0, 2)
    scene.until(T0 + 28 * DAY_MS)
    assert scene.numbers(STOCK) == (0, 1)
    scene.until(T0 + 40 * DAY_MS)
    assert scene.numbers(STOCK) == (0, 1)


def test_buckets_are_held_at_least_28_days() -> None:
    short = {name: {"window_ms": DAY_MS} for name in METRICS}
    scene = Scene(policy(metrics=short))
    scene.impressions(T0, 5)
    scene.until(T0 + 28 * DAY_MS - 1)
    assert scene.product().impressions == {T0 // BUCKET_MS: 5}
    scene.until(T0 + 28 * DAY_MS)
    assert "P1" not in scene.partition.products
