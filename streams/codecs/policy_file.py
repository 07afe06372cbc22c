"""The policy file: TOML to a `PolicySet`, refused whole if anything in it is wrong (SPEC section 6)."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from streams.codecs.durations import format_duration
from streams.codecs.policy_values import (
    Refusal,
    Table,
    decimal,
    duration,
    read_time,
    text,
    threshold,
    truth,
    url_template,
    whole,
)
from streams.codecs.toml_file import read_source, syntax_message
from streams.codecs.toml_lines import key_lines
from streams.domain.policy import DEFAULT_METRICS, DEFAULT_POLICY, METRICS, MetricPolicy, Policy, PolicySet
from streams.errors import UserError

# A file with a policy for each of 1,000 regions and categories is a few hundred kB.
LARGEST_FILE_BYTES = 4_000_000

_POLICY_KEYS = (
    "version",
    "effective_from",
    "region",
    "category",
    "exit_ratio",
    "dwell",
    "resolved_for",
    "severe_ratio",
    "severe_k_min",
    "wilson_z",
    "high_fee_ratio",
    "metrics",
)
_METRIC_KEYS = (
    "window",
    "n_min",
    "k_min",
    "at_risk",
    "impacted",
    "grace",
    "enabled",
    "severe",
    "review_url",
    "documentation_url",
)


def load_policies(path: str | Path | None, bucket_ms: int) -> PolicySet:
    """The policies of a file, or the default policy alone without one.

    `bucket_ms` is the bucket width that windows must be multiples of. Raises UserError for a file that can't be read
    or has anything wrong: `FILE:LINE: FIELD: what is wrong and what is valid`.
    """
    if path is None:
        return PolicySet((DEFAULT_POLICY,))
    source = read_source(path, "policy file", "policy_file", LARGEST_FILE_BYTES)
    return parse_policies(source, str(path), bucket_ms)


def parse_policies(source: str, name: str, bucket_ms: int) -> PolicySet:
    """The policies of a file's text; `name` stands for the file in messages. Raises UserError as `load_policies`."""
    try:
        document = tomllib.loads(source, parse_float=_exact)
    except (ValueError, RecursionError) as error:  # a ValueError of its own, or of an integer without end
        raise UserError(syntax_message(name, source, str(error))) from None
    try:
        return PolicySet(_read_policies(document, key_lines(source), bucket_ms))
    except Refusal as refusal:
        raise UserError(f"{name}:{refusal.line}: {refusal}") from None


def _exact(written: str) -> Decimal:
    """The decimal as written; one with an exponent beyond all bounds is no number."""
    try:
        return Decimal(written)
    except InvalidOperation:
        return Decimal("NaN")


def _read_policies(document: dict[str, Any], lines: dict[tuple[str | int, ...], int], bucket_ms: int) -> list[Policy]:
    root = Table(document, (), lines)
    root.refuse_unknown(("policy",))
    tables = root.tables("policy")
    policies: list[Policy] = []
    seen: dict[tuple[int, tuple[str | None, str | None]], int] = {}
    for table in tables:
        policy = _read_policy(table, bucket_ms)
        key = policy.effective_from_ms, policy.selector
        if key in seen:
            table.refuse("effective_from", f"the policy of line {seen[key]} has the same time, region and category")
        seen[key] = table.line()
        policies.append(policy)
    return policies


def _read_policy(table: Table, bucket_ms: int) -> Policy:
    table.refuse_unknown(_POLICY_KEYS)
    table.require("version")
    table.require("effective_from")
    default = DEFAULT_POLICY
    return Policy(
        version=table.read("version", text(least=1, most=256), ""),
        effective_from_ms=table.read("effective_from", read_time, 0),
        # Empty is a region like any other: events may carry it.
        region=table.read("region", text(least=0, most=256), None),
        category=table.read("category", text(least=0, most=256), None),
        exit_ratio=table.read("exit_ratio", decimal(more_than=0, at_most=1), default.exit_ratio),
        dwell_ms=table.read("dwell", duration(least_ms=0), default.dwell_ms),
        resolved_for_ms=table.read("resolved_for", duration(least_ms=1), default.resolved_for_ms),
        severe_ratio=table.read("severe_ratio", decimal(at_least=1), default.severe_ratio),
        severe_k_min=table.read("severe_k_min", whole(least=0), default.severe_k_min),
        # Beyond 100 the bound is nearly 0 for any rate; far beyond, its square is no finite double.
        wilson_z=float(table.read("wilson_z", decimal(at_least=0, at_most=100), default.wilson_z)),
        high_fee_ratio=table.read("high_fee_ratio", decimal(more_than=0), default.high_fee_ratio),
        metrics=_read_metrics(table, bucket_ms),
    )


def _read_metrics(policy: Table, bucket_ms: int) -> tuple[MetricPolicy, ...]:
    metrics = policy.table("metrics")
    if metrics is None:
        return DEFAULT_METRICS
    metrics.refuse_unknown(METRICS)
    tables = [metrics.table(name) for name in METRICS]
    return tuple(
        default if table is None else _read_metric(table, default, bucket_ms)
        for table, default in zip(tables, DEFAULT_METRICS, strict=True)
    )


def _read_metric(table: Table, default: MetricPolicy, bucket_ms: int) -> MetricPolicy:
    table.refuse_unknown(_METRIC_KEYS)
    metric = replace(
        default,
        window_ms=table.read("window", duration(least_ms=1), default.window_ms),
        n_min=table.read("n_min", whole(least=1), default.n_min),
        k_min=table.read("k_min", whole(least=1), default.k_min),
        at_risk=table.read("at_risk", threshold, default.at_risk),
        impacted=table.read("impacted", threshold, default.impacted),
        grace_ms=table.read("grace", duration(least_ms=0), default.grace_ms),
        enabled=table.read("enabled", truth, default.enabled),
        severe=table.read("severe", truth, default.severe),
        review_url=table.read("review_url", url_template, None),
        documentation_url=table.read("documentation_url", url_template, None),
    )
    if metric.window_ms % bucket_ms:
        table.refuse(
            "window",
            f"{format_duration(metric.window_ms)} is not a multiple of the bucket width {format_duration(bucket_ms)}",
        )
    # Where one of the two is a default, the one that was written is to blame.
    if metric.at_risk > metric.impacted:
        if "at_risk" in table:
            table.refuse("at_risk", f"{metric.at_risk} is more than impacted, which is {metric.impacted}")
        table.refuse("impacted", f"{metric.impacted} is less than at_risk, which is {metric.at_risk}")
    if metric.n_min < metric.k_min:
        if "n_min" in table:
            table.refuse("n_min", f"{metric.n_min} is less than k_min, which is {metric.k_min}")
        table.refuse("k_min", f"{metric.k_min} is more than n_min, which is {metric.n_min}")
    return metric
