"""What rows say, as plain values fit for JSON: the readable half of the golden rows."""

from __future__ import annotations

from typing import Any

from streams.codecs.meta import Meta, Outbox
from streams.domain.buckets import COUNTERS, unpack
from streams.domain.lines import CANCELLED, EXTENDED, PLACED, PLACED_UNCOUNTED, REVERTED, SHIPPED
from streams.domain.policy import METRICS
from streams.domain.product import Product
from streams.domain.transitions import STATUS_NAMES

KINDS = {
    PLACED: "placed",
    SHIPPED: "shipped",
    EXTENDED: "extended",
    CANCELLED: "cancelled",
    REVERTED: "reverted",
    PLACED_UNCOUNTED: "placed, uncounted",
}


def product_view(product: Product) -> dict[str, Any]:
    """All that a product's rows are to keep."""
    return {
        "sequence": product.sequence,
        "status": STATUS_NAMES[product.status],
        "relapse_count": product.relapse_count,
        "resolved_at": product.resolved_at,
        "effective_at": product.effective_at,
        "as_of": product.as_of,
        "held_from": product.held_from,
        "seller": _list(product.seller),
        "region": _list(product.region),
        "category": _list(product.category),
        "buckets": {str(bucket): _counts(packed) for bucket, packed in product.buckets.items()},
        "impressions": {str(bucket): count for bucket, count in product.impressions.items()},
        "levels": {
            name: [state.level, state.since, state.breach_since, state.exit_since]
            for name, state in zip(METRICS, product.states or (), strict=bool(product.states))
        },
        "snapshot_at": product.snapshot_at,
        "snapshot_pending": product.snapshot_pending,
        "lines": {
            f"{order_id} {line_id}": [[KINDS[kind], *fact] for kind, *fact in line.facts]
            for (order_id, line_id), line in sorted(product.lines.items())
        },
        "seen": dict(sorted(product.seen.items())),
        "high_fees": sorted(list(fee) for fee in product.high_fees),
    }


def meta_view(meta: Meta) -> dict[str, Any]:
    """All that a meta row keeps."""
    return {
        "clock": meta.clock,
        "positions": meta.positions,
        "awaited": meta.awaited,
        "flush_number": meta.flush_number,
        "outbox_rows": meta.outbox_rows,
        "snapshots_end": meta.snapshots_end,
    }


def outbox_view(outbox: Outbox) -> dict[str, Any]:
    """All that outbox rows keep."""
    return {
        "transitions": [[e.product_id, e.sequence, e.effective_at, e.value.decode()] for e in outbox.transitions],
        "snapshots": outbox.snapshots,
    }


def _counts(packed: int) -> dict[str, int]:
    return {name: count for name, count in zip(COUNTERS, unpack(packed), strict=True) if count}


def _list(value: tuple[Any, ...] | None) -> list[Any] | None:
    return None if value is None else list(value)
