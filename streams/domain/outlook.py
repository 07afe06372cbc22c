"""When a product must be looked at next, and how far it is from anything that could give it a level.

Most products are far from any threshold. What tells so is kept with each (`leeway`), so that an ordinary event need
not be judged at all: see `streams.domain.ordinary`.
"""

from __future__ import annotations

from typing import Final

from streams.domain.buckets import FIELD_MASK
from streams.domain.counters import NEVER
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from streams.domain.rules import Sieve
from streams.domain.transitions import CLEAR, RESOLVED

# For so many buckets to come a stock is taken where rates count: a day, with buckets of six hours.
_BUCKETS_AHEAD: Final = 4
# Looking further down the agenda costs more than looking at the product once more.
_NTH_MAX: Final = 4


def take_stock(product: Product) -> None:
    """Find the product's leeway anew, from its totals; it has caught up.

    A metric rises from none only with its gate open and its rate at the threshold (SPEC 7). One bad fact adds at most 1
    to each k; time alone takes from k and n, but for what lies ahead of the clock and is not in the totals yet.
    """
    plan = product.plan
    leeway, late = plan.least_k_min, plan.least_late_k_min
    product.stock_until = NEVER
    if product.status != CLEAR or product.newest > product.last_bucket:
        leeway = 0
    elif product.totals[-1] & plan.numerators:  # the longest window, which holds the others
        totals = product.totals
        for rule in plan.sieve:
            k = (totals[rule.window] >> rule.k_shift) & FIELD_MASK
            left = rule.k_min - k
            if left < 2:
                left = max(left, _below_threshold(product, rule, k))
            if left < leeway:
                leeway = left
            if rule.counts_late_lines and left < late:
                late = left
    product.leeway = leeway
    product.late_leeway = late


def _below_threshold(product: Product, rule: Sieve, k: int) -> int:
    """How many more bad facts it takes until the rate could be at the threshold, for as long as only so many buckets
    leave the window: those that are to leave count no more."""
    first = product.last_bucket - product.plan.windows[rule.window] + 1
    n = (product.totals[rule.window] >> rule.n_shift) & FIELD_MASK
    if product.oldest < first + _BUCKETS_AHEAD:
        for bucket in range(first, first + _BUCKETS_AHEAD):
            n -= (product.buckets.get(bucket, 0) >> rule.n_shift) & FIELD_MASK
    product.stock_until = product.last_bucket + _BUCKETS_AHEAD + 1
    return -(-rule.numerator * max(n, rule.n_min) // rule.denominator) - k


def next_due(product: Product, book: Rulebook) -> int | None:
    """The first time after `as_of` at which the product must be looked at; None if there is nothing left of it.

    It may be early, never late: nothing that SPEC 5 calls due changes a level or the status before it.
    """
    as_of, agenda = product.as_of, product.agenda
    if product.leeway > 0 or (product.status == CLEAR and product.newest <= product.last_bucket):
        # All that time can bring of itself are lines that turn out late; enough of them could open a gate.
        # What stock was taken for ends with a bucket.
        stock_until = product.stock_until * book.bucket_ms
        if agenda and product.threats >= product.late_leeway:
            return min(max(next_look(product), as_of + 1), stock_until)
        times = [at for at in (product.wake_at, _expiry(product, book), stock_until) if at is not None]
        return None if len(times) == 1 else min(times)
    # Its numbers are shown, so they are kept up to date (SPEC 8); or, on a wall clock, an event lies ahead, and its
    # bucket, which enters the windows at a boundary, could open a gate.
    due_at = (product.last_bucket + 1) * book.bucket_ms
    policy = product.plan.policy
    if product.states is not None:
        for rule, state in zip(product.plan.rules, product.states, strict=True):
            if state.exit_since is not None:
                due_at = min(due_at, state.exit_since + policy.dwell_ms)
            if state.breach_since is not None:
                due_at = min(due_at, state.breach_since + rule.policy.grace_ms)
    elif product.status == RESOLVED:
        assert product.resolved_at is not None
        due_at = min(due_at, product.resolved_at + policy.resolved_for_ms)
    if agenda and agenda[0][0] < due_at:
        due_at = agenda[0][0] + 1
    return max(due_at, as_of + 1)


def next_look(product: Product) -> int:
    """When so many lines could have come due that the next one matters: the `late_leeway`-th on the agenda, or earlier.

    A line that is placed later and comes due before it makes it earlier, but not earlier than that line.
    """
    nth = min(product.late_leeway, _NTH_MAX)
    if nth <= 1:
        return product.agenda[0][0] + 1
    # In a heap the n least are among the first 2^n - 1.
    least = sorted(product.agenda[: (1 << nth) - 1])
    return least[min(nth, len(least)) - 1][0] + 1


def _expiry(product: Product, book: Rulebook) -> int | None:
    """When the last of an idle product is dropped, or earlier: its seller, region and category end then (SPEC 4)."""
    newest = max(product.newest if product.buckets else 0, max(product.impressions, default=0))
    if newest:
        return (newest + book.held_buckets) * book.bucket_ms
    return product.agenda[0][0] + 1 if product.agenda else None


def row_due(product: Product, book: Rulebook) -> int:
    """The due time that the product's row says: exact, where its entry in the agenda may be early; NEVER for none."""
    entry, product.wake_at = product.wake_at, None
    due_at = next_due(product, book)
    product.wake_at = entry
    return NEVER if due_at is None else due_at


def awaits_expiry_only(product: Product, book: Rulebook) -> bool:
    """Whether all that is ahead of an idle product is that the last of it is dropped, under whatever policy."""
    expiry = _expiry(product, book)
    return row_due(product, book) >= (NEVER if expiry is None else expiry)
