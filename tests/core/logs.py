"""Input logs of one partition as bytes, and the same logs and policies for the oracle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from streams.codecs.durations import parse_duration
from streams.codecs.event_lines import InputRecord
from streams.codecs.policy_file import parse_policies
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.rulebook import BUCKET_MS
from streams.testing.records import time_ms
from streams.testing.strategies import HistoryRecord, PolicyTable, to_toml
from tests.oracle import Oracle, Record

Logs: TypeAlias = list[list[InputRecord]]
"""The four input logs of a partition, in the order of SPEC section 2; the index in a log is the offset."""

_DURATIONS = {"window", "grace", "dwell", "resolved_for"}


def logs_of(history: Iterable[HistoryRecord]) -> Logs:
    """A history as four logs."""
    logs: Logs = [[], [], [], []]
    for record in history:
        timestamp_ms, topic, key, value = record.record()
        logs[topic].append(InputRecord(topic, timestamp_ms, key, value))
    return logs


def merged(logs: Sequence[Sequence[InputRecord]]) -> list[InputRecord]:
    """All records in the order SPEC section 5 applies them: of the heads the least (record timestamp, topic)."""
    unread = [list(log) for log in logs]
    order = []
    while any(unread):
        head = min((log[0] for log in unread if log), key=lambda record: (record.timestamp_ms, record.topic))
        order.append(unread[head.topic].pop(0))
    return order


def policy_set(tables: list[PolicyTable] | None) -> PolicySet:
    """The core's policies, read from the file that holds these tables; without tables the default."""
    if tables is None:
        return PolicySet((DEFAULT_POLICY,))
    return parse_policies(to_toml(tables), "policies.toml", BUCKET_MS)


def oracle_policies(tables: list[PolicyTable] | None) -> list[dict[str, Any]] | None:
    """The same for the oracle."""
    if tables is None:
        return None
    found = []
    for table in tables:
        policy = _in_ms({name: value for name, value in table.items() if name != "metrics"})
        policy["effective_from"] = time_ms(table["effective_from"])
        policy["metrics"] = {name: _in_ms(metric) for name, metric in table.get("metrics", {}).items()}
        found.append(policy)
    return found


def _in_ms(table: dict[str, Any]) -> dict[str, Any]:
    return {
        (f"{name}_ms" if name in _DURATIONS else name): parse_duration(value) if name in _DURATIONS else value
        for name, value in table.items()
    }


def ask_oracle(logs: Logs, tables: list[PolicyTable] | None, until_ms: int | None) -> Oracle:
    """What the oracle says of the logs."""
    oracle = Oracle(oracle_policies(tables))
    oracle.run(
        [
            [
                Record(record.topic, record.timestamp_ms, json.loads(record.value or b"", parse_float=Decimal))
                for record in log
            ]
            for log in logs
        ],
        until_ms,
    )
    return oracle
