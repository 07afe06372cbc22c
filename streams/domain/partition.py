"""All products of one partition under one clock (SPEC section 5).

Everything here is a function of the events applied and the clock. Nobody awaits, logs or reads a clock of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from streams.domain.counters import NEVER
from streams.domain.events import CancellationReverted, ImpressionsCounted, InputEvent
from streams.domain.judge import Before, evaluate
from streams.domain.ordinary import LOOK, ORDINARY
from streams.domain.outlook import next_due, take_stock
from streams.domain.policy import MINUTE_MS
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from streams.domain.transitions import CLEAR, STATUS_NAMES, Transition

SNAPSHOT_INTERVAL_MS = MINUTE_MS  # at most one snapshot per product and minute, but for transitions (SPEC 8)

# Outcomes of an event.
APPLIED, REPEAT, LATE = "applied", "repeat", "late"


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


class Partition:
    """The products of a partition, its clock (ms, None before the first accepted event) and its agenda."""

    __slots__ = ("_stirs_at", "agenda", "book", "clock", "cut", "products", "snapshot_agenda", "statuses")

    def __init__(self, book: Rulebook) -> None:
        self.book = book
        self.clock: int | None = None
        self.products: dict[str, Product] = {}
        self.statuses = [0] * len(STATUS_NAMES)
        # Heaps of (time, product id); an entry counts only while it is the one the product knows of.
        self.agenda: list[tuple[int, str]] = []
        self.snapshot_agenda: list[tuple[int, str]] = []
        # Before this time nothing is due.
        self._stirs_at = 0
        self.cut = Cut({}, [], {})

    def take_cut(self) -> Cut:
        """What has changed since this was last called."""
        cut, self.cut = self.cut, Cut({}, [], {})
        return cut

    # -- the clock

    def advance(self, to: int) -> None:
        """Move the clock on to `to`, and do all that is due up to and at it, in order of time, then of product id."""
        clock = self.clock
        if clock is None:
            self.clock = to
            return
        if to <= clock:
            return
        for effective in self.book.policies.effective_times(clock, to):
            self._run_agenda(effective - 1)
            self._run_all(effective)
        self._run_agenda(to)
        self.clock = to
        self._stirs_at = min(
            self.agenda[0][0] if self.agenda else NEVER,
            self.snapshot_agenda[0][0] if self.snapshot_agenda else NEVER,
            self.book.policies.next_effective_time(to) or NEVER,
        )

    def _run_agenda(self, to: int) -> None:
        agenda, products, snapshots = self.agenda, self.products, self.snapshot_agenda
        while agenda and agenda[0][0] <= to:
            at, product_id = heappop(agenda)
            product = products.get(product_id)
            if product is None or product.wake_at != at:
                continue
            product.wake_at = None
            if product.status == CLEAR:
                # Ordinary events move its due time, but the entry stays where it was, early.
                product.due_at = next_due(product, self.book)
            if product.due_at == at:
                self._run_due(product, at)
            else:
                self._enter(product)
        while snapshots and snapshots[0][0] <= to:
            at, product_id = heappop(snapshots)
            product = products.get(product_id)
            if product is not None and product.snapshot_pending and product.snapshot_at == at - SNAPSHOT_INTERVAL_MS:
                self._write_snapshot(product, at)

    def _run_all(self, effective: int) -> None:
        """A policy takes effect: every product is evaluated, whether anything else is due for it or not."""
        for product_id in sorted(self.products):
            self._run_due(self.products[product_id], effective, takes_effect=True)

    def _run_due(self, product: Product, at: int, *, takes_effect: bool = False) -> None:
        """One evaluation of a product for whatever is due for it at `at`."""
        book = self.book
        changed = product.catch_up(book, at - 1)
        before = Before.of(product)
        signature = _conditions(product)
        changed = product.catch_up(book, at) or changed
        if takes_effect:
            product.reselect(book, at)
        if product.leeway > 0 and product.last_bucket < product.stock_until and not product.is_empty:
            # No level can change, and so none is judged; nor is the row due: whoever reads it catches up as well.
            product.due_at = next_due(product, book)
            self._enter(product)
            return
        transition = evaluate(product, book, at, before)
        changed = changed or signature != _conditions(product)
        self._settle(product, at, transition, changed=changed, numbers_changed=_numbers_changed(product, before))

    # -- events

    def apply(self, event: InputEvent) -> str:
        """Apply an accepted event at the present clock, to which `advance` has moved; the outcome.

        `LATE`: further behind the clock than allowed, dropped. `REPEAT`: told before. `APPLIED`: neither.
        """
        assert self.clock is not None
        others = self.tell((event,), (self.clock,))
        return others[0][1] if others else APPLIED

    def tell(self, events: Sequence[InputEvent], clocks: Sequence[int]) -> list[tuple[InputEvent, str]]:
        """Apply accepted events in order, before each of which the clock moves on to its item of `clocks`.

        Returns those whose outcome is not APPLIED, with it.
        """
        others: list[tuple[InputEvent, str]] = []
        book, products, changed = self.book, self.products, self.cut.changed
        recent_ms = book.recent_ms
        now = -1 if self.clock is None else self.clock
        for event, to in zip(events, clocks, strict=True):
            if to > now:
                if to < self._stirs_at:
                    self.clock = to
                else:
                    self.advance(to)
                now = to
            product_id = event.product_id
            product = products.get(product_id)
            if event.occurred_at >= now - recent_ms:
                if product is None:
                    if self._begin(event, now):
                        continue
                elif product.leeway > 0:
                    done = ORDINARY[type(event)](product, event, now, book)
                    if done:
                        changed[product_id] = None
                        if done == LOOK:
                            due_at = next_due(product, book)
                            product.due_at = due_at if due_at is None or due_at > now else now + 1
                            self._enter(product)
                        continue
            outcome = self._apply(product, event, now)
            if outcome is not APPLIED:
                others.append((event, outcome))
        return others

    def _begin(self, event: InputEvent, now: int) -> bool:
        """The first event of a product, if it is an ordinary one; False, with nothing done, if it is not."""
        product_id, book = event.product_id, self.book
        product = Product(product_id, book, now)
        take_stock(product)
        if product.leeway <= 0 or not ORDINARY[type(event)](product, event, now, book):
            return False
        self.products[product_id] = product
        self.statuses[CLEAR] += 1
        self.cut.changed[product_id] = None
        product.due_at = next_due(product, book)
        self._enter(product)
        return True

    def _apply(self, product: Product | None, event: InputEvent, now: int) -> str:
        """What an event does, in general; its outcome."""
        book = self.book
        if event.occurred_at < now - book.allowed_lateness_ms:
            return LATE
        if product is None:
            product = self.products[event.product_id] = Product(event.product_id, book, now)
            self.statuses[CLEAR] += 1
        product.catch_up(book, now)
        before = Before.of(product)
        far = product.leeway > 0
        told = product.apply(book, event, now)
        if far and not product.is_empty:
            take_stock(product)
            if product.leeway > 0:
                # Far from any threshold before it and after it: no level can have changed.
                self.cut.changed[product.id] = None
                product.due_at = next_due(product, book)
                self._enter(product)
                return APPLIED if told else REPEAT
        if not told:
            # Catching up may have moved its lines all the same.
            self._settle(product, now, None, changed=True, numbers_changed=False)
            return REPEAT
        transition = evaluate(product, book, now, before, reversion=isinstance(event, CancellationReverted))
        numbers_changed = isinstance(event, ImpressionsCounted) or _numbers_changed(product, before)
        self._settle(product, now, transition, changed=True, numbers_changed=numbers_changed)
        return APPLIED

    # -- after an evaluation

    def _settle(
        self, product: Product, now: int, transition: Transition | None, *, changed: bool, numbers_changed: bool
    ) -> None:
        if transition is not None:
            self.cut.transitions.append(transition)
            self._count_status(transition)
            self._write_snapshot(product, now)
        elif numbers_changed and product.status != CLEAR:
            self._note_numbers(product, now)
        if changed or transition is not None:
            self.cut.changed[product.id] = None
        take_stock(product)
        if product.is_empty:
            if product.sequence == 0:
                del self.products[product.id]
                self.statuses[CLEAR] -= 1
                return
            product.keep_only_sequence(self.book, now)
        product.due_at = next_due(product, self.book)
        self._enter(product)

    def _enter(self, product: Product) -> None:
        """Put the product on the agenda, unless an entry there is early enough."""
        due_at = product.due_at
        if due_at is not None and (product.wake_at is None or due_at < product.wake_at):
            product.wake_at = due_at
            heappush(self.agenda, (due_at, product.id))
            if due_at < self._stirs_at:
                self._stirs_at = due_at

    def _count_status(self, transition: Transition) -> None:
        self.statuses[STATUS_NAMES.index(transition.previous_status)] -= 1
        self.statuses[STATUS_NAMES.index(transition.current_status)] += 1

    def _write_snapshot(self, product: Product, now: int) -> None:
        product.snapshot_at = now
        product.snapshot_pending = False
        self.cut.snapshots[product.id] = None
        self.cut.changed[product.id] = None

    def _note_numbers(self, product: Product, now: int) -> None:
        if product.snapshot_pending:
            return
        if product.snapshot_at is None or now >= product.snapshot_at + SNAPSHOT_INTERVAL_MS:
            self._write_snapshot(product, now)
        else:
            product.snapshot_pending = True
            self.cut.changed[product.id] = None
            self._ask_for_snapshot(product)

    def _ask_for_snapshot(self, product: Product) -> None:
        assert product.snapshot_at is not None
        at = product.snapshot_at + SNAPSHOT_INTERVAL_MS
        heappush(self.snapshot_agenda, (at, product.id))
        self._stirs_at = min(self._stirs_at, at)

    # -- recovery

    def restore(self, product: Product) -> None:
        """Take in a product that was read from its row, which may be of an earlier clock than the partition's.

        Whatever was due since then changed nothing of it, or its row would be later: so it catches up, unjudged.
        """
        assert self.clock is not None
        product.catch_up(self.book, self.clock)
        if product.is_empty and product.sequence == 0:
            self.cut.changed[product.id] = None  # its row is due to be deleted
            return
        self.products[product.id] = product
        self.statuses[product.status] += 1
        take_stock(product)
        product.wake_at = None
        product.due_at = next_due(product, self.book)
        self._enter(product)
        if product.snapshot_pending:
            self._ask_for_snapshot(product)


def _numbers_changed(product: Product, before: Before) -> bool:
    """Whether a number that a flagged product's snapshot shows has changed."""
    if product.status == CLEAR or (product.totals == before.totals and product.plan is before.plan):
        return False
    pairs = zip(product.plan.rules, before.plan.rules, strict=True)
    return any(rule.counts(product.totals) != old.counts(before.totals) for rule, old in pairs)


def _conditions(product: Product) -> tuple[object, ...] | None:
    """The levels and what is held, to tell whether an evaluation changed any of it."""
    if product.states is None:
        return None
    return tuple((s.level, s.since, s.breach_since, s.exit_since) for s in product.states)
