"""The tables of the read model, for SQLite and PostgreSQL.

They hold nothing that is not in the topics: whenever this page changes, `VERSION` goes up, and the next start makes the
tables anew. So there is nothing to migrate.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    TypeDecorator,
)

VERSION = 1
"""Of these tables, and of how records become rows."""

_ESCAPE = "\x1b"


class Text(TypeDecorator[str]):
    """Text that may hold any character, and that compares by code points.

    PostgreSQL takes no NUL, which an id may hold (SPEC 3), and would sort by the rules of some language.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        """`COLLATE "C"` in PostgreSQL; SQLite compares bytes by itself."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(String(collation="C"))
        return dialect.type_descriptor(String())

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """With NUL, and the escape itself, escaped."""
        if value is None or ("\0" not in value and _ESCAPE not in value):
            return value
        return value.replace(_ESCAPE, _ESCAPE + "1").replace("\0", _ESCAPE + "0")

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        """As it was."""
        if value is None or _ESCAPE not in value:
            return value
        return value.replace(_ESCAPE + "0", "\0").replace(_ESCAPE + "1", _ESCAPE)


metadata = MetaData()

read_model = Table(
    "read_model",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("change", BigInteger, nullable=False),
)
"""One row, with id 1. `source` names the topics; `generation` is drawn when the tables are made; `change` counts the
transactions that brought something since."""

positions = Table(
    "topic_positions",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
)
"""Where to go on reading: all before it is in the rows."""

products = Table(
    "flagged_products",
    metadata,
    Column("product_id", Text, primary_key=True),
    Column("seller_id", Text),
    Column("region", Text),
    Column("category", Text),
    Column("status", SmallInteger, nullable=False),
    Column("reasons", Integer, nullable=False),
    Column("severity", Float(53), nullable=False),
    Column("effective_at", BigInteger, nullable=False),
    Column("search", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("change", BigInteger, nullable=False),
    Index("flagged_products_severity", "severity", "product_id"),
    Index("flagged_products_effective_at", "effective_at", "product_id"),
    Index("flagged_products_seller_severity", "seller_id", "severity", "product_id"),
    Index("flagged_products_seller_effective_at", "seller_id", "effective_at", "product_id"),
    Index("flagged_products_seller_id", "seller_id", "product_id"),
    Index("flagged_products_counts", "seller_id", "status"),
    Index("flagged_products_change", "change"),
)
"""The snapshot of each flagged product. `status`: index of STATUS_NAMES; `reasons`: bit i for METRICS[i];
`severity`: see `rows.severity`; `effective_at` in ms; `search`: what is searched in; `body`: the record's value."""

transitions = Table(
    "flag_transitions",
    metadata,
    Column("product_id", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("seller_id", Text),
    Column("previous_status", SmallInteger, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("effective_at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("change", BigInteger, nullable=False),
    Index("flag_transitions_effective_at", "effective_at"),
    Index("flag_transitions_change", "change"),
)
"""Every transition that is not too old. `change`: of which transaction it came, as in the other tables."""
