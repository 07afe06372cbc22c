"""The embedded Kafka broker. Importing it starts and fetches nothing."""

from __future__ import annotations

from streams.broker.embedded import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
