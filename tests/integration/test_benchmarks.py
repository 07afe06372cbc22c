"""The benchmarks work: small sizes, the shape of what they tell, never how fast anything is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.harness import OURS, PEER, PLAIN, Result, Usage, usage_of
from benchmarks.paced import percentile
from benchmarks.throughput import TWO
from streams.broker import EmbeddedBroker
from tests.integration.pipeline import REPLAY_S

ROOT = Path(__file__).parent.parent.parent
# The first figure of each, and the subjects beside ours.
HEADLINES = {
    "throughput": ("events_per_s", {PLAIN, TWO}),
    "latency": ("p50_ms", {PLAIN}),
    "recovery": ("recovery_s", {PLAIN}),
    "rebalance": ("moved_ms", {PLAIN}),
    "memory": ("bytes_per_product", {PLAIN}),
    "hot-product": ("events_per_s", set()),
    "cost-growth": ("events_per_s", set()),
    "seller-api": ("p99_ms", set()),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", BENCHMARKS)
def test_quick_mode_gives_figures_and_ratios(broker: EmbeddedBroker, tmp_path: Path, name: str) -> None:
    out = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", name, "--quick", "--broker", broker.bootstrap_servers, "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "BENCH_PEER": ""},
        capture_output=True,
        text=True,
        timeout=2 * REPLAY_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"{name} ratios: ")
    found = json.loads(out.read_text())["benchmarks"][name]
    headline, others = HEADLINES[name]
    rows = found["rows"]
    assert {row["subject"] for row in rows} == {OURS} | others
    for row in rows:
        assert next(iter(row["medians"])) == headline
        assert {"cpu_s", "peak_rss_mb"} <= row["medians"].keys()
        assert len(row["runs"]) == 1
        assert row["medians"][headline] is not None
        if row["subject"] == OURS:  # plain Faust may lose one in a rebalance
            for missing in "never_came", "never_told", "failed":
                assert not row["medians"].get(missing), missing
    assert found["ratios"]


def test_medians_and_ratios() -> None:
    result = Result("x")
    for ours, theirs in (1.0, 10.0), (3.0, 30.0), (2.0, 20.0):
        result.add("case", OURS, {"s": ours, "mb": None})
        result.add("case", PEER, {"s": theirs})
    assert result.median("case", OURS, "s") == 2.0
    assert result.median("case", OURS, "mb") is None
    result.ratio("theirs to ours", ("case", PEER, "s"), ("case", OURS, "s"))
    result.ratio("of what was not measured", ("case", PLAIN, "s"), ("case", OURS, "s"))
    assert result.ratios == {"theirs to ours": 10.0}
    assert list(result.lines())[-1] == "x ratios: theirs to ours 10"


def test_percentiles() -> None:
    assert percentile([], 0.5) is None
    assert percentile([float(n) for n in range(100)], 0.99) == 99.0
    assert percentile([1.0, 2.0], 1.0) == 2.0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_usage_is_read() -> None:
    usage = usage_of(os.getpid())
    assert usage.cpu_s is not None
    assert usage.rss_mb is not None
    assert usage.peak_rss_mb is not None
    assert 0 < usage.rss_mb <= usage.peak_rss_mb
    assert usage_of(2**22 + 1) == Usage()
