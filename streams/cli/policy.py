"""`flagged-products policy check FILE`: is a policy file good, and what is in force when by it (SPEC section 6)?"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.codecs.durations import format_duration, parse_duration
from streams.codecs.policy_file import load_policies
from streams.domain.policy import DAY_MS, METRICS, MetricPolicy, Policy, PolicySet

_WIDTH = 110  # of a pipe or a file, where rich would take 80 and break the metrics' names


@click.group("policy")
def command() -> None:
    """Look at policy files."""


def _read_bucket(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    try:
        bucket_ms = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if bucket_ms == 0 or DAY_MS % bucket_ms:
        raise click.BadParameter("must divide 24h")
    return bucket_ms


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--bucket",
    "bucket_ms",
    default="6h",
    show_default=True,
    envvar="FLAGGED_BUCKET",
    callback=_read_bucket,
    help="Bucket width that windows must be multiples of.",
)
def check(file: Path, bucket_ms: int) -> None:
    """Check a policy FILE and show what is in force when.

    A bad file is refused with its line and field, and exit code 2.
    """
    policies = load_policies(file, bucket_ms)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(_timeline(policies))
    for policy in _in_order(policies):
        console.print()
        console.print(_metrics(policy))
    console.print()
    console.print(f"{file}: good, {len(policies.policies)} in all", markup=False, highlight=False, soft_wrap=True)


def _in_order(policies: PolicySet) -> list[Policy]:
    """By selector, the general ones first, and by time within one."""
    return sorted(
        policies.policies,
        key=lambda policy: (
            policy.precedence[0],
            policy.category or "",
            policy.region or "",
            policy.effective_from_ms,
        ),
    )


def _timeline(policies: PolicySet) -> Table:
    """One row per policy: from when until when it is the choice for its selector."""
    table = Table(title="In force", title_justify="left")
    for heading in ("for", "from", "until", "version"):
        table.add_column(heading)
    ordered = _in_order(policies)
    for policy, follower in zip(ordered, [*ordered[1:], None], strict=True):
        replaced = follower is not None and follower.selector == policy.selector
        table.add_row(
            Text(_selector(policy)),
            _time(policy.effective_from_ms),
            _time(follower.effective_from_ms) if follower is not None and replaced else "",
            Text(policy.version),
        )
    return table


def _metrics(policy: Policy) -> Table:
    """The thresholds of one policy, what holds for all its metrics below."""
    table = Table(
        title=Text(f"{policy.version}: {_selector(policy)}, from {_time(policy.effective_from_ms)}"),
        title_justify="left",
        caption=(
            f"exit ratio {policy.exit_ratio}, dwell {format_duration(policy.dwell_ms)}, "
            f"resolved for {format_duration(policy.resolved_for_ms)}, "
            f"severe from {policy.severe_ratio} x impacted with k >= {policy.severe_k_min}, "
            f"z {policy.wilson_z}, high fee above {policy.high_fee_ratio} x reference"
        ),
        caption_justify="left",
    )
    table.add_column("metric", no_wrap=True)
    for heading in ("window", "n_min", "k_min", "at_risk", "impacted", "grace", "severe"):
        table.add_column(heading, justify="right")
    for name, metric in zip(METRICS, policy.metrics, strict=True):
        table.add_row(name, *_cells(metric))
    return table


def _cells(metric: MetricPolicy) -> list[str]:
    if not metric.enabled:
        return ["disabled"]
    return [
        format_duration(metric.window_ms),
        str(metric.n_min),
        str(metric.k_min),
        str(metric.at_risk),
        str(metric.impacted),
        format_duration(metric.grace_ms),
        "yes" if metric.severe else "no",
    ]


def _selector(policy: Policy) -> str:
    """Which products a policy is for, in words."""
    parts = [
        f"{name} {value!r}"
        for name, value in (("region", policy.region), ("category", policy.category))
        if value is not None
    ]
    return " and ".join(parts) or "all products"


def _time(time_ms: int) -> str:
    # An offset can take a time of the year 9999 past what a datetime holds.
    try:
        return (datetime(1970, 1, 1) + timedelta(milliseconds=time_ms)).isoformat(timespec="seconds") + "Z"
    except OverflowError:
        return f"{time_ms} ms"
