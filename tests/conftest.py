"""What all tests share: the markers and one real Kafka."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from streams.broker import EmbeddedBroker
from tests.postgres import postgres, postgres_binaries


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--thorough`: also what takes minutes each, and the long form of what has one."""
    parser.addoption("--thorough", action="store_true", help="also tests that take minutes each, and longer stories")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is only for `--thorough`."""
    if not config.getoption("--thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_configure(config: pytest.Config) -> None:
    """Register the tiers that are chosen by marker: `pytest -m "not integration and not chaos"` needs no broker."""
    config.addinivalue_line("markers", "integration: needs a real Kafka, which it starts itself")
    config.addinivalue_line("markers", "chaos: kills, freezes and restarts workers or brokers; slow")
    config.addinivalue_line("markers", "thorough: takes minutes; only with --thorough, as in `make chaos`")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background by a shell. Programs that the tests interrupt would inherit the deafness.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    """One Kafka for all integration tests of a session; mark those that use it `integration`.

    Tests keep apart by topic and group names of their own. A test that kills or stops a broker starts its own.
    """
    with EmbeddedBroker() as started:
        yield started


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of one PostgreSQL for all tests of a session, skipped where it isn't installed.

    Tests keep apart by databases of their own: `tests.postgres.new_database`.
    """
    if postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres() as url:
        yield url


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where everything can be had, nothing may be skipped: in CI a skipped test fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
