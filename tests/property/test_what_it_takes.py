"""What a seller is told it takes to recover, held against what the rules then do (SPEC 7)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from streams.domain.policy import DEFAULT_POLICY, METRICS
from streams.domain.reasons import snapshot_of
from streams.domain.recovery import Recovery, Standing, recovery_of
from streams.domain.transitions import Reason
from tests.core.scene import BUCKET_MS, DAY_MS, FAULT, FEES, HOUR_MS, LATE, OVERDUE, STOCK, T0, Scene, policy

# Each tells a partition of some hundred events.
FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@dataclass
class Trouble:
    """A product with a level, at the clock at which all its lines are due or cancelled, and what it takes."""

    scene: Scene
    reason: Reason
    recovery: Recovery
    orders: int


@st.composite
def troubles(draw: st.DrawFn) -> Trouble:
    """Good and bad orders in turn over a few days, of a product that is judged by one metric."""
    metric = draw(st.sampled_from((STOCK, FAULT, OVERDUE, LATE, FEES)))
    scene = Scene(policy(only=metric))
    good, bad = draw(st.integers(6, 40)), draw(st.integers(3, 25))
    kinds = draw(st.permutations([True] * good + [False] * bad))
    step = draw(st.sampled_from((HOUR_MS // 2, HOUR_MS, 2 * HOUR_MS)))
    for number, is_good in enumerate(kinds):
        _order(scene, metric, f"O{number:03d}", T0 + number * step, is_good)
    now = T0 + len(kinds) * step + 8 * HOUR_MS + draw(st.integers(0, 3)) * 13 * HOUR_MS
    scene.until(now)
    assume(scene.product().effective_at is not None)
    snapshot = snapshot_of(scene.product(), scene.partition.book, now)
    assume(snapshot.reasons)
    reason = snapshot.reasons[0]
    return Trouble(scene, reason, told(reason, now), len(kinds))


def told(reason: Reason, now: int, *, by_policy: bool = True) -> Recovery:
    standing = Standing(
        reason.metric,
        reason.level,
        reason.numerator,
        reason.denominator,
        Decimal(str(reason.exit_threshold)),
        [item.at for item in reason.evidence],
        reason.evidence_total,
        now,
    )
    rule = DEFAULT_POLICY.metrics[METRICS.index(reason.metric)]
    if not by_policy:
        return recovery_of(standing, None, None, BUCKET_MS)
    return recovery_of(standing, DEFAULT_POLICY, rule, BUCKET_MS)


def _order(scene: Scene, metric: str, order_id: str, at: int, is_good: bool) -> None:
    if metric == FEES:
        scene.fee(at, fee="3" if is_good else "9", order_id=order_id)
        return
    due = metric in (OVERDUE, LATE)
    scene.placed(order_id, at, ship_by=at + 4 * HOUR_MS if due else None)
    if due and is_good:
        scene.shipped(order_id, at + 1)
    elif not due and not is_good:
        scene.cancelled(order_id, at + 1)


def _level(scene: Scene, metric: str) -> str:
    now = scene.clock
    levels = {item.metric: item.level for item in snapshot_of(scene.product(), scene.partition.book, now).metrics}
    return levels[metric]


def _is_bad(scene: Scene, metric: str, below: Decimal) -> bool:
    """Whether the metric keeps its level: the gate, and the rate (SPEC 7, exit conditions)."""
    k, n = scene.numbers(metric)
    rule = DEFAULT_POLICY.metrics[METRICS.index(metric)]
    return n >= rule.n_min and k >= rule.k_min and Decimal(k) >= below * n


@given(troubles())
@FEW
def test_by_the_latest_time_told_the_level_has_fallen(trouble: Trouble) -> None:
    scene, recovery, metric = trouble.scene, trouble.recovery, trouble.reason.metric
    assert recovery.at_latest is not None
    assert recovery.next_level == {"impacted": "at_risk", "at_risk": "none"}[trouble.reason.level]
    assert recovery.is_below != _is_bad(scene, metric, recovery.below_rate)
    # Grace may pass meanwhile: a product that is at risk can become impacted by what has happened already.
    scene.until(max(scene.clock, recovery.at_latest))
    levels = {"impacted": 2, "at_risk": 1, "none": 0}
    rose = any(item.current_status == "impacted" for item in scene.transitions)
    if trouble.reason.level == "impacted" or not rose:
        assert levels[_level(scene, metric)] <= levels[recovery.next_level]


@given(troubles())
@FEW
def test_so_many_orders_shipped_are_enough_and_one_less_is_not(trouble: Trouble) -> None:
    scene, recovery, metric = trouble.scene, trouble.recovery, trouble.reason.metric
    assert (recovery.settle_orders is None) == (metric != OVERDUE)
    assume(recovery.settle_orders)
    assert recovery.settle_orders is not None
    # The latest ones: the first may have left the window, and count no more whether they are shipped or not.
    overdue = [line.key[0] for line in scene.product().lines.values() if line.shipped_at is None][::-1]
    now = scene.clock
    assert _is_bad(scene, metric, recovery.below_rate)
    for number, order_id in enumerate(overdue[: recovery.settle_orders]):
        assert _is_bad(scene, metric, recovery.below_rate), number
        scene.shipped(order_id, now)
    assert not _is_bad(scene, metric, recovery.below_rate)


@given(troubles())
@FEW
def test_so_many_good_orders_are_enough_and_one_less_is_not(trouble: Trouble) -> None:
    scene, recovery, metric = trouble.scene, trouble.recovery, trouble.reason.metric
    # Good ones that are placed and due at once: what counts is how many there are, not when.
    now = scene.clock
    if recovery.is_below:
        assert recovery.good_orders == 0
        return
    assert recovery.good_orders is not None
    for number in range(recovery.good_orders):
        assert _is_bad(scene, metric, recovery.below_rate), number
        order_id = f"G{number}"
        if metric == FEES:
            scene.fee(now, fee="3", order_id=order_id)
        elif metric in (OVERDUE, LATE):
            scene.placed(order_id, now - 2, ship_by=now - 1)
            scene.shipped(order_id, now - 1)
        else:
            scene.placed(order_id, now)
    assert not _is_bad(scene, metric, recovery.below_rate)


@given(troubles())
@FEW
def test_without_the_policy_nothing_is_told_that_only_it_knows(trouble: Trouble) -> None:
    alone = told(trouble.reason, trouble.scene.clock, by_policy=False)
    assert (alone.at_latest, alone.dwell_ms) == (None, None)
    if not trouble.recovery.is_below:
        assert alone.good_orders == trouble.recovery.good_orders


def test_an_example_by_hand() -> None:
    """40 lines are due, 5 of them overdue: 12.5 %. Impacted from 10 %, it leaves that below 8 %, that is at 3 of 40."""
    standing = Standing(OVERDUE, "impacted", 5, 40, Decimal("0.08"), [T0 + n for n in range(5, 0, -1)], 5, T0 + DAY_MS)
    rule = DEFAULT_POLICY.metrics[METRICS.index(OVERDUE)]
    found = recovery_of(standing, DEFAULT_POLICY, rule, BUCKET_MS)
    assert (found.next_level, found.below_rate, found.is_below) == ("at_risk", Decimal("0.080"), False)
    # 5 of 63 is 7.94 %, 5 of 62 is 8.06 %.
    assert (found.settle_orders, found.good_orders) == (2, 23)
    # With two left in the window of 7 days the gate is shut; all five are of one bucket. Then three days of dwelling.
    assert found.at_latest == T0 + 7 * DAY_MS + 3 * DAY_MS


def test_a_threshold_that_is_published_as_nothing_is_no_way_out() -> None:
    """0.3 x 0.0001 is written as 0.0 (SPEC 6); whoever has not the policy knows no more."""
    standing = Standing(OVERDUE, "at_risk", 5, 40, Decimal("0.0"), [], 5, T0)
    found = recovery_of(standing, None, None, BUCKET_MS)
    assert (found.is_below, found.settle_orders, found.good_orders) == (False, 5, None)
