"""One product: its lines, counters, levels and status, and how they move (SPEC sections 4 to 7).

Two things happen to a product. Time passes (`catch_up`, `run_due`): lines come due, buckets leave the windows, held
conditions end. Or an event is applied (`apply`). After either it is evaluated, and that may give a transition.

Between the instants at which its levels could change, a product may lie untouched: `next_due` says when it must be
looked at next, and `catch_up` brings its counters up to any later clock.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from streams.domain.attributes import Attribute, later
from streams.domain.buckets import ONE_FEE, ONE_HIGH_FEE, ONE_LATE
from streams.domain.counters import NEVER, Counters
from streams.domain.events import (
    ImpressionsCounted,
    InputEvent,
    LineEvent,
    OrderPlaced,
    ShippingFeeCharged,
)
from streams.domain.facts import fact_of
from streams.domain.fees import is_high
from streams.domain.levels import MetricState
from streams.domain.lines import Line, LineKey
from streams.domain.rulebook import Rulebook
from streams.domain.transitions import CLEAR


class Product(Counters):
    """The state of one product. Times are ms.

    `as_of`: the clock up to which the product has caught up.
    `threats`: how many lines not yet due will be late unless something happens.
    `leeway`: so many more bad facts (a cancellation by the seller's fault, a high fee, a line that comes due late) it
    takes at least until any metric could have a level; 0 where that is not known, or does not matter as the product is
    not clear. `late_leeway`: so many more late lines for a metric of late lines. Set by `outlook.take_stock`, and good
    until the bucket `stock_until`.
    `states`: one per metric, or None while all are at none. `effective_at`: of the latest transition.
    `agenda`: (time, line) at which a line comes due or is forgotten, a heap; an entry counts if the line's `wake_at`
    is its time. `due_at`, `wake_at`: when it must be looked at, and the time of its entry in the partition's agenda.
    `snapshot_at`: when its snapshot was last written; `snapshot_pending`: its numbers have changed since.
    `touched`: the lines, and the ids of events and of high fees' orders, that changed; kept while somebody asks for it
    (large products are written in parts), else None.
    """

    __slots__ = (
        "agenda",
        "as_of",
        "category",
        "due_at",
        "effective_at",
        "id",
        "late_leeway",
        "leeway",
        "lines",
        "region",
        "relapse_count",
        "resolved_at",
        "seller",
        "sequence",
        "snapshot_at",
        "snapshot_pending",
        "states",
        "status",
        "stock_until",
        "threats",
        "touched",
        "wake_at",
    )

    def __init__(self, product_id: str, book: Rulebook, now: int) -> None:
        super().__init__(book.plan(None, None, now), now // book.bucket_ms, book.held_buckets)
        self.id = product_id
        self.sequence = 0
        self.status = CLEAR
        self.relapse_count = 0
        self.resolved_at: int | None = None
        self.effective_at: int | None = None
        self.seller: Attribute | None = None
        self.region: Attribute | None = None
        self.category: Attribute | None = None
        self.lines: dict[LineKey, Line] = {}
        self.agenda: list[tuple[int, LineKey]] = []
        self.threats = 0
        self.leeway = self.late_leeway = 0
        self.stock_until = NEVER
        self.states: list[MetricState] | None = None
        self.as_of = now
        self.due_at: int | None = None
        self.wake_at: int | None = None
        self.snapshot_at: int | None = None
        self.snapshot_pending = False
        self.touched: set[str | LineKey] | None = None

    # -- what is there

    @property
    def seller_id(self) -> str | None:
        """The seller, None before any event named one or once nothing is left of the product."""
        return _value(self.seller)

    @property
    def region_name(self) -> str | None:
        """The region, None likewise."""
        return _value(self.region)

    @property
    def category_name(self) -> str | None:
        """The category, None likewise."""
        return _value(self.category)

    @property
    def is_empty(self) -> bool:
        """Nothing is left but, perhaps, the sequence (SPEC 4)."""
        return not (self.lines or self.buckets or self.impressions or self.status != CLEAR)

    # -- time

    def catch_up(self, book: Rulebook, now: int) -> bool:
        """Bring lines and counters up to clock `now`, without judging; True if any line or bucket changed."""
        changed = False
        agenda = self.agenda
        while agenda and agenda[0][0] < now:
            at, key = heappop(agenda)
            line = self.lines.get(key)
            if line is not None and line.wake_at == at:
                self._wake(book, line, at, now)
                changed = True
        bucket = now // book.bucket_ms
        if bucket > self.last_bucket:
            changed = self.slide(bucket, book.held_buckets) or changed
        self.as_of = now
        if changed and self.is_empty:
            self.keep_only_sequence(book, now)
        return changed

    def keep_only_sequence(self, book: Rulebook, now: int) -> None:
        """Nothing is left: what the row does not keep is not kept in memory either (SPEC 4)."""
        self.seller = self.region = self.category = None
        self.effective_at = self.snapshot_at = None
        self.snapshot_pending = False
        self.seen.clear()
        self.leeway = 0
        self.reselect(book, now)

    def _wake(self, book: Rulebook, line: Line, at: int, now: int) -> None:
        """What the line was put on the agenda for, at `at`: it has come due, or may be forgotten."""
        line.wake_at = None
        ship_by = line.ship_by
        if ship_by is not None:
            if now <= ship_by:
                self._schedule(book, line, now)
                return
            if at <= ship_by:
                once_due = line.share_once_due()
                if line.threatens:
                    line.threatens = False
                    self.threats -= 1
                    self.leeway -= 1
                    self.late_leeway -= 1
                if once_due != line.due_share:
                    self.add(ship_by // book.bucket_ms, once_due - line.due_share)
                    line.due_share = once_due
        forgotten_after = line.forgotten_after(book.allowed_lateness_ms, book.retention_ms)
        if now <= forgotten_after:
            line.wake_at = forgotten_after
            heappush(self.agenda, (forgotten_after, line.key))
            return
        del self.lines[line.key]
        if self.touched is not None:
            self.touched.add(line.key)

    def _schedule(self, book: Rulebook, line: Line, now: int) -> None:
        """Put the line on the agenda for when it comes due, or else when it may be forgotten."""
        at = _wakes_at(book, line, now)
        if line.wake_at is None or at < line.wake_at:
            line.wake_at = at
            heappush(self.agenda, (at, line.key))

    # -- facts

    def apply(self, book: Rulebook, event: InputEvent, now: int) -> bool:
        """Apply an accepted event that is not late, at clock `now`; False if it was told before (SPEC 4).

        The product has caught up to `now`.
        """
        if self.touched is not None:
            self.touched.add((event.order_id, event.line_id) if isinstance(event, LineEvent) else event.event_id)
        if isinstance(event, ShippingFeeCharged):
            return self._apply_fee(book, event, now)
        if isinstance(event, ImpressionsCounted):
            return self.add_impressions(event.event_id, event.occurred_at // book.bucket_ms, event.count)
        key = (event.order_id, event.line_id)
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line(key)
        placed_at, ship_by = line.placed_at, line.ship_by
        if not line.add(fact_of(event)):
            return False
        if isinstance(event, OrderPlaced):
            self._attribute(book, event, now)
        self._restate(book, line, placed_at, ship_by, now)
        self._schedule(book, line, now)
        return True

    def _apply_fee(self, book: Rulebook, event: ShippingFeeCharged, now: int) -> bool:
        bucket = event.occurred_at // book.bucket_ms
        if not self.tell_once(event.event_id, bucket):
            return False
        self._attribute(book, event, now)
        high = is_high(event.fee, event.reference_fee, self.plan.policy.high_fee_ratio)
        self.add(bucket, ONE_FEE + ONE_HIGH_FEE if high else ONE_FEE)
        if high and event.order_id is not None:
            self.high_fees.append((event.occurred_at, bucket, event.order_id))
            if self.touched is not None:
                self.touched.add(event.order_id)
        return True

    def _attribute(self, book: Rulebook, event: OrderPlaced | ShippingFeeCharged, now: int) -> None:
        at, event_id = event.occurred_at, event.event_id
        region, category = self.region, self.category
        self.seller = later(self.seller, (event.seller_id, at, event_id))
        self.region = later(region, (event.region, at, event_id))
        if isinstance(event, OrderPlaced) and event.category is not None:
            self.category = later(category, (event.category, at, event_id))
        if _value(self.region) != _value(region) or _value(self.category) != _value(category):
            self.reselect(book, now)

    def reselect(self, book: Rulebook, now: int) -> None:
        """Choose the plan anew: the region, the category or the policies in force may have changed."""
        plan = book.plan(self.region_name, self.category_name, now)
        if plan is not self.plan:
            self.plan = plan
            self.leeway = 0
            self.retotal()

    def _restate(
        self, book: Rulebook, line: Line, old_placed_at: int | None, old_ship_by: int | None, now: int
    ) -> None:
        """Move what the line adds to the buckets from what it added with its old times to what it adds now."""
        share, old = line.share_of_placed(), line.placed_share
        if share != old or line.placed_at != old_placed_at:
            if old:
                assert old_placed_at is not None
                self.add(old_placed_at // book.bucket_ms, -old)
            if share:
                assert line.placed_at is not None
                self.add(line.placed_at // book.bucket_ms, share)
            line.placed_share = share
        ship_by = line.ship_by
        if ship_by is None:
            return
        once_due, old = line.share_once_due(), line.due_share
        passed = now > ship_by
        threatens = not passed and bool(once_due & ONE_LATE)
        if threatens is not line.threatens:
            self.threats += 1 if threatens else -1
            line.threatens = threatens
        share = once_due if passed else 0
        if share != old or (share and ship_by != old_ship_by):
            if old:
                assert old_ship_by is not None
                self.add(old_ship_by // book.bucket_ms, -old)
            if share:
                self.add(ship_by // book.bucket_ms, share)
            line.due_share = share

    def restore(self, book: Rulebook) -> None:
        """Rebuild what is derived, once `lines`, `buckets` and the rest were set from a row."""
        self.threats = 0
        as_of, agenda = self.as_of, self.agenda
        for key, line in self.lines.items():
            line.placed_share = line.share_of_placed()
            once_due = line.share_once_due()
            if not _awaits(line, as_of):
                line.due_share = once_due
            elif once_due & ONE_LATE:
                line.threatens = True
                self.threats += 1
            line.wake_at = at = _wakes_at(book, line, as_of)
            agenda.append((at, key))
        heapify(agenda)
        self.retotal()


def _value(attribute: Attribute | None) -> str | None:
    return None if attribute is None else attribute[0]


def _awaits(line: Line, now: int) -> bool:
    """Whether the line's ship_by is still to pass."""
    return line.ship_by is not None and now <= line.ship_by


def _wakes_at(book: Rulebook, line: Line, now: int) -> int:
    """When the line comes due, or else when it may be forgotten."""
    ship_by = line.ship_by
    if ship_by is not None and now <= ship_by:
        return ship_by
    return line.forgotten_after(book.allowed_lateness_ms, book.retention_ms)
