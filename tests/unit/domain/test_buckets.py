"""Counters packed into one integer: adding and taking away never spills from one into another."""

from __future__ import annotations

from random import Random

from streams.domain.buckets import (
    COUNTERS,
    FIELD_MASK,
    ONE_DUE,
    ONE_FEE,
    ONE_HIGH_FEE,
    ONE_LATE,
    ONE_OVERDUE,
    ONE_PLACED,
    ONE_SELLER_CANCELLED,
    ONE_STOCK_CANCELLED,
    pack,
    unpack,
    window_total,
)


def test_each_counter_has_a_field_of_its_own() -> None:
    ones = (
        *(ONE_PLACED, ONE_STOCK_CANCELLED, ONE_SELLER_CANCELLED),
        *(ONE_DUE, ONE_LATE, ONE_OVERDUE, ONE_FEE, ONE_HIGH_FEE),
    )
    assert [unpack(one).index(1) for one in ones] == list(range(len(COUNTERS)))
    assert all(sum(unpack(one)) == 1 for one in ones)


def test_pack_and_unpack_are_each_others_inverse() -> None:
    counts = (0, 1, 2, 3, FIELD_MASK, 5, 6, FIELD_MASK)
    assert unpack(pack(counts)) == counts


def test_the_sum_of_differences_is_the_difference_of_sums() -> None:
    random = Random(1)
    counts, packed = [0] * 8, 0
    for _ in range(500):
        change = [random.choice((-count, -1, 0, 1)) if count else random.choice((0, 1)) for count in counts]
        counts = [count + by for count, by in zip(counts, change, strict=True)]
        # As a line's share is replaced: what is taken away and what is added, in one difference.
        packed += pack(max(by, 0) for by in change) - pack(max(-by, 0) for by in change)
        assert unpack(packed) == tuple(counts)


def test_a_window_holds_its_last_bucket_and_so_many_before_it() -> None:
    buckets = {number: pack([1 << (number % 8)] + [0] * 7) for number in range(10, 18)}
    assert unpack(window_total(buckets, 15, 1))[0] == 1 << 15 % 8
    assert unpack(window_total(buckets, 15, 3))[0] == sum(1 << number % 8 for number in (13, 14, 15))
    assert unpack(window_total(buckets, 99, 3))[0] == 0
    assert unpack(window_total(buckets, 17, 100))[0] == 255
