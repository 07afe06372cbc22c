"""The core, fed as a worker feeds it, and the naive oracle say the same of any log, to the byte (SPEC 4 to 8)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.codecs.event_lines import InputRecord
from streams.codecs.outputs import encode_transition
from streams.domain.policy import HOUR_MS, METRICS
from streams.domain.transitions import Transition
from streams.engine.backtest import backtest
from streams.engine.partitioning import partition_of
from streams.testing.strategies import HistoryRecord, PolicyTable, histories, policy_sets
from tests.core.logs import Logs, ask_oracle, logs_of, policy_set
from tests.core.pipeline import Pipeline, run_pipeline, same_end
from tests.core.random_logs import RandomLogs, random_policies
from tests.oracle import Oracle

unhurried = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

# What a topic may hold besides accepted events: of an unknown type, or refused (SPEC 3).
NOISE = (
    b'{"type":"order.wrapped","event_id":"n","product_id":"P1","occurred_at":9999999999999}',
    b'{"type":"flagged-products.unknown.v1"}',
    b"\xff",
    b"{}",
    b'{"type":"impressions.counted","event_id":"n","product_id":"P1","occurred_at":1772409600000,"count":-1}',
    None,
)


def last_ms(logs: Logs) -> int:
    return max((record.timestamp_ms for log in logs for record in log), default=0)


def with_noise(logs: Logs, random: Random) -> Logs:
    """Records between the others that change nothing: each of the timestamp of the record it comes before."""
    noisy: Logs = [[], [], [], []]
    for log, other in zip(logs, noisy, strict=True):
        for record in log:
            if random.random() < 0.2:
                other.append(InputRecord(record.topic, record.timestamp_ms, b"P1", random.choice(NOISE)))
            other.append(record)
    return noisy


def agree(pipeline: Pipeline, oracle: Oracle) -> None:
    assert pipeline.published == oracle.transitions
    assert pipeline.rates() == oracle.rates()
    assert pipeline.partition.clock == oracle.clock_ms


@settings(unhurried, max_examples=250)
@given(histories(max_events=40), policy_sets(), st.integers(0, 40), st.integers(0, 2**32))
def test_any_history_under_any_policies(
    history: list[HistoryRecord], tables: list[PolicyTable], buckets: int, seed: int
) -> None:
    logs = logs_of(history)
    until_ms = last_ms(logs) + buckets * 6 * HOUR_MS
    agree(run_pipeline(logs, policy_set(tables), until_ms, Random(seed)), ask_oracle(logs, tables, until_ms))


@pytest.mark.parametrize("seed", range(18))
def test_a_long_log_from_a_seed(seed: int) -> None:
    random = Random(seed)
    generated = RandomLogs(random, events=220)
    tables = random_policies(random, generated.end_ms) if seed % 6 else None
    until_ms = generated.end_ms + 60 * 24 * HOUR_MS if seed % 3 else None
    oracle = ask_oracle(generated.logs, tables, until_ms)
    assert oracle.transitions or tables is None
    agree(run_pipeline(generated.logs, policy_set(tables), until_ms, random), oracle)


@settings(unhurried, max_examples=60)
@given(histories(max_events=25), policy_sets(), st.integers(0, 2**32))
def test_refused_and_unknown_records_change_nothing(
    history: list[HistoryRecord], tables: list[PolicyTable], seed: int
) -> None:
    logs = logs_of(history)
    noisy = with_noise(logs, Random(seed))
    records = [record for log in noisy for record in log]
    result = backtest(records, policy_set(tables), partitions=1)
    oracle = ask_oracle(logs, tables, None)
    assert encoded(result.transitions[0]) == oracle.transitions
    assert sum(result.refused.values()) + result.outcomes["order.wrapped", "skipped"] + result.outcomes[
        "flagged-products.unknown.v1", "skipped"
    ] == len(records) - len(history)


@settings(unhurried, max_examples=60)
@given(histories(max_events=30), policy_sets(), st.integers(0, 2**32))
def test_how_a_log_is_batched_cut_and_restarted_changes_nothing(
    history: list[HistoryRecord], tables: list[PolicyTable], seed: int
) -> None:
    logs, policies = logs_of(history), policy_set(tables)
    until_ms = last_ms(logs) + 20 * 6 * HOUR_MS
    one, other = (run_pipeline(logs, policies, until_ms, Random(seed + i)) for i in range(2))
    same_end(one, other)


@settings(unhurried, max_examples=40)
@given(histories(max_events=30), policy_sets(), st.integers(1, 4))
def test_each_partition_of_a_log_is_what_the_oracle_says_of_it_alone(
    history: list[HistoryRecord], tables: list[PolicyTable], partitions: int
) -> None:
    records = [record for log in logs_of(history) for record in log]
    until_ms = max(record.timestamp_ms for record in records) + 6 * HOUR_MS
    result = backtest(records, policy_set(tables), partitions=partitions, until_ms=until_ms)
    for number in range(partitions):
        logs: Logs = [[], [], [], []]
        for record in records:
            if partition_of(record.key, partitions) == number:
                logs[record.topic].append(record)
        assert encoded(result.transitions[number]) == ask_oracle(logs, tables, until_ms).transitions


EAGER: PolicyTable = {
    "version": "eager",
    "effective_from": "1970-01-01T00:00:00Z",
    "metrics": {name: {"n_min": 1, "k_min": 1, "grace": "6h"} for name in METRICS},
}


@settings(unhurried, max_examples=60)
@given(histories(max_events=40, repeats_move=True), st.sampled_from((None, [EAGER])))
def test_the_default_windows_too(history: list[HistoryRecord], tables: list[PolicyTable] | None) -> None:
    logs = logs_of(history)
    until_ms = last_ms(logs) + 75 * 24 * HOUR_MS
    agree(run_pipeline(logs, policy_set(tables), until_ms, Random(0)), ask_oracle(logs, tables, until_ms))


def encoded(transitions: Sequence[Transition]) -> list[bytes]:
    return [encode_transition(transition) for transition in transitions]
