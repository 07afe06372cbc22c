"""One line of an order: the facts about it, and what follows from them (SPEC section 4).

A line's state is a function of the set of its facts, never of their order of arrival.
So the facts are kept as they came, and everything else is derived from all of them whenever one is added.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from streams.domain.buckets import (
    ONE_DUE,
    ONE_LATE,
    ONE_OVERDUE,
    ONE_PLACED,
    ONE_SELLER_CANCELLED,
    ONE_STOCK_CANCELLED,
)
from streams.domain.events import BUYER_REASONS, SELLER_FAULT_REASONS
from streams.domain.extensions import Extensions

# Kinds of facts; part of the row format, so never renumbered.
PLACED, SHIPPED, EXTENDED, CANCELLED, REVERTED, PLACED_UNCOUNTED = range(6)

HOLD_MS = 3_600_000  # a buyer's own cancellation within the hour is no placed line (SPEC 4)

# From so many facts on they are also kept as `ManyFacts`; nearly all lines have two or three, and none needs it.
FEW_FACTS = 16

# (kind, occurred_at, event_id, argument): the argument is ship_by of PLACED and EXTENDED, the reason of CANCELLED.
Fact = tuple[int, int, str, "int | str | None"]
LineKey = tuple[str, str]


class Line:
    """The facts about one line and its derived state; times in ms, None where there is no such fact.

    `placed_at`, `ship_by`, `shipped_at`, `cancelled_at`, `reason`, `counts` and `excused` are as SPEC 4 defines them;
    `last_fact_at` is the latest `occurred_at` of any fact.
    `placed_share` and `due_share` are what the line now adds to the buckets of placed_at and of ship_by.
    `threatens`: it is not due yet, and will be late unless something happens.
    `many`: the same facts again, once there are many. `wake_at`: the time of its entry in its product's agenda.
    """

    __slots__ = (
        "cancelled_at",
        "counts",
        "due_share",
        "excused",
        "facts",
        "key",
        "last_fact_at",
        "many",
        "placed_at",
        "placed_share",
        "reason",
        "ship_by",
        "shipped_at",
        "threatens",
        "wake_at",
    )

    def __init__(self, key: LineKey, facts: Iterable[Fact] = ()) -> None:
        self.key = key
        self.facts: list[Fact] = list(facts)
        self.placed_at: int | None = None
        self.ship_by: int | None = None
        self.shipped_at: int | None = None
        self.cancelled_at: int | None = None
        self.reason: str | None = None
        self.counts = False
        self.excused = False
        self.last_fact_at = 0
        self.placed_share = 0
        self.due_share = 0
        self.threatens = False
        self.wake_at: int | None = None
        self.many: ManyFacts | None = None
        if self.facts and not self._derive_plainly():
            self._derive()

    def add(self, fact: Fact) -> bool:
        """Add a fact; False when its event_id has been told already (of two contents the first counts)."""
        event_id, facts = fact[2], self.facts
        if len(facts) < FEW_FACTS:
            for known in facts:
                if known[2] == event_id:
                    return False
        else:
            if self.many is None:
                self.many = ManyFacts(facts)
            if not self.many.add(fact):
                return False
        facts.append(fact)
        if self._derive_plainly():
            pass
        elif fact[0] == SHIPPED and self.shipped_at is not None and self.shipped_at <= fact[1] <= self.last_fact_at:
            pass  # a later scan of what is shipped already says nothing
        elif self.many is not None:
            self._derive_from(self.many)
        else:
            self._derive()
        return True

    def _derive_plainly(self) -> bool:
        """As `_derive`, if it was placed, and then perhaps shipped, and no more; False, with nothing done, if not.

        Most lines are so, and are read by the thousand when products wake.
        """
        facts = self.facts
        kind, placed_at, _, ship_by = facts[0]
        if kind != PLACED or len(facts) > 2 or (len(facts) == 2 and facts[1][0] != SHIPPED):
            return False
        self.placed_at = self.last_fact_at = placed_at
        self.ship_by = ship_by  # type: ignore[assignment]
        self.counts = True
        if len(facts) == 2:
            self.shipped_at = shipped_at = facts[1][1]
            if shipped_at > placed_at:
                self.last_fact_at = shipped_at
        return True

    def _derive(self) -> None:
        placed: Fact | None = None
        shipped_at: int | None = None
        extensions: list[Fact] = []
        cancellations: list[Fact] = []
        reverted_at: int | None = None
        last = 0
        for fact in self.facts:
            kind, at = fact[0], fact[1]
            if at > last:
                last = at
            if kind == SHIPPED:
                if shipped_at is None or at < shipped_at:
                    shipped_at = at
            elif kind == EXTENDED:
                extensions.append(fact)
            elif kind == CANCELLED:
                cancellations.append(fact)
            elif kind == REVERTED:
                if reverted_at is None or at > reverted_at:
                    reverted_at = at
            elif placed is None or (at, fact[2]) < (placed[1], placed[2]):
                placed = fact
        self.last_fact_at = last
        self.shipped_at = shipped_at
        self._derive_cancellation(cancellations, reverted_at)
        if placed is None:
            return
        self.placed_at = placed[1]
        self.counts = placed[0] == PLACED
        # The latest reversion that has a cancellation at or before it: as reverted_at is the latest of all,
        # there is one exactly when the earliest cancellation is at or before reverted_at.
        taken_back_at = reverted_at
        if reverted_at is not None and not any(fact[1] <= reverted_at for fact in cancellations):
            taken_back_at = None
        ship_by: int = placed[3]  # type: ignore[assignment]
        counted_after = False
        for _, at, _, until in sorted(extensions, key=_by_time) if extensions else ():
            after_reversion = taken_back_at is not None and at > taken_back_at
            if until > ship_by and (at <= ship_by or after_reversion):  # type: ignore[operator]
                ship_by = until  # type: ignore[assignment]
                counted_after = counted_after or after_reversion
        self.ship_by = ship_by
        self.excused = bool(cancellations) and self._is_excused(ship_by, counted_after)

    def _is_excused(self, ship_by: int, extended_after_reversion: bool) -> bool:
        """Of a line that has a cancellation."""
        shipped_at = self.shipped_at
        return (
            self.cancelled_at is None
            and not (shipped_at is not None and shipped_at <= ship_by)
            and not extended_after_reversion
        )

    def _derive_cancellation(self, cancellations: list[Fact], reverted_at: int | None) -> None:
        first: Fact | None = None
        for fact in cancellations:
            if (reverted_at is None or fact[1] > reverted_at) and (first is None or _by_time(fact) < _by_time(first)):
                first = fact
        self.cancelled_at = None if first is None else first[1]
        self.reason = None if first is None else first[3]  # type: ignore[assignment]

    def _derive_from(self, many: ManyFacts) -> None:
        """As `_derive`, in fewer steps than there are facts."""
        self.last_fact_at = many.last_at
        self.shipped_at = many.shipped_at
        cancelled, placed = many.cancelled, many.placed
        self.cancelled_at, self.reason = (None, None) if cancelled is None else (cancelled[0], cancelled[2])
        if placed is None:
            return
        self.placed_at = placed[1]
        self.counts = placed[0] == PLACED
        ship_by, counted_after = many.extensions.extended(placed[3], many.taken_back_at)  # type: ignore[arg-type]
        self.ship_by = ship_by
        self.excused = many.first_cancelled_at is not None and self._is_excused(ship_by, counted_after)

    @property
    def fate(self) -> str:
        """`cancelled`, `shipped` or `open` (SPEC 4)."""
        if self.cancelled_at is not None and (self.shipped_at is None or self.cancelled_at < self.shipped_at):
            return "cancelled"
        return "open" if self.shipped_at is None else "shipped"

    def share_of_placed(self) -> int:
        """What the line adds to the bucket of placed_at, packed."""
        placed_at, cancelled_at = self.placed_at, self.cancelled_at
        if placed_at is None or not self.counts:
            return 0
        if cancelled_at is None or (self.shipped_at is not None and self.shipped_at <= cancelled_at):
            return ONE_PLACED
        reason = self.reason
        if reason in BUYER_REASONS and 0 <= cancelled_at - placed_at <= HOLD_MS:
            return 0
        if reason not in SELLER_FAULT_REASONS:
            return ONE_PLACED
        share = ONE_PLACED + ONE_SELLER_CANCELLED
        return share + ONE_STOCK_CANCELLED if reason == "out_of_stock" else share

    def share_once_due(self) -> int:
        """What the line adds to the bucket of ship_by once the clock has passed it, packed."""
        ship_by = self.ship_by
        if ship_by is None or not self.counts or self.excused:
            return 0
        shipped_at, cancelled_at = self.shipped_at, self.cancelled_at
        if cancelled_at is not None and (shipped_at is None or cancelled_at < shipped_at):
            return 0 if cancelled_at <= ship_by else ONE_DUE + ONE_LATE
        if shipped_at is None:
            return ONE_DUE + ONE_LATE + ONE_OVERDUE
        return ONE_DUE if shipped_at <= ship_by else ONE_DUE + ONE_LATE

    def forgotten_after(self, allowed_lateness_ms: int, retention_ms: int) -> int:
        """The line is forgotten as soon as the clock is later than this (SPEC 4).

        `retention_ms` is the longest window and one bucket. A line that waits for its ship_by is not asked.
        """
        last, ship_by, shipped_at, cancelled_at = self.last_fact_at, self.ship_by, self.shipped_at, self.cancelled_at
        if ship_by is not None and ship_by > last:
            last = ship_by
        shipped = shipped_at is not None and (cancelled_at is None or shipped_at <= cancelled_at)
        if shipped and (self.due_share == ONE_DUE or not self.share_once_due() & _LATE_FIELD):
            return last + allowed_lateness_ms  # of most lines it is known that they are due, and no more than that
        return last + retention_ms


class ManyFacts:
    """What follows from the facts of one line, kept up to date fact by fact.

    Without it the n-th fact of a line would cost n steps, and a producer gone mad could halt a partition with one line.
    `placed` and `shipped_at`: the earliest. `reverted_at` and `last_at`: the latest. All times are ms.
    """

    __slots__ = (
        "_standing",
        "extensions",
        "first_cancelled_at",
        "ids",
        "last_at",
        "placed",
        "reverted_at",
        "shipped_at",
    )

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.ids: set[str] = set()
        self.placed: Fact | None = None
        self.shipped_at: int | None = None
        self.reverted_at: int | None = None
        self.first_cancelled_at: int | None = None
        self.last_at = 0
        self.extensions = Extensions()
        self._standing: list[tuple[int, str, str]] = []  # a heap of cancellations, some of them taken back by now
        for fact in facts:
            self.add(fact)

    def add(self, fact: Fact) -> bool:
        """Take in a fact; False when its event_id has been told already."""
        kind, at, event_id, argument = fact
        if event_id in self.ids:
            return False
        self.ids.add(event_id)
        self.last_at = max(self.last_at, at)
        if kind == SHIPPED:
            self.shipped_at = at if self.shipped_at is None else min(self.shipped_at, at)
        elif kind == EXTENDED:
            self.extensions.add(at, argument)  # type: ignore[arg-type]
        elif kind == CANCELLED:
            self.first_cancelled_at = at if self.first_cancelled_at is None else min(self.first_cancelled_at, at)
            heappush(self._standing, (at, event_id, str(argument)))
        elif kind == REVERTED:
            self.reverted_at = at if self.reverted_at is None else max(self.reverted_at, at)
        elif self.placed is None or _by_time(fact) < _by_time(self.placed):
            self.placed = fact
        return True

    @property
    def cancelled(self) -> tuple[int, str, str] | None:
        """Time, event_id and reason of the earliest cancellation that is later than every reversion."""
        standing = self._standing
        if self.reverted_at is not None:
            while standing and standing[0][0] <= self.reverted_at:
                heappop(standing)
        return standing[0] if standing else None

    @property
    def taken_back_at(self) -> int | None:
        """The latest reversion that has a cancellation at or before it: the latest of all, or none."""
        if self.reverted_at is None or self.first_cancelled_at is None or self.first_cancelled_at > self.reverted_at:
            return None
        return self.reverted_at


_LATE_FIELD = ONE_LATE | ONE_OVERDUE


def _by_time(fact: Fact) -> tuple[int, str]:
    # Code points sort as their UTF-8 bytes do.
    return fact[1], fact[2]
