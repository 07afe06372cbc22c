"""Hypothesis strategies for whoever tests a part of the pipeline, or an implementation of their own (SPEC).

`histories` gives what happened, `policy_sets` what it is judged by. This module, and no other of the package but the
one it takes `histories` from, needs Hypothesis.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from streams.domain.policy import METRICS
from streams.testing.fates import DAY_MS, HOUR_MS
from streams.testing.histories import BASE_MS, HistoryRecord, histories
from streams.testing.records import rfc3339

__all__ = ["BASE_MS", "METRICS", "HistoryRecord", "PolicyTable", "histories", "policy_sets", "to_toml"]

PolicyTable: TypeAlias = dict[str, Any]
"""One `[[policy]]` as TOML gives it: numbers with a point are Decimals, durations and times strings."""

_THRESHOLDS: Final = tuple(Decimal(text) for text in ("0.0001", "0.025", "0.1", "0.25", "0.3333", "0.5", "1"))
_EFFECTIVE_FROM_MS: Final = (
    BASE_MS - DAY_MS,
    BASE_MS,
    BASE_MS + 1,
    BASE_MS + 6 * HOUR_MS,
    BASE_MS + DAY_MS,
    BASE_MS + 2 * DAY_MS + HOUR_MS,
    BASE_MS + 20 * DAY_MS,
)


@st.composite
def _metric_tables(draw: st.DrawFn) -> dict[str, Any]:
    at_risk, impacted = sorted((draw(st.sampled_from(_THRESHOLDS)), draw(st.sampled_from(_THRESHOLDS))))
    n_min = draw(st.integers(1, 4))
    table: dict[str, Any] = {
        "window": draw(st.sampled_from(("24h", "48h", "72h", "3d", "6h"))),
        "n_min": n_min,
        "k_min": draw(st.integers(1, min(2, n_min))),
        "at_risk": at_risk,
        "impacted": impacted,
        "grace": draw(st.sampled_from(("0h", "1h", "6h", "24h", "90m"))),
    }
    if draw(st.integers(0, 9)) == 0:
        table["enabled"] = False
    if draw(st.integers(0, 3)) == 0:
        table["severe"] = draw(st.booleans())
    if draw(st.integers(0, 9)) == 0:
        table["review_url"] = "https://example.org/{region}/{product_id}?seller={seller_id}"
        table["documentation_url"] = "https://example.org/{unknown}/{{product_id}}"
    return table


@st.composite
def _policies(draw: st.DrawFn, first: bool) -> PolicyTable:
    effective_from = st.just(_EFFECTIVE_FROM_MS[0]) if first else st.sampled_from(_EFFECTIVE_FROM_MS)
    table: PolicyTable = {"version": "", "effective_from": rfc3339(draw(effective_from))}
    for name, values in ("region", ("US", "DE", "")), ("category", ("toys", "books", "")):
        if draw(st.integers(0, 4 if first else 1)) == 0:
            table[name] = draw(st.sampled_from(values))
    table["exit_ratio"] = draw(st.sampled_from((Decimal("0.8"), Decimal(1), Decimal("0.5"))))
    table["dwell"] = draw(st.sampled_from(("6h", "0h", "1h", "24h")))
    table["resolved_for"] = draw(st.sampled_from(("12h", "1h", "2d", "4d", "14d")))
    table["severe_ratio"] = draw(st.sampled_from((Decimal(1), Decimal("1.5"), Decimal("3.0"))))
    table["severe_k_min"] = draw(st.integers(1, 4))
    table["wilson_z"] = draw(st.sampled_from((Decimal("1.2816"), Decimal("0.5"), Decimal(0))))
    table["high_fee_ratio"] = draw(st.sampled_from((Decimal("1.2"), Decimal("1.2"), Decimal(1), Decimal("2.5"))))
    # A metric that is left out takes the defaults, whose gates no small history opens: seldom, then.
    names = [name for name in METRICS if draw(st.integers(0, 9))]
    table["metrics"] = {name: draw(_metric_tables()) for name in names}
    return table


@st.composite
def policy_sets(draw: st.DrawFn, max_policies: int = 3) -> list[PolicyTable]:
    """Valid policy files, as lists of `[[policy]]` tables in the shape of SPEC section 6, for a bucket width of 6 h.

    Windows of 6 h to 72 h, low minima, short graces and dwells (down to none), disabled metrics, an exit ratio of 1:
    so that `histories` reach every rule. The first policy is mostly for all products and in force from before their
    beginning; up to `max_policies` - 1 others come into force meanwhile, with or without selectors.
    """
    assert max_policies >= 1
    tables = [draw(_policies(first=True))]
    others = draw(st.sampled_from((0, 0, 1, 2, max_policies - 1)))
    for _ in range(min(others, max_policies - 1)):
        tables.append(draw(_policies(first=False)))
    kept: dict[tuple[object, ...], PolicyTable] = {}
    for table in tables:
        kept.setdefault((table["effective_from"], table.get("region"), table.get("category")), table)
    return [{**table, "version": f"v{number}"} for number, table in enumerate(kept.values(), 1)]


def to_toml(policies: list[PolicyTable]) -> str:
    """The policy file that holds these tables."""
    lines = []
    for policy in policies:
        lines.append("[[policy]]")
        lines += [f"{key} = {_toml(value)}" for key, value in policy.items() if key != "metrics"]
        for name, metric in policy.get("metrics", {}).items():
            lines.append(f"[policy.metrics.{name}]")
            lines += [f"{key} = {_toml(value)}" for key, value in metric.items()]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # The texts here hold neither quotes nor backslashes, which a literal string could not.
        assert "'" not in value
        return f"'{value}'"
    return str(value)
