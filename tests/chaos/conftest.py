"""The log that all faults are survived with, and the table of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.codecs.event_lines import read_files
from streams.settings import Settings
from streams.testing.market import Market
from streams.testing.records import to_line
from streams.topic_names import topic_indices
from tests.chaos.harness import HEADING, Story, story

PARTS = 12
UNTIL_MS = 1_772_323_200_000  # 2026-03-01, two weeks beyond the last event: graces, dwells and resolved_for end
TABLE: list[str] = []


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Story:
    """A simulated market, and a record that is refused after each 500 of its events: more than 60,000 events in the
    long form, half of that in the short one."""
    products = 120 if pytestconfig.getoption("--thorough") else 60
    path = tmp_path_factory.mktemp("chaos") / "market.jsonl"
    path.write_bytes(b"".join(to_line(record) for record in Market(3, products=products)))
    records = list(read_files([path], topic_indices(Settings())))
    bad = [replace(record, value=b"no JSON") for record in records[::500]]
    return story([*records, *bad], UNTIL_MS, PARTS)


@pytest.fixture(scope="session")
def table() -> list[str]:
    """The lines of the faults survived; printed at the end."""
    return TABLE


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if TABLE:
        terminalreporter.section("faults survived")
        for line in (HEADING, *TABLE):
            terminalreporter.write_line(line)
