"""The notifier's tables. Times are ms since the epoch."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

_ID = BigInteger().with_variant(Integer, "sqlite")

# Where to go on in the topic: written in one transaction with what was made of the records before.
offsets = Table(
    "notify_offsets",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)

# Which transitions were queued once, by a digest of id and bytes: a copy of one is not queued again.
seen = Table(
    "notify_seen",
    metadata,
    Column("digest", LargeBinary(16), primary_key=True),
    Column("seen_ms", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# What is still to be delivered, in order of id. A delivery is here until its 2xx, or until it is given up.
deliveries = Table(
    "notify_deliveries",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("webhook", String(64), nullable=False),
    Column("seller", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("queued_ms", BigInteger, nullable=False),
    Index("notify_deliveries_by_seller", "webhook", "seller", "id"),
    Index("notify_deliveries_by_age", "webhook", "queued_ms"),
    sqlite_autoincrement=True,
)

# One row for each webhook and seller that has deliveries: when to try the first of them, and how often it was tried.
queues = Table(
    "notify_queues",
    metadata,
    Column("webhook", String(64), primary_key=True),
    Column("seller", Text, primary_key=True),
    Column("due_ms", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Index("notify_queues_by_due", "webhook", "due_ms"),
)

# What was given up: kept until somebody asks for another try, or deletes it.
failed = Table(
    "notify_failed",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("webhook", String(64), nullable=False, index=True),
    Column("seller", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("queued_ms", BigInteger, nullable=False),
    Column("failed_ms", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
    sqlite_autoincrement=True,
)
