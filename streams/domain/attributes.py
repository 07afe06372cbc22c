"""A product's seller, region and category: each by itself that of the latest event that carries it (SPEC section 4)."""

from __future__ import annotations

# (value, occurred_at in ms, event_id)
Attribute = tuple[str, int, str]


def later(present: Attribute | None, told: Attribute) -> Attribute:
    """The one that holds: the later one; of two at the same ms, the one with the smaller event_id."""
    if present is None or told[1] > present[1] or (told[1] == present[1] and told[2] < present[2]):
        return told
    return present
