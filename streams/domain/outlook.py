"""When a product must be looked at next, and how far it is from anything that could give it a level.

Most products are far from any threshold. What tells so is kept with each (`leeway`), so that an ordinary event need
not be judged at all: see `streams.domain.ordinary`.
"""

from __future__ import annotations

from streams.domain.buckets import FIELD_MASK
from streams.domain.counters import NEVER
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from streams.domain.transitions import CLEAR, RESOLVED


def take_stock(product: Product) -> None:
    """Find the product's leeway anew, from its totals; it has caught up.

    A metric rises from none only with its gate open, so with k >= k_min (SPEC 7). One bad fact adds at most 1 to each
    k; time alone takes from them, but for what lies ahead of the clock and is not in the totals yet.
    """
    plan = product.plan
    late = plan.least_late_k_min
    if product.status != CLEAR or product.newest > product.last_bucket:
        product.leeway = 0
        product.late_leeway = late
        return
    totals = product.totals
    leeway = plan.least_k_min
    if totals[-1] & plan.numerators:  # the longest window, which holds the others
        for k_shift, k_min, window, counts_late_lines in plan.sieve:
            left = k_min - ((totals[window] >> k_shift) & FIELD_MASK)
            if left < leeway:
                leeway = left
            if counts_late_lines and left < late:
                late = left
    product.leeway = leeway
    product.late_leeway = late


def next_due(product: Product, book: Rulebook) -> int | None:
    """The first time after `as_of` at which the product must be looked at; None if there is nothing left of it.

    It may be early, never late: nothing that SPEC 5 calls due changes a level or the status before it.
    """
    as_of, agenda = product.as_of, product.agenda
    if product.leeway > 0 or (product.status == CLEAR and product.newest <= product.last_bucket):
        # All that time can bring of itself are lines that turn out late; enough of them could open a gate.
        if agenda and product.threats >= product.late_leeway:
            at = agenda[0][0]
            return at + 1 if at >= as_of else as_of + 1
        if product.wake_at is None or not product.buckets:  # of lines that count nothing the last may go earlier
            return _expiry(product, book)
        return product.wake_at
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


def _expiry(product: Product, book: Rulebook) -> int | None:
    """When the last of an idle product may be dropped."""
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
