"""`simulate`, run as a program."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli.simulate import command
from streams.errors import UserError
from streams.testing.market import Market
from streams.testing.records import to_line

SMALL = ["--events", "500", "--products", "5", "--days", "4", "--seed", "3"]


def small_lines() -> bytes:
    return b"".join(to_line(record) for record in Market(3, events=500, products=5, days=4))


def test_lines_go_to_stdout() -> None:
    result = CliRunner().invoke(command, SMALL, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout_bytes == small_lines()


def test_lines_go_to_a_file(tmp_path: Path) -> None:
    out = tmp_path / "events.jsonl"
    result = CliRunner().invoke(command, [*SMALL, "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    assert out.read_bytes() == small_lines()
    assert "records of 5 products" in result.stderr


def test_a_packed_file_is_the_same_each_time(tmp_path: Path) -> None:
    outs = [tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"]
    for out in outs:
        CliRunner().invoke(command, [*SMALL, "--out", str(out)], catch_exceptions=False)
    assert gzip.decompress(outs[0].read_bytes()) == small_lines()
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_products_follow_from_the_events() -> None:
    result = CliRunner().invoke(command, ["--events", "2000", "--days", "10"], catch_exceptions=False)
    lines = b"".join(to_line(record) for record in Market(events=2000, days=10, products=17))
    assert result.stdout_bytes == lines


def test_the_knobs_reach_the_market() -> None:
    options = ["--duplicates", "0.1", "--late", "0.2", "--bad", "0.1", "--sellers", "2", "--start", "2025-06-01T00:00Z"]
    result = CliRunner().invoke(command, [*SMALL, *options], catch_exceptions=False)
    market = Market(
        3,
        events=500,
        products=5,
        days=4,
        sellers=2,
        start_ms=1_748_736_000_000,
        duplicate_rate=0.1,
        late_rate=0.2,
        bad_rate=0.1,
    )
    assert result.stdout_bytes == b"".join(to_line(record) for record in market)


@pytest.mark.parametrize(
    "options",
    [
        ["--out", "x", "--to-topics"],
        ["--broker", "localhost:9092"],
        ["--bad", "2"],
        ["--start", "2026-01-05T00:00:00"],
        ["--days", "0"],
    ],
    ids=" ".join,
)
def test_wrong_options_are_told(options: list[str]) -> None:
    result = CliRunner().invoke(command, options)
    assert result.exit_code == 2
    assert "Error" in result.stderr


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose another --out"):
        CliRunner().invoke(command, [*SMALL, "--out", str(tmp_path / "none" / "x")], catch_exceptions=False)


def test_too_many_sellers_are_told() -> None:
    with pytest.raises(UserError, match="sellers"):
        CliRunner().invoke(command, [*SMALL, "--sellers", "6"], catch_exceptions=False)
