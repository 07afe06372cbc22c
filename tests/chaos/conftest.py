"""The log that all faults are survived with, and the table of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from streams.codecs.event_lines import InputRecord, read_files
from streams.settings import Settings
from streams.testing.market import Market
from streams.testing.records import to_line
from streams.topic_names import topic_indices
from tests.chaos.harness import HEADING, Story, story

PARTS = 12
UNTIL_MS = 1_772_323_200_000  # 2026-03-01, two weeks beyond the last event: graces, dwells and resolved_for end
TABLE: list[str] = []


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> list[InputRecord]:
    """A simulated market: more than 60,000 events in the long form, half of that in the short one."""
    products = 120 if pytestconfig.getoption("--thorough") else 60
    path = tmp_path_factory.mktemp("chaos") / "market.jsonl"
    path.write_bytes(b"".join(to_line(record) for record in Market(3, products=products)))
    return list(read_files([path], topic_indices(Settings())))


@pytest.fixture(scope="session")
def told(market: list[InputRecord]) -> Story:
    """The market, and a record that is refused after each 500 of its events."""
    bad = [replace(record, value=b"no JSON") for record in market[::500]]
    return story([*market, *bad], UNTIL_MS, PARTS)


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """The lines of the faults survived; printed at the end."""
    yield TABLE
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and TABLE:
        reporter.ensure_newline()
        reporter.section("faults survived")
        for line in (HEADING, *TABLE):
            reporter.write_line(line)
