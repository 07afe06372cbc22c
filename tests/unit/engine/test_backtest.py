"""A closed log without a broker (SPEC section 5, event clock)."""

from __future__ import annotations

from random import Random

from streams.codecs.event_lines import InputRecord
from streams.domain.policy import METRICS
from streams.engine.backtest import backtest
from streams.engine.partitioning import partition_of
from tests.core.logs import ask_oracle, merged, policy_set
from tests.core.random_logs import RandomLogs
from tests.core.scene import DAY_MS, HOUR_MS, T0
from tests.unit.engine.test_processor import cancelled, placed

POLICIES = policy_set(None)


def flagged() -> list[InputRecord]:
    orders = [placed(f"O{number}", T0 + number, ship_by=T0 + 60 * DAY_MS) for number in range(20)]
    return [*orders, *(cancelled(f"O{number}", T0 + 100 + number) for number in range(3))]


def test_what_a_log_comes_to() -> None:
    result = backtest(flagged(), POLICIES, partitions=1)
    assert [told.current_status for told in result.transitions[0]] == ["at_risk"]
    assert result.outcomes == {("order.placed", "applied"): 20, ("order.cancelled", "applied"): 3}
    assert result.statuses() == {"clear": 0, "at_risk": 1, "impacted": 0, "resolved": 0}
    (rates,) = result.rates()
    assert (rates["product_id"], rates["status"]) == ("P1", "at_risk")
    assert list(rates["metrics"]) == list(METRICS)
    assert rates["metrics"][METRICS[0]] == {"numerator": 3, "denominator": 20}


def test_the_clock_goes_on_to_the_end_that_is_given() -> None:
    result = backtest(flagged(), POLICIES, partitions=1, until_ms=T0 + 3 * DAY_MS)
    assert [told.current_status for told in result.transitions[0]] == ["at_risk", "impacted"]
    assert result.partitions[0].clock == T0 + 3 * DAY_MS


def test_rates_are_of_the_end_and_leave_out_products_of_which_nothing_is_left() -> None:
    result = backtest(flagged(), POLICIES, partitions=1, until_ms=T0 + 200 * DAY_MS)
    assert list(result.rates()) == []
    assert sum(result.statuses().values()) == 0
    late = backtest([placed("O", T0)], POLICIES, partitions=1, until_ms=T0 + HOUR_MS + 1)
    (rates,) = late.rates()
    assert rates["metrics"]["unshipped_overdue_rate"] == {"numerator": 1, "denominator": 1}


def test_each_partition_has_its_own_clock_and_an_empty_one_has_none() -> None:
    first, second = (next(f"P{n}" for n in range(99) if partition_of(f"P{n}".encode(), 3) == p) for p in (0, 2))
    records = []
    for product_id, at in ((first, T0), (second, T0 + DAY_MS)):
        record = placed("O", at, product_id=product_id)
        records.append(InputRecord(record.topic, record.timestamp_ms, product_id.encode(), record.value))
    result = backtest(records, POLICIES, partitions=3, until_ms=T0 + HOUR_MS)
    assert [partition.clock for partition in result.partitions] == [T0 + HOUR_MS, None, T0 + DAY_MS]
    assert [product.id for product in result.products()] == sorted([first, second])


def test_refused_records_are_counted_by_reason_and_records_without_a_key_are_in_partition_0() -> None:
    records = [InputRecord(0, T0, None, b"{}"), InputRecord(1, T0, b"K", b"\xff"), InputRecord(1, T0, b"K", b"\xff")]
    result = backtest(records, POLICIES, partitions=2)
    assert result.refused == {"no_type": 1, "not_utf8": 2}
    assert result.outcomes["", "refused"] == 3


def test_bucket_width_and_allowed_lateness_are_settings() -> None:
    records = [placed("O", T0), placed("late", T0 - HOUR_MS - 1, T0)]
    result = backtest(records, POLICIES, partitions=1, allowed_lateness_ms=HOUR_MS, bucket_ms=DAY_MS)
    assert result.outcomes["order.placed", "late"] == 1
    (product,) = result.products()
    assert set(product.buckets) == {T0 // DAY_MS}


def test_the_order_of_records_across_topics_is_the_merges_not_the_files() -> None:
    logs = RandomLogs(Random(5), events=60).logs
    in_order = merged(logs)
    by_topic = [record for log in reversed(logs) for record in log]
    one, other = (backtest(records, POLICIES, partitions=1) for records in (in_order, by_topic))
    assert one.transitions == other.transitions
    assert list(one.rates()) == list(other.rates())
    assert {rates["product_id"] for rates in one.rates()} == set(ask_oracle(logs, None, None).rates())


def test_logs_longer_than_a_chunk() -> None:
    records = [placed(f"O{number}", T0 + number) for number in range(4500)]
    result = backtest(records, POLICIES, partitions=1)
    assert result.outcomes == {("order.placed", "applied"): 4500}
