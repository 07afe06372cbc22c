"""The evaluation of a product: from its counters to levels, status and transition (SPEC section 7)."""

from __future__ import annotations

from dataclasses import dataclass

from streams.domain.buckets import FIELD_MASK
from streams.domain.levels import LEVEL_NAMES, NONE, MetricState
from streams.domain.policy import METRICS
from streams.domain.product import Product
from streams.domain.reasons import reasons_of
from streams.domain.rulebook import Rulebook
from streams.domain.rules import Plan
from streams.domain.transitions import AT_RISK, CLEAR, IMPACTED, RESOLVED, STATUS_NAMES, Transition


@dataclass(slots=True)  # not frozen: one is made for every event, and freezing costs more than the two fields
class Before:
    """What the evaluation before this one saw: its plan and the totals it judged."""

    plan: Plan
    totals: list[int]

    @classmethod
    def of(cls, product: Product) -> Before:
        """As the product stands now."""
        return cls(product.plan, product.totals.copy())


def evaluate(
    product: Product, book: Rulebook, now: int, before: Before, *, reversion: bool = False
) -> Transition | None:
    """Judge a product that has caught up to clock `now` (ms); the transition this gives, if any.

    `reversion`: an `order.cancellation_reverted` was just applied.
    """
    if product.states is None and not _could_move(product, now, before):
        return None
    plan, totals, dwell_ms = product.plan, product.totals, product.plan.policy.dwell_ms
    states = product.states or [MetricState() for _ in METRICS]
    levels_before = [state.level for state in states]
    corrected: list[int] = []
    took_effect = plan.effective_from_ms == now
    unchanged = plan is before.plan and totals == before.totals and not took_effect
    for rule, old_rule, state in zip(plan.rules, before.plan.rules, states, strict=True):
        if state.level == NONE and unchanged:
            continue  # it rises only at a fresh evaluation
        k, n = rule.counts(totals)
        if state.level == NONE and k < rule.k_min:
            continue  # its gate is shut
        old_k, old_n = old_rule.counts(before.totals)
        fresh = took_effect or k > old_k or (n > old_n and not old_rule.gate(old_k, old_n))
        lowered = reversion and k < old_k
        if lowered:
            corrected.append(rule.index)
        state.settle(rule, k, n, now, dwell_ms, fresh, lowered)
    product.states = states if any(state.level for state in states) else None
    return _conclude(product, book, now, levels_before, [state.level for state in states], corrected)


def _could_move(product: Product, now: int, before: Before) -> bool:
    """A sieve for products without any level, which most are: False if no rule can change anything."""
    plan, totals = product.plan, product.totals
    if product.status == RESOLVED:
        assert product.resolved_at is not None
        if now >= product.resolved_at + plan.policy.resolved_for_ms:
            return True
    if totals == before.totals and plan is before.plan and plan.effective_from_ms != now:
        return False
    for rule in plan.sieve:
        if (totals[rule.window] >> rule.k_shift) & FIELD_MASK >= rule.k_min:
            return True
    return False


def _conclude(
    product: Product, book: Rulebook, now: int, levels_before: list[int], levels: list[int], corrected: list[int]
) -> Transition | None:
    status_before = product.status
    status = _next_status(product, now, max(levels))
    if status == status_before and levels == levels_before:
        return None
    cause = _cause(product, now, status_before, status, levels_before, levels, corrected)
    if status in (AT_RISK, IMPACTED) and status_before == RESOLVED:
        product.relapse_count += 1
    elif status == CLEAR:
        product.relapse_count = 0
    product.resolved_at = now if status == RESOLVED else None
    product.status = status
    product.sequence += 1
    product.effective_at = now
    in_force = product.plan.in_force
    return Transition(
        product_id=product.id,
        seller_id=product.seller_id,
        region=product.region_name,
        category=product.category_name,
        sequence=product.sequence,
        change="reasons_changed" if status == status_before else "status_changed",
        previous_status=STATUS_NAMES[status_before],
        current_status=STATUS_NAMES[status],
        cause=cause,
        effective_at=now,
        policy_version=None if in_force is None else in_force.version,
        relapse_count=product.relapse_count,
        reasons=reasons_of(product, book, now),
        previous_reasons=tuple(
            (name, LEVEL_NAMES[level]) for name, level in zip(METRICS, levels_before, strict=True) if level
        ),
    )


def _next_status(product: Product, now: int, worst: int) -> int:
    if worst != NONE:
        return AT_RISK if worst == AT_RISK else IMPACTED
    if product.status == RESOLVED:
        assert product.resolved_at is not None
        over = now >= product.resolved_at + product.plan.policy.resolved_for_ms
        return CLEAR if over else RESOLVED
    return CLEAR if product.status == CLEAR else RESOLVED


def _cause(
    product: Product,
    now: int,
    status_before: int,
    status: int,
    levels_before: list[int],
    levels: list[int],
    corrected: list[int],
) -> str:
    """The first that applies, in SPEC 7's order."""
    plan = product.plan
    rose = any(after > before for before, after in zip(levels_before, levels, strict=True))
    fallen = [rule for rule in plan.rules if levels[rule.index] < levels_before[rule.index]]
    if plan.effective_from_ms == now or any(not rule.policy.enabled for rule in fallen):
        return "policy_changed"
    if rose:
        return "threshold_breach"
    if any(rule.index in corrected for rule in fallen):
        return "correction"
    if status_before == RESOLVED and status == CLEAR:
        return "resolved_expired"
    # With no policy in force the gates are shut by decree; the counts are then held against the default's n_min.
    if fallen and all(rule.counts(product.totals)[1] < rule.policy.n_min for rule in fallen):
        return "window_expired"
    return "recovered"


def numbers_changed(product: Product, before: Before) -> bool:
    """Whether a number that a flagged product's snapshot shows has changed."""
    if product.status == CLEAR or (product.totals == before.totals and product.plan is before.plan):
        return False
    pairs = zip(product.plan.rules, before.plan.rules, strict=True)
    return any(rule.counts(product.totals) != old.counts(before.totals) for rule, old in pairs)


def conditions(product: Product) -> tuple[object, ...] | None:
    """The levels and what is held, to tell whether an evaluation changed any of it."""
    if product.states is None:
        return None
    return tuple((s.level, s.since, s.breach_since, s.exit_since) for s in product.states)
