"""Fixtures of the notifier's tests."""

from tests.unit.notify.databases import database, database_url

__all__ = ["database", "database_url"]
