"""What is read back from the changelog goes on as if nothing had happened, wherever it was cut (DESIGN 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.codecs import row
from streams.domain.policy import DAY_MS
from streams.testing.strategies import HistoryRecord, PolicyTable, histories, policy_sets
from tests.core.logs import ask_oracle, logs_of, policy_set
from tests.core.pipeline import Pipeline, Risks, run_pipeline, same_end
from tests.core.random_logs import RandomLogs, random_policies

unhurried = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

RISKY = Risks(cut=0.8, restart=0.4, torn=0.4, haunted=0.3, sizes=(1, 3, 20))
UNTOUCHED = Risks(cut=0, restart=0, haunted=0, asleep=0)


@contextmanager
def small_pages() -> Iterator[None]:
    """Products of a few lines have pages, which soon double and halve."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row, "PAGED_FROM", 4)
        patch.setattr(row, "PAGE_ITEMS_MAX", 3)
        patch.setattr(row, "PAGE_ITEMS_MIN", 1)
        yield


@settings(unhurried, max_examples=100)
@given(histories(max_events=40), policy_sets(), st.integers(0, 2**32))
def test_restarts_anywhere_change_nothing(history: list[HistoryRecord], tables: list[PolicyTable], seed: int) -> None:
    logs, policies = logs_of(history), policy_set(tables)
    until_ms = max(record.timestamp for record in history) + 10 * DAY_MS
    untouched = run_pipeline(logs, policies, until_ms, Random(seed), UNTOUCHED)
    same_end(run_pipeline(logs, policies, until_ms, Random(seed), RISKY), untouched)


@settings(unhurried, max_examples=100)
@given(histories(max_events=60), policy_sets(), st.integers(0, 2**32))
def test_restarts_of_products_with_pages(history: list[HistoryRecord], tables: list[PolicyTable], seed: int) -> None:
    logs, policies = logs_of(history), policy_set(tables)
    until_ms = max(record.timestamp for record in history) + 10 * DAY_MS
    untouched = run_pipeline(logs, policies, until_ms, Random(seed), UNTOUCHED)
    with small_pages():
        same_end(run_pipeline(logs, policies, until_ms, Random(seed), RISKY), untouched)


def test_pages_grow_shrink_and_vanish_through_a_long_log_with_restarts() -> None:
    changes = set()
    for seed in range(100, 106):
        random = Random(seed)
        # Two bursts far apart: products grow, shrink as lines are forgotten, and grow again.
        generated = RandomLogs(random, events=150, products=3, days=20)
        tables = random_policies(random, generated.end_ms)
        until_ms = generated.end_ms + 100 * DAY_MS
        with small_pages():
            pipeline = run_pipeline(generated.logs, policy_set(tables), until_ms, random, RISKY)
        oracle = ask_oracle(generated.logs, tables, until_ms)
        assert pipeline.published == oracle.transitions
        assert pipeline.rates() == oracle.rates()
        for before, after in zip(pipeline.page_counts, pipeline.page_counts[1:], strict=False):
            for product_id in before.keys() | after.keys():
                changes.add((before.get(product_id, 0), after.get(product_id, 0)))
    assert any(0 < before < after for before, after in changes)
    assert any(before > after > 0 for before, after in changes)
    assert any(before > after == 0 for before, after in changes)


def test_pages_that_were_not_written_again_are_still_the_products() -> None:
    """A cut writes the header and the pages that changed; the others in the log stay good."""
    random = Random(7)
    generated = RandomLogs(random, events=120, products=1, days=10)
    rows_at_once = []
    with small_pages():
        pipeline = Pipeline(policy_set(None))
        while pipeline.feed(generated.logs, (1,), random):
            before = len(pipeline.log)
            pipeline.cut()
            rows_at_once.append(len(pipeline.log) - before)
        pages = max(pipeline.page_counts[-1].values())
        pipeline.restart(compact=True)
        assert pipeline.rates() == ask_oracle(generated.logs, None, None).rates()
    assert pages >= 16
    # One event: header, meta row, the page of its line, and one of the outbox (the snapshot that it caused, or a
    # tombstone for the one before).
    assert sorted(rows_at_once)[len(rows_at_once) // 2] <= 4
