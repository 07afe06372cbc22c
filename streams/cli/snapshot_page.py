"""One product's snapshot, for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from streams.cli.views import COLOURS, percent, shown, shown_time
from streams.codecs.output_views import EvidenceView, ImpressionsView, ReasonView, SnapshotView

_EVIDENCE_SHOWN = 3
_CHART_HEIGHT = 4
_BLOCKS = " ▁▂▃▄▅▆▇█"
# For a terminal that has no blocks: empty, half full, full.
_PLAIN_BLOCKS = " .#"
_LONGEST_CHART_DAYS = 60
# Wide enough for everything where there is no terminal to be as wide as.
_PIPE_WIDTH = 120


def print_snapshot(snapshot: SnapshotView) -> None:
    """Print all that a snapshot says to stdout."""
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    _print_head(console, snapshot)
    for reason in snapshot.reasons:
        _print_reason(console, reason)
    console.print()
    console.print(_metrics_table(snapshot))
    if snapshot.impressions:
        _print_impressions(console, snapshot.impressions)


def _print_head(console: Console, snapshot: SnapshotView) -> None:
    status = shown(snapshot.current_status)
    console.print(
        Text.assemble(
            (shown(snapshot.product_id), "bold"),
            " is ",
            (status, f"bold {COLOURS.get(status, '')}".strip()),
            f" since {shown_time(snapshot.effective_at)} UTC",
        )
    )
    category = "" if snapshot.category is None else f", category {shown(snapshot.category)}"
    console.print(f"  seller {shown(snapshot.seller_id)}, region {shown(snapshot.region)}{category}")
    relapses = f"relapsed {snapshot.relapse_count} times" if snapshot.relapse_count > 1 else "relapsed once"
    if not snapshot.relapse_count:
        relapses = "no relapse"
    policy = "no policy in force" if snapshot.policy_version is None else f"policy {shown(snapshot.policy_version)}"
    console.print(
        f"  {policy}; {relapses}; {snapshot.sequence} transitions so far; numbers as of "
        f"{shown_time(snapshot.updated_at)} UTC"
    )


def _print_reason(console: Console, reason: ReasonView) -> None:
    style = COLOURS.get(reason.level, "")
    console.print()
    console.print(Text.assemble((shown(reason.level), style), f" for {shown(reason.metric)}: {shown(reason.message)}"))
    lines = [
        f"rate {percent(reason.rate)} (lower bound {percent(reason.lower_bound)}): at risk from "
        f"{percent(reason.at_risk_threshold)}, impacted from {percent(reason.impacted_threshold)}; it leaves this "
        f"level below {percent(reason.exit_threshold)}",
        f"since {shown_time(reason.since)} UTC; counted from {shown_time(reason.window_from)} UTC on",
    ]
    if reason.evidence:
        lines.append("such as " + _evidence_text(reason))
    for name, url in (("review", reason.review_url), ("more about it", reason.documentation_url)):
        if url is not None:
            lines.append(f"{name}: {shown(url)}")
    for line in lines:
        console.print(Padding(line, (0, 0, 0, 2), expand=False))


def _evidence_text(reason: ReasonView) -> str:
    listed = [_evidence_item(item) for item in reason.evidence[:_EVIDENCE_SHOWN]]
    others = reason.evidence_total - len(listed)
    return ", ".join(listed) + (f", and {others:,} more" if others > 0 else "")


def _evidence_item(item: EvidenceView) -> str:
    line = "" if item.line_id is None else f" line {shown(item.line_id)}"
    return f"order {shown(item.order_id)}{line} ({shown_time(item.at)[:16]})"


def _metrics_table(snapshot: SnapshotView) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("metric", no_wrap=True)
    for heading in ("count", "of", "rate", "lower bound"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("level", no_wrap=True)
    for name, numbers in snapshot.metrics.items():
        table.add_row(
            shown(name),
            f"{numbers.numerator:,}",
            f"{numbers.denominator:,}",
            percent(numbers.rate),
            percent(numbers.lower_bound),
            Text(shown(numbers.level), style=COLOURS.get(numbers.level, "")),
        )
    return table


def _print_impressions(console: Console, impressions: Sequence[ImpressionsView]) -> None:
    counts = list(_by_day(impressions))
    most, total = max(counts), sum(counts)
    console.print()
    console.print(f"Impressions per day (UTC): {total:,} in {len(counts)} days, {most:,} on the best")
    for row in bars(counts, _CHART_HEIGHT, _PLAIN_BLOCKS if console.options.ascii_only else _BLOCKS):
        console.print(f"  {row}", style="blue", soft_wrap=True)
    first, last = impressions[0].date, impressions[-1].date
    gap = len(counts) * 2 - len(first) - len(last)
    console.print(f"  {shown(first)}{' ' * gap}{shown(last)}" if gap > 0 else f"  {shown(first)} to {shown(last)}")


def _by_day(impressions: Sequence[ImpressionsView]) -> Iterator[int]:
    """The count of each day from the first on, 0 where there was none; of at most `_LONGEST_CHART_DAYS`."""
    counts = {item.date: item.count for item in impressions}
    try:
        day, last = date.fromisoformat(impressions[0].date), date.fromisoformat(impressions[-1].date)
    except ValueError:  # beyond the year 9999
        yield from counts.values()
        return
    for number in range(min((last - day).days + 1, _LONGEST_CHART_DAYS)):
        yield counts.get((day + timedelta(number)).isoformat(), 0)


def bars(counts: Sequence[int], height: int, blocks: str = _BLOCKS) -> list[str]:
    """A column chart, from the top row down: a column of two characters (the bar, a gap) for each count.

    The highest count fills `height` rows. `blocks` are the characters from empty to full; what is not 0 shows.
    """
    steps = len(blocks) - 1
    most = max(counts, default=0)
    filled = [-(-count * height * steps // most) if count else 0 for count in counts]
    rows = []
    for row in reversed(range(height)):
        rows.append("".join(blocks[min(steps, max(0, fill - row * steps))] + " " for fill in filled).rstrip())
    return rows
