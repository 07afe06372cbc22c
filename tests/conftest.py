"""What all tests share: the markers and one real Kafka."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.broker import EmbeddedBroker


def pytest_configure(config: pytest.Config) -> None:
    """Register the tiers that are chosen by marker: `pytest -m "not integration and not chaos"` needs no broker."""
    config.addinivalue_line("markers", "integration: needs a real Kafka, which it starts itself")
    config.addinivalue_line("markers", "chaos: kills, freezes and restarts workers or brokers; slow")


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    """One Kafka for all integration tests of a session; mark those that use it `integration`.

    Tests keep apart by topic and group names of their own. A test that kills or stops a broker starts its own.
    """
    with EmbeddedBroker() as started:
        yield started
