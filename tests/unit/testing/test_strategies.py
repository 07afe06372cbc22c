"""The Hypothesis strategies: valid, adversarial, and far enough reaching."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from streams.codecs.inputs import Refused
from streams.codecs.policy_file import parse_policies
from streams.domain.events import REASONS
from streams.domain.policy import METRICS
from streams.testing.fates import DAY_MS, HOUR_MS
from streams.testing.records import SimulatedRecord
from streams.testing.strategies import HistoryRecord, PolicyTable, histories, policy_sets, to_toml
from tests.unit.testing.playing import event_of, play
from tests.unit.testing.rules import check

BUCKET_MS = 6 * HOUR_MS
LATENESS_MS = 7 * DAY_MS

# Drawing is slow on a busy machine, and that is no fault.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
# The same examples every time: what is looked for among them must not be there by chance.
sample = settings(unhurried, max_examples=300, derandomize=True, database=None)
SAMPLES_MAX = 10


def merged(history: list[HistoryRecord]) -> Iterator[SimulatedRecord]:
    """The records in the order of SPEC section 5."""
    logs = [[record for record in history if record.topic == topic] for topic in range(4)]
    while any(logs):
        head = min((log[0] for log in logs if log), key=lambda record: (record.timestamp, record.topic))
        yield logs[head.topic].pop(0).record()


@given(histories(max_events=20))
@unhurried
def test_every_record_of_a_history_is_accepted(history: list[HistoryRecord]) -> None:
    assert 1 <= len(history) <= 20
    for record in history:
        check(record.record())
        assert not isinstance(event_of(record.record()), Refused)


@given(histories(repeats_move=True))
@unhurried
def test_moved_repeats_are_accepted_too(history: list[HistoryRecord]) -> None:
    assert not [record for record in history if isinstance(event_of(record.record()), Refused)]


@given(histories(always_in_time=True))
@unhurried
def test_histories_can_be_in_time(history: list[HistoryRecord]) -> None:
    times = [record.timestamp for record in history]
    assert times == sorted(times)
    assert all(record.timestamp == record.event["occurred_at"] for record in history)


@given(policy_sets())
@unhurried
def test_every_policy_set_is_a_good_file(tables: list[PolicyTable]) -> None:
    policies = parse_policies(to_toml(tables), "policies.toml", BUCKET_MS).policies
    assert [policy.version for policy in policies] == [table["version"] for table in tables]
    assert [policy.exit_ratio for policy in policies] == [table["exit_ratio"] for table in tables]
    for policy, table in zip(policies, tables, strict=True):
        for name, metric in zip(METRICS, policy.metrics, strict=True):
            if name in table["metrics"]:
                assert metric.at_risk == table["metrics"][name]["at_risk"]
                assert metric.n_min == table["metrics"][name]["n_min"]


def test_histories_hold_what_breaks_things() -> None:
    seen: Counter[str] = Counter()

    @given(histories())
    @sample
    def look(history: list[HistoryRecord]) -> None:
        seen.update({name for record in history for name in _marks(record)})
        seen.update(_marks_between(history))

    look()
    wanted = {
        *("order.placed", "order.shipped", "order.deadline_extended", "order.cancelled"),
        *("order.cancellation_reverted", "shipping_fee.charged", "impressions.counted"),
        *("on a boundary", "at ship_by", "at the hold's end", "exactly late enough", "too late", "ahead"),
        *("equal occurred_at", "equal timestamp", "told again", "told again otherwise", "not by timestamp"),
        *("fee at the ratio", "unknown reason", "platform", "sample"),
    }
    assert wanted <= set(seen)
    assert min(seen[name] for name in wanted) >= 5


def _marks(record: HistoryRecord) -> Iterator[str]:
    event = record.event
    yield event["type"]
    if event["occurred_at"] % BUCKET_MS == 0:
        yield "on a boundary"
    if record.timestamp < event["occurred_at"]:
        yield "ahead"
    if event.get("fee") == 3.6:
        yield "fee at the ratio"
    if "reason" in event and event["reason"] not in REASONS:
        yield "unknown reason"
    if event.get("fulfilled_by") == "platform":
        yield "platform"
    if event.get("sample"):
        yield "sample"


def _marks_between(history: list[HistoryRecord]) -> set[str]:
    marks = set()
    clock = 0
    placed = {}
    ids: dict[str, dict[str, object]] = {}
    for record in merged(history):
        event = check(record)
        clock = max(clock, event["occurred_at"])
        if clock - event["occurred_at"] == LATENESS_MS:
            marks.add("exactly late enough")
        if clock - event["occurred_at"] > LATENESS_MS:
            marks.add("too late")
        if event["event_id"] in ids:
            marks.add("told again" if ids[event["event_id"]] == event else "told again otherwise")
        ids[event["event_id"]] = event
        line = event["product_id"], event.get("order_id"), event.get("line_id", "1")
        if event["type"] == "order.placed":
            placed[line] = event
        elif line in placed and event["occurred_at"] == placed[line]["ship_by"]:
            marks.add("at ship_by")
        elif line in placed and event["occurred_at"] == placed[line]["occurred_at"] + HOUR_MS:
            marks.add("at the hold's end")
    if len({record.event["occurred_at"] for record in history}) < len(history):
        marks.add("equal occurred_at")
    if len({record.timestamp for record in history}) < len(history):
        marks.add("equal timestamp")
    if history != sorted(history, key=lambda record: record.timestamp):
        marks.add("not by timestamp")
    return marks


def test_histories_under_policy_sets_reach_every_rule() -> None:
    seen: Counter[object] = Counter()

    @given(histories(max_events=40), policy_sets(), st.integers(0, 40))
    @sample
    def look(history: list[HistoryRecord], tables: list[PolicyTable], buckets: int) -> None:
        policies = parse_policies(to_toml(tables), "policies.toml", BUCKET_MS)
        end_ms = max(record.event["occurred_at"] for record in history) + buckets * BUCKET_MS
        for transition in play(merged(history), end_ms, policies):
            seen[transition.cause] += 1
            seen[transition.change] += 1
            seen[transition.previous_status, transition.current_status] += 1
            seen["relapse"] += transition.relapse_count
            seen["no policy"] += transition.policy_version is None
            seen.update(reason.metric for reason in transition.reasons)

    wanted: set[object] = {
        *("policy_changed", "threshold_breach", "correction", "resolved_expired", "window_expired", "recovered"),
        *("status_changed", "reasons_changed", "relapse", *METRICS),
        *(("clear", "at_risk"), ("clear", "impacted"), ("at_risk", "impacted"), ("impacted", "at_risk")),
        *(("impacted", "resolved"), ("at_risk", "resolved"), ("resolved", "clear"), ("resolved", "at_risk")),
    }
    # What Hypothesis draws depends on the modules that are loaded, so one sample may lack the rarest rule.
    for number in range(SAMPLES_MAX):
        seed(number)(look)()
        if all(seen[name] for name in wanted):
            return
    assert {name for name in wanted if not seen[name]} == set()


def test_the_package_itself_does_without_hypothesis() -> None:
    program = "import sys, streams.testing.market, streams.cli.simulate; sys.exit('hypothesis' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
