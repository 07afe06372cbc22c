"""A product's seller, region and category: each by itself that of the latest event that carries it (SPEC section 4)."""

from __future__ import annotations

# (value, occurred_at in ms, event_id)
Attribute = tuple[str, int, str]


def is_later(present: Attribute | None, at: int, event_id: str) -> bool:
    """Whether what an event of `at` (ms) tells holds from now on: of two at the same ms the smaller event_id's does."""
    return present is None or at > present[1] or (at == present[1] and event_id < present[2])


def later(present: Attribute | None, told: Attribute) -> Attribute:
    """The one that holds."""
    return told if present is None or is_later(present, told[1], told[2]) else present
