"""What has changed in a partition between two cuts."""

from __future__ import annotations

from dataclasses import dataclass

from streams.domain.transitions import Transition


@dataclass(slots=True)
class Cut:
    """What has changed since the last cut: rows to write, and outputs to publish, in order.

    `changed` and `snapshots` are product ids, in order of first change (dicts keep it; the values mean nothing).
    A changed id without a product was deleted.
    """

    changed: dict[str, None]
    transitions: list[Transition]
    snapshots: dict[str, None]

    @property
    def is_empty(self) -> bool:
        """Nothing to write but, perhaps, the clock and the offsets."""
        return not (self.changed or self.transitions or self.snapshots)
