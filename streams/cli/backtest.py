"""`flagged-products backtest`: what a policy would have flagged, from files and without a broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from streams.cli.options import config_option, files_argument, read_time
from streams.codecs.event_lines import read_files
from streams.codecs.outputs import encode_transition
from streams.codecs.policy_file import load_policies
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.transitions import STATUS_NAMES
from streams.engine.backtest import BacktestResult, backtest
from streams.errors import UserError
from streams.settings import Settings
from streams.settings_load import load_settings
from streams.topic_names import topic_indices

_DIFFERENCES_SHOWN = 20


@click.command("backtest")
@files_argument
@config_option
@click.option("--policy", type=click.Path(dir_okay=False, path_type=Path), help="Policy file; without: the default's.")
@click.option("--compare", type=click.Path(dir_okay=False, path_type=Path), help="Another policy file, to compare.")
@click.option("--until", callback=read_time, help="Move every partition's clock on to this time at the end.")
@click.option("--partitions", type=click.IntRange(min=1), help="Partitions, each with its clock (default: 8).")
@click.option("--transitions", type=click.Path(dir_okay=False, path_type=Path), help="Write every transition, JSONL.")
@click.option("--rates", type=click.Path(dir_okay=False, path_type=Path), help="Write each product's counts, JSONL.")
def command(
    files: tuple[Path, ...],
    config: Path | None,
    policy: Path | None,
    compare: Path | None,
    until: int | None,
    partitions: int | None,
    transitions: Path | None,
    rates: Path | None,
) -> None:
    """Apply the events of FILE... as a worker in event clock would, and say what it gave.

    With --compare, the same events once more under another policy, and the difference.
    """
    settings = load_settings(config, overrides={"partitions": partitions, "policy_file": policy})
    result = _run(files, settings, _policies(settings.policy_file, settings), until)
    if transitions is not None:
        _write(transitions, (encode_transition(t) for emitted in result.transitions for t in emitted))
    if rates is not None:
        _write(rates, (orjson.dumps(line) for line in result.rates()))
    console = Console()
    _print_summary(console, result)
    if compare is not None:
        other = _run(files, settings, _policies(compare, settings), until)
        _print_comparison(console, str(settings.policy_file or "default"), result, str(compare), other)


def _policies(path: Path | None, settings: Settings) -> PolicySet:
    return PolicySet((DEFAULT_POLICY,)) if path is None else load_policies(path, settings.bucket_ms)


def _run(files: tuple[Path, ...], settings: Settings, policies: PolicySet, until: int | None) -> BacktestResult:
    return backtest(
        read_files(files, topic_indices(settings)),
        policies,
        partitions=settings.partitions,
        until_ms=until,
        bucket_ms=settings.bucket_ms,
        allowed_lateness_ms=settings.allowed_lateness_ms,
    )


def _write(path: Path, lines: Iterable[bytes]) -> None:
    try:
        with path.open("wb") as file:
            for line in lines:
                file.write(line + b"\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _print_summary(console: Console, result: BacktestResult) -> None:
    events = Counter[str]()
    for (_, outcome), count in result.outcomes.items():
        events[outcome] += count
    console.print("Events: " + (", ".join(f"{count:,} {name}" for name, count in sorted(events.items())) or "none"))
    if result.refused:
        console.print("Refused: " + ", ".join(f"{count:,} {why}" for why, count in result.refused.most_common()))
    statuses = Table("status", "products at the end", "became so", title="Products")
    emitted = [t for part in result.transitions for t in part]
    became = Counter(t.current_status for t in emitted if t.change == "status_changed")
    for name, count in result.statuses().items():
        statuses.add_row(name, f"{count:,}", f"{became[name]:,}")
    console.print(statuses)
    reasons = Table("reason", "level", "times it led", title="Why products were flagged")
    led = Counter(
        (t.reasons[0].metric, t.reasons[0].level)
        for t in emitted
        if t.reasons and t.cause in ("threshold_breach", "policy_changed")
    )
    for (metric, level), count in led.most_common():
        reasons.add_row(metric, level, f"{count:,}")
    console.print(reasons)


def _print_comparison(console: Console, name: str, one: BacktestResult, other_name: str, other: BacktestResult) -> None:
    table = Table("", name, other_name, "difference", title="Comparison")
    facts, other_facts = _facts(one), _facts(other)
    for what, count in facts.items():
        table.add_row(what, f"{count:,}", f"{other_facts[what]:,}", f"{other_facts[what] - count:+,}")
    console.print(table)
    ends, other_ends = _ends(one), _ends(other)
    changed = [key for key in sorted(ends.keys() | other_ends.keys()) if ends.get(key) != other_ends.get(key)]
    console.print(f"{len(changed):,} products end with another status.")
    for product_id in changed[:_DIFFERENCES_SHOWN]:
        console.print(f"  {product_id}: {ends.get(product_id, '-')} -> {other_ends.get(product_id, '-')}", markup=False)
    if len(changed) > _DIFFERENCES_SHOWN:
        console.print(f"  and {len(changed) - _DIFFERENCES_SHOWN:,} more")


def _facts(result: BacktestResult) -> dict[str, int]:
    emitted: list[Any] = [t for part in result.transitions for t in part]
    facts = {
        "transitions": len(emitted),
        "products ever flagged": len({t.product_id for t in emitted}),
        "products ever impacted": len({t.product_id for t in emitted if t.current_status == "impacted"}),
    }
    return facts | {f"{name} at the end": count for name, count in result.statuses().items()}


def _ends(result: BacktestResult) -> dict[str, str]:
    return {product.id: STATUS_NAMES[product.status] for product in result.products()}
