"""All products of one partition under one clock (SPEC section 5).

Everything here is a function of the events applied and the clock. Nobody awaits, logs or reads a clock of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush

from streams.domain.counters import NEVER
from streams.domain.cut import Cut
from streams.domain.dormant import Dormant, RowCodec
from streams.domain.events import CancellationReverted, ImpressionsCounted, InputEvent
from streams.domain.judge import Before, conditions, evaluate, numbers_changed
from streams.domain.ordinary import LOOK, ORDINARY
from streams.domain.outlook import awaits_expiry_only, next_due, take_stock
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from streams.domain.snapshot_agenda import SnapshotAgenda
from streams.domain.transitions import CLEAR, STATUS_NAMES, Transition

# Outcomes of an event.
APPLIED, REPEAT, LATE = "applied", "repeat", "late"
# Products that a policy is held against in one step: some 6 ms.
PRODUCTS_AT_ONCE = 100


class Partition:
    """The products of a partition, its clock (ms, None before the first accepted event) and its agenda.

    `products`: those that are awake; the others are `dormant`. `statuses`: how many of both are in each status.
    """

    __slots__ = ("_stirs_at", "agenda", "book", "clock", "cut", "dormant", "products", "snapshots", "statuses")

    def __init__(self, book: Rulebook, codec: RowCodec | None = None) -> None:
        """Without a `codec` no product can be dormant."""
        self.book = book
        self.clock: int | None = None
        self.products: dict[str, Product] = {}
        self.dormant = Dormant(codec)
        self.statuses = [0] * len(STATUS_NAMES)
        # A heap of (time, product id); an entry counts only while it is the one the product knows of.
        self.agenda: list[tuple[int, str]] = []
        self.snapshots = SnapshotAgenda()
        # Before this time nothing is due.
        self._stirs_at = 0
        self.cut = Cut({}, [], {})

    def take_cut(self) -> Cut:
        """What has changed since this was last called."""
        cut, self.cut = self.cut, Cut({}, [], {})
        return cut

    # -- who is there

    @property
    def size(self) -> int:
        """How many products there are, awake or dormant."""
        return len(self.products) + len(self.dormant.rows)

    def find(self, product_id: str) -> Product | None:
        """The product, awake; None if there is none. Raises what reading a damaged row of it does."""
        product = self.products.get(product_id)
        if product is None and self.clock is not None:
            product = self._wake(product_id, self.clock)
        return product

    def _wake(self, product_id: str, now: int) -> Product | None:
        """A dormant product, awake and caught up to `now`, before which nothing is due for it."""
        product = self.dormant.take(product_id, now)
        if product is None:
            return None
        status = product.status
        if self._take_in(product, now):
            return product
        self.statuses[status] -= 1
        return None

    # -- the clock

    def advance(self, to: int) -> None:
        """Move the clock on to `to`, and do all that is due up to and at it, in order of time, then of product id."""
        for _ in self.advancing(to):
            pass

    def advancing(self, to: int) -> Iterator[None]:
        """`advance` in steps of some milliseconds, where a policy takes effect on many products.

        Between two steps the partition is nothing that could be cut, nor may anything else be done to it.
        """
        clock = self.clock
        if clock is None:
            self.clock = to
            return
        if to <= clock:
            return
        for effective in self.book.policies.effective_times(clock, to):
            self._run_agenda(effective - 1)
            for _ in self._run_all(effective):
                yield
        self._run_agenda(to)
        self.clock = to
        self._stirs_at = min(
            self.agenda[0][0] if self.agenda else NEVER,
            self.snapshots.next_at,
            self.book.policies.next_effective_time(to) or NEVER,
        )

    def _run_agenda(self, to: int) -> None:
        agenda, products = self.agenda, self.products
        while agenda and agenda[0][0] <= to:
            at, product_id = heappop(agenda)
            product = products.get(product_id)
            if product is None and self.dormant.is_due(product_id, at):
                product = self._wake(product_id, at - 1)
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
        self.snapshots.run(to, products, self.cut)

    def _run_all(self, effective: int) -> Iterator[None]:
        """A policy takes effect: every product is evaluated, whether anything else is due for it or not."""
        for number, product_id in enumerate(sorted(self.products.keys() | self.dormant.rows.keys()), start=1):
            if number % PRODUCTS_AT_ONCE == 0:
                yield
            product = self.products.get(product_id)
            if product is not None:
                self._run_due(product, effective, takes_effect=True)
            else:
                self._review(product_id, effective)

    def _review(self, product_id: str, effective: int) -> None:
        """A policy takes effect on a dormant product: it sleeps on, unless that changes what its row says."""
        row = self.dormant.rows[product_id]
        product = self._wake(product_id, effective - 1)
        if product is None:
            return
        entry = product.wake_at
        self._run_due(product, effective, takes_effect=True)
        if product_id in self.products and product.wake_at == entry and product_id not in self.cut.changed:
            del self.products[product_id]
            self.dormant.rows[product_id] = row

    def _run_due(self, product: Product, at: int, *, takes_effect: bool = False) -> None:
        """One evaluation of a product for whatever is due for it at `at`."""
        book = self.book
        changed = product.catch_up(book, at - 1)
        before = Before.of(product)
        signature = conditions(product)
        changed = product.catch_up(book, at) or changed
        plan = product.plan
        if takes_effect:
            product.reselect(book, at)
        if product.leeway > 0 and product.last_bucket < product.stock_until and not product.is_empty:
            # No level can change, and so none is judged; nor is the row due: whoever reads it catches up as well.
            product.due_at = next_due(product, book)
            self._enter(product)
            return
        transition = evaluate(product, book, at, before)
        changed = changed or signature != conditions(product)
        self._settle(product, at, transition, changed=changed, numbers_changed=numbers_changed(product, before))
        if product.plan is not plan and not awaits_expiry_only(product, book):
            self.cut.changed[product.id] = None  # the due time that its row says may be late now

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
        book, products, dormant, changed = self.book, self.products, self.dormant.rows, self.cut.changed
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
            if product is None and product_id in dormant:
                product = self._wake(product_id, now)
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
        shown = isinstance(event, ImpressionsCounted) or numbers_changed(product, before)
        self._settle(product, now, transition, changed=True, numbers_changed=shown)
        return APPLIED

    # -- after an evaluation

    def _settle(
        self, product: Product, now: int, transition: Transition | None, *, changed: bool, numbers_changed: bool
    ) -> None:
        if transition is not None:
            self.cut.transitions.append(transition)
            self._count_status(transition)
            self.snapshots.write(product, now, self.cut)
        elif numbers_changed and product.status != CLEAR:
            self.snapshots.note(product, now, self.cut)
            self._stirs_at = min(self._stirs_at, self.snapshots.next_at)
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

    # -- recovery

    def restore(self, product: Product) -> None:
        """Take in a product that was read from its row, which may be of an earlier clock than the partition's.

        Whatever was due since then changed nothing of it, or its row would be later: so it catches up, unjudged.
        """
        assert self.clock is not None
        product.wake_at = None
        if self._take_in(product, self.clock):
            self.statuses[product.status] += 1

    def _take_in(self, product: Product, now: int) -> bool:
        """Count a product that was read among those that are awake, unless nothing of it is left by `now`."""
        product.catch_up(self.book, now)
        if product.is_empty and product.sequence == 0:
            self.cut.changed[product.id] = None  # its row is due to be deleted
            return False
        self.products[product.id] = product
        take_stock(product)
        product.due_at = next_due(product, self.book)
        self._enter(product)
        if product.snapshot_pending:
            self.snapshots.enter(product)
            self._stirs_at = min(self._stirs_at, self.snapshots.next_at)
        return True
