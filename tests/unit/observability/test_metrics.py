"""Metrics: their names and values, and that no label can grow with the input."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.observability.labels import BoundedLabel
from streams.observability.metrics import ALLOWED_LABELS, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a scrape reads, by name and labels."""
    page, _ = metrics.exposition()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((f"flagged_products_{name}", frozenset(labels.items())))


def exercised() -> Metrics:
    metrics = Metrics()
    for outcome in ("applied", "repeat", "late", "refused", "skipped"):
        metrics.events("order.placed", outcome, 2)
    metrics.dead_letters("bad_number", 3)
    metrics.transition("clear", "at_risk", "threshold_breach")
    metrics.applied(0.002)
    metrics.flushed(0.02, rows=5, size_bytes=700)
    metrics.recovered(1.5)
    metrics.rebalanced()
    metrics.lag("marketplace.orders.v1", 3, 17)
    metrics.clock_delay(3, 0.5)
    metrics.products(3, {"clear": 10, "impacted": 2})
    metrics.outbox_pending(3, 4)
    return metrics


def test_each_metric_has_its_value() -> None:
    metrics = exercised()
    assert value(metrics, "events_total", type="order.placed", outcome="applied") == 2
    assert value(metrics, "late_facts_total", type="order.placed") == 2
    assert value(metrics, "skipped_events_total", type="order.placed") == 2
    assert value(metrics, "dead_letters_total", reason="bad_number") == 3
    assert value(metrics, "transitions_total", from_status="clear", to_status="at_risk", cause="threshold_breach") == 1
    assert value(metrics, "apply_seconds_sum") == 0.002
    assert value(metrics, "flush_seconds_count") == 1
    assert (value(metrics, "flush_rows_total"), value(metrics, "flush_bytes_total")) == (5, 700)
    assert value(metrics, "recovery_seconds_sum") == 1.5
    assert value(metrics, "rebalances_total") == 1
    assert value(metrics, "lag_records", topic="marketplace.orders.v1", partition="3") == 17
    assert value(metrics, "clock_delay_seconds", partition="3") == 0.5
    assert value(metrics, "products", partition="3", status="impacted") == 2
    assert value(metrics, "products", partition="3", status="resolved") == 0
    assert value(metrics, "outbox_pending", partition="3") == 4


def test_build_info_tells_what_runs() -> None:
    (labels,) = [dict(labels) for name, labels in samples(Metrics()) if name == "flagged_products_build_info"]
    assert labels.keys() == {"version", "python"}


def test_all_names_have_our_prefix_and_all_labels_are_bounded() -> None:
    for name, labels in samples(exercised()):
        assert name.startswith(("flagged_products_", "process_")), name
        assert {label for label, _ in labels} - {"le"} <= ALLOWED_LABELS, name


def test_no_label_for_products_or_sellers_can_be_made() -> None:
    assert not {"product", "product_id", "seller", "seller_id", "order_id", "region", "category"} & ALLOWED_LABELS
    with pytest.raises(ValueError, match="product_id"):
        Metrics()._gauge("x", "x", ("product_id",))


def test_a_producer_that_makes_up_types_fills_no_memory() -> None:
    metrics = Metrics()
    for i in range(5_000):
        metrics.events(f"made.up.{i}", "skipped")
    metrics.events("order.shipped", "applied")
    metrics.events(None, "refused")
    skipped = {labels: n for (name, labels), n in samples(metrics).items() if name.endswith("skipped_events_total")}
    assert len(skipped) <= 51
    assert sum(skipped.values()) == 5_000
    # Known types keep their names whatever came before.
    assert value(metrics, "events_total", type="order.shipped", outcome="applied") == 1
    assert value(metrics, "events_total", type="other", outcome="refused") == 1


def test_what_is_not_a_plain_short_name_is_other() -> None:
    label = BoundedLabel({"known"}, others_max=2)
    assert [label.value(text) for text in ("x" * 65, "", "a b", 'a"} 1', "é", "a\n", None)] == ["other"] * 7
    assert [label.value(text) for text in ("a", "b", "c", "a", "known")] == ["a", "b", "other", "a", "known"]


def test_an_unknown_outcome_or_status_is_a_fault_of_the_caller() -> None:
    metrics = Metrics()
    with pytest.raises(ValueError, match="outcome"):
        metrics.events("order.placed", "lost")
    with pytest.raises(ValueError, match="statuses"):
        metrics.transition("clear", "bad", "recovered")
    with pytest.raises(ValueError, match="statuses"):
        metrics.products(0, {"P123": 1})


def test_a_partition_that_went_away_leaves_nothing_behind() -> None:
    metrics = exercised()
    metrics.lag("marketplace.orders.v1", 33, 1)
    metrics.forget_partition(3)
    metrics.forget_partition(4)
    partitions = {dict(labels)["partition"] for _, labels in samples(metrics) if "partition" in dict(labels)}
    assert partitions == {"33"}


def test_two_instances_share_nothing() -> None:
    assert value(Metrics(), "rebalances_total") == 0
    first, second = Metrics(), Metrics()
    first.rebalanced()
    assert value(second, "rebalances_total") == 0


def test_the_format_follows_the_accept_header() -> None:
    page, content_type = Metrics().exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")
    assert Metrics().exposition()[1].startswith("text/plain")
