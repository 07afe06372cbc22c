"""The flags in memory: what a record does to them, and what is answered when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clients.flag_table import FlagTable, NotReady, ProductFlag
from tests.unit.cli.examples import snapshot_value


def test_it_answers_only_when_all_is_known() -> None:
    table = FlagTable()
    table.apply(b"P1", snapshot_value("P1", "impacted"))
    for ask in (table.visibility, table.get):
        with pytest.raises(NotReady):
            ask("P1")
    table.show()
    assert table.visibility("P1") == "impacted"
    assert table.get("P1") == ProductFlag(
        "impacted", "S1", "US", 2, "2026-01-05T00:00:00.000Z", (("unshipped_overdue_rate", "impacted"),)
    )
    assert (table.visibility("P2"), table.get("P2")) == ("clear", None)


def test_a_tombstone_makes_a_product_clear() -> None:
    table = FlagTable()
    table.show()
    table.apply(b"P1", snapshot_value("P1", "at_risk"))
    before = table.get("P1")
    assert table.apply(b"P1", None) == ("P1", before, None)
    assert (table.visibility("P1"), len(table)) == ("clear", 0)
    assert table.apply(b"P1", None) == ("P1", None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"P1", b"nonsense"),
        (b"P1", b"{}"),
        (b"P1", b"\xff"),
        (b"P2", snapshot_value("P1")),
        (None, snapshot_value("P1")),
        (b"\xff", None),
        (None, None),
        (b"P1", snapshot_value("P1").replace(b'"current_status":"impacted"', b'"current_status":"hidden"')),
    ],
)
def test_what_is_no_snapshot_is_counted_and_changes_nothing(key: bytes | None, value: bytes | None) -> None:
    table = FlagTable()
    table.show()
    table.apply(b"P1", snapshot_value("P1", "at_risk"))
    assert table.apply(key, value) is None
    assert (table.skipped, table.visibility("P1"), len(table)) == (1, "at_risk", 1)


def test_after_it_forgot_nothing_stale_is_left() -> None:
    table = FlagTable()
    table.show()
    table.apply(b"P1", snapshot_value("P1"))
    table.forget()
    with pytest.raises(NotReady):
        table.visibility("P1")
    table.show()
    assert (table.visibility("P1"), len(table)) == ("clear", 0)


STATUSES = st.sampled_from(["at_risk", "impacted", "resolved", None])


@given(st.lists(st.tuples(st.sampled_from(["P1", "P2", "P3"]), STATUSES), max_size=30))
def test_the_last_record_of_a_product_is_what_counts(records: list[tuple[str, str | None]]) -> None:
    table = FlagTable()
    for product_id, status in records:
        table.apply(product_id.encode(), None if status is None else snapshot_value(product_id, status))
    table.show()
    last = dict(records)
    for product_id in ("P1", "P2", "P3"):
        assert table.visibility(product_id) == (last.get(product_id) or "clear")
