"""What ranking asks of the snapshots: the status of each flagged product, in memory and in a form that stays small."""

from __future__ import annotations

import sys
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from streams.domain.transitions import CLEAR, STATUS_NAMES

CLEAR_NAME: Final = STATUS_NAMES[CLEAR]
_STATUSES: Final = {name: name for name in STATUS_NAMES}
# There are some hundred sets of (metric, level) in practice, and thousands of orders of them at the most.
_REASON_SETS_MAX = 10_000

Reasons: TypeAlias = tuple[tuple[str, str], ...]


class NotReady(Exception):
    """The view has not read all yet: whatever it said might be wrong, and a wrong "clear" costs."""


class ProductFlag(NamedTuple):
    """A flagged product. `effective_at` is RFC 3339; `reasons` are (metric, level), the primary one first."""

    status: str
    seller_id: str | None
    region: str | None
    sequence: int
    effective_at: str
    reasons: Reasons


class _Reason(msgspec.Struct):
    metric: str
    level: str


class _Snapshot(msgspec.Struct):
    """What is kept of a snapshot; the rest of it isn't even decoded."""

    product_id: str
    current_status: Literal["clear", "at_risk", "impacted", "resolved"]
    sequence: int
    effective_at: str
    reasons: list[_Reason]
    seller_id: str | None = None
    region: str | None = None


_decoder = msgspec.json.Decoder(_Snapshot)


class FlagTable:
    """The flagged products by id. Written by one thread, asked by any; each answer is of one moment.

    Some 320 bytes a flagged product, with ids of 12 characters; one that is clear has no entry.
    """

    def __init__(self) -> None:
        self.skipped = 0
        """Records that were no snapshots."""
        self.complete_ms = 0
        """When (ms since the epoch) all that the topic held was last known; 0 before the first time."""
        self._flags: dict[str, ProductFlag] = {}
        # The same dict while all of it is known, so that to answer is one look-up; else None.
        self._shown: dict[str, ProductFlag] | None = None
        self._reason_sets: dict[Reasons, Reasons] = {}

    @property
    def is_ready(self) -> bool:
        """Whether `visibility` and `get` answer."""
        return self._shown is not None

    def visibility(self, product_id: str) -> str:
        """`clear`, `at_risk`, `impacted` or `resolved`. Raises NotReady."""
        flags = self._shown
        if flags is None:
            raise NotReady("not all flags have been read yet")
        found = flags.get(product_id)
        return CLEAR_NAME if found is None else found[0]

    def get(self, product_id: str) -> ProductFlag | None:
        """What is known of a flagged product; None if it is clear. Raises NotReady."""
        flags = self._shown
        if flags is None:
            raise NotReady("not all flags have been read yet")
        return flags.get(product_id)

    def __len__(self) -> int:
        """How many products are known to be flagged, ready or not."""
        return len(self._flags)

    def show(self) -> None:
        """All is known: answer from now on."""
        self._shown = self._flags

    def forget(self) -> None:
        """Nothing is known any more: answer no longer."""
        self._shown = None
        self._flags = {}
        self.complete_ms = 0

    def hide(self) -> None:
        """Answer no longer."""
        self._shown = None

    def apply(
        self, key: bytes | None, value: bytes | None
    ) -> tuple[str, ProductFlag | None, ProductFlag | None] | None:
        """Take in a record; the product's id and what is known of it before and after, or None for no snapshot."""
        try:
            product_id = (key or b"").decode()
            flag = None if value is None else self._flag(product_id, value)
        except (msgspec.MsgspecError, ValueError):
            product_id = ""
        if not product_id:
            self.skipped += 1
            return None
        before = self._flags.get(product_id)
        if flag is None:
            self._flags.pop(product_id, None)
        else:
            self._flags[product_id] = flag
        return product_id, before, flag

    def _flag(self, product_id: str, value: bytes) -> ProductFlag:
        snapshot = _decoder.decode(value)
        if snapshot.product_id != product_id:
            raise ValueError("a snapshot of another product than its key's")
        reasons = tuple((sys.intern(reason.metric), sys.intern(reason.level)) for reason in snapshot.reasons)
        if len(self._reason_sets) >= _REASON_SETS_MAX:
            self._reason_sets.clear()
        return ProductFlag(
            # One object for all products that have the same: what differs is the id, the sequence and the time.
            _STATUSES[snapshot.current_status],
            None if snapshot.seller_id is None else sys.intern(snapshot.seller_id),
            None if snapshot.region is None else sys.intern(snapshot.region),
            snapshot.sequence,
            snapshot.effective_at,
            self._reason_sets.setdefault(reasons, reasons),
        )
