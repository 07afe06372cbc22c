"""Made the golden changelog of row version 1, and the history of those that came after it (`make_changelog_v2`).

Never run it again for a version that was released: its files are what that version wrote, and no program of today can
write them in its stead (it refuses to write over them). For the next row version write a `make_changelog_vN.py` that
tells of what is new in that version too, and run that once, with the last commit before the release.

The history: random products with every kind of fact, repeats, and late events; one with so many lines that it has
pages; one of which nothing is left but its sequence. Three owners take the partition one after the other. The first
writes a cut after it has lost it, which the second repairs; the second does so too, after the last complete cut. The
third dies between the two batches of its next one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from streams.codecs.event_lines import InputRecord
from streams.codecs.meta import epoch_of
from streams.codecs.outputs import encode_transition
from streams.codecs.policy_file import parse_policies
from streams.domain.events import TOPIC_OF_TYPE
from streams.domain.policy import DAY_MS, HOUR_MS, MINUTE_MS, PolicySet
from streams.domain.rulebook import BUCKET_MS, Rulebook
from streams.engine.backtest import backtest
from streams.engine.cut import Flush
from streams.engine.flush import Fenced
from streams.engine.restore import restore_partition
from streams.testing.fake_log import FakeBroker
from streams.testing.records import SimulatedRecord, encode, to_line
from tests.core.logs import Logs, merged
from tests.core.random_logs import START_MS, RandomLogs
from tests.golden.changelog_file import Batch, Golden, save
from tests.golden.owner import TOPICS, Owner, log_state, new_broker, told

# One of those that give a small file with much in it.
SEED = 64
METRICS_TOML = """
[policy.metrics.out_of_stock_cancellation_rate]
{common}
window = "7d"
[policy.metrics.seller_fault_cancellation_rate]
{common}
window = "14d"
[policy.metrics.unshipped_overdue_rate]
{common}
window = "7d"
[policy.metrics.late_dispatch_rate]
{common}
window = "28d"
[policy.metrics.high_shipping_fee_rate]
{common}
window = "3d"
"""
# The second and the third take effect in the rest of the input.
POLICIES_TOML = "".join(
    f"[[policy]]\n{head}\ndwell = '1d'\nresolved_for = '10d'\nsevere_k_min = 3\n{METRICS_TOML.format(common=common)}"
    for head, common in (
        ("version = 'first'\neffective_from = '2026-01-01T00:00:00Z'", "n_min = 5\nk_min = 2\nat_risk = 0.35"),
        (
            "version = 'toys'\neffective_from = '2026-04-21T00:00:00Z'\ncategory = 'toys'\nregion = 'US'",
            "n_min = 2\nk_min = 1\nat_risk = 0.25",
        ),
        ("version = 'second'\neffective_from = '2026-04-24T12:00:00Z'", "n_min = 6\nk_min = 2\nat_risk = 0.4"),
    )
).replace("at_risk = 0", "impacted = 0.6\ngrace = '24h'\nat_risk = 0")


class Stories:
    """Records of hand-made products, for their places in a log."""

    def __init__(self) -> None:
        self.records: list[InputRecord] = []

    def tell(self, type_: str, at: int, product_id: str, **fields: Any) -> None:
        event_id = f"s{len(self.records)}"
        event = {"type": type_, "event_id": event_id, "product_id": product_id, "occurred_at": at, **fields}
        self.records.append(InputRecord(TOPIC_OF_TYPE[type_], at, product_id.encode(), encode(event)))

    def placed(self, at: int, product_id: str, order_id: str, ship_by: int) -> None:
        fields = {"seller_id": "S1", "region": "DE", "quantity": 1, "item_price": 1, "currency": "EUR"}
        self.tell("order.placed", at, product_id, order_id=order_id, ship_by=ship_by, **fields)

    def forgotten(self, product_id: str) -> None:
        """Flagged once, long ago; and one more order, in the rest of the log."""
        for number in range(6):
            self.placed(START_MS + number * HOUR_MS, product_id, f"z{number}", START_MS + DAY_MS)
            self.tell("order.cancelled", START_MS + 5 * HOUR_MS, product_id, order_id=f"z{number}",
                      reason="out_of_stock")  # fmt: skip
        for number in range(4):
            at = START_MS + 58 * DAY_MS + number * HOUR_MS
            self.placed(at, product_id, f"y{number}", at + DAY_MS)

    def quiet(self, product_id: str) -> None:
        """A few lines of which one is shipped, never flagged."""
        at = START_MS + 41 * DAY_MS
        for number in range(3):
            self.placed(at + number, product_id, f"q{number}", at + 20 * DAY_MS)
        self.tell("order.shipped", at + DAY_MS, product_id, order_id="q1")

    def resolved(self, product_id: str) -> None:
        """Impacted, until most of what was cancelled is taken back."""
        at = START_MS + 30 * DAY_MS
        for number in range(6):
            self.placed(at + number, product_id, f"r{number}", at + 40 * DAY_MS)
            self.tell("order.cancelled", at + 2 * HOUR_MS, product_id, order_id=f"r{number}", reason="out_of_stock")
        at = START_MS + 39 * DAY_MS
        for number in range(5):
            self.tell("order.cancellation_reverted", at + number, product_id, order_id=f"r{number}")

    def large(self, product_id: str, day: int, lines: int) -> None:
        """So many lines within a day, of which some are shipped, cancelled or extended on the days that follow."""
        begin = START_MS + day * DAY_MS
        for number in range(lines):
            self.placed(begin + number * MINUTE_MS, product_id, f"L{number}", begin + 5 * DAY_MS)
        for number in range(12):
            fee: dict[str, Any] = {"fee": 9, "reference_fee": 3, "currency": "EUR", "seller_id": "S1", "region": "DE"}
            self.tell("shipping_fee.charged", begin + DAY_MS + number, product_id, order_id=f"L{number}", **fee)
        self.tell("impressions.counted", begin + DAY_MS + 99, product_id, count=1000,
                  **{"from": begin, "to": begin + DAY_MS + 99})  # fmt: skip
        # On each day another stretch of ten lines: these come into a few of the pages, and some beyond the golden cut.
        for step in range(24):
            at = begin + DAY_MS + step * 12 * HOUR_MS
            orders = [f"L{step * 5 + number}" for number in range(5)]
            self.tell("order.shipped", at, product_id, order_id=orders[0])
            self.tell("order.cancelled", at + 1, product_id, order_id=orders[1], reason="out_of_stock")
            self.tell("order.cancelled", at + 2, product_id, order_id=orders[2], reason="unable_to_ship")
            self.tell("order.cancellation_reverted", at + 3, product_id, order_id=orders[2])
            self.tell("order.deadline_extended", at + 4, product_id, order_id=orders[3], ship_by=at + 9 * DAY_MS)

    def into(self, logs: Logs) -> None:
        """Each to its place in the logs, by its timestamp; those stay as out of order as they are."""
        for record in self.records:
            log = logs[record.topic]
            later = (index for index, other in enumerate(log) if other.timestamp_ms > record.timestamp_ms)
            log.insert(next(later, len(log)), record)


class Maker:
    """Plays the history up to the golden cut."""

    def __init__(self, logs: Logs, policies: PolicySet) -> None:
        self.broker: FakeBroker = new_broker()
        self._order = merged(logs)
        self._policies = policies
        self._fed = 0

    def owner(self) -> Owner:
        """The next owner; what the one before applied since its last cut is applied anew."""
        owner = Owner(self.broker, self._policies)
        self._fed = sum(owner.processor.positions)
        return owner

    def feed(self, owner: Owner, count: int) -> None:
        self._fed += count
        logs: Logs = [[], [], [], []]
        for record in self._order[: self._fed]:
            logs[record.topic].append(record)
        while owner.feed(logs, 1000):
            pass

    def cuts(self, owner: Owner, count: int, size: int) -> None:
        for _ in range(count):
            self.feed(owner, size)
            owner.cut()

    def play(self) -> None:
        first = self.owner()
        self.cuts(first, 2, 80)
        self.feed(first, 10)
        zombie = first.prepare()
        second = self.owner()
        self.feed(second, 50)
        send_in_vain(first, zombie)
        self.cuts(second, 2, 85)
        self.feed(second, 125)
        zombie = second.prepare()
        third = self.owner()
        self.feed(third, 130)
        flush = third.cut()
        while len(flush.outbox.transitions) < 2 or len(flush.outbox.snapshots) <= len(flush.outbox.transitions):
            assert self._fed < len(self._order)
            self.feed(third, 15)
            flush = third.cut()
        send_in_vain(second, zombie)
        self.feed(third, 25)
        torn = third.prepare()
        assert len(torn.rows) > 3
        third.send_a_part(torn, len(torn.rows) - 2)


def send_in_vain(owner: Owner, flush: Flush) -> None:
    """The cut lands; its writer finds out that it has lost the partition."""
    try:
        owner.send(flush)
    except Fenced:
        return
    raise AssertionError("nobody has taken the partition from this owner")


def batches(broker: FakeBroker, topic: str) -> Iterable[Batch]:
    """A topic's log, cut where the writer changes: where else its batches began is all the same to a reader."""
    rows: list[tuple[bytes, bytes | None]] = []
    epoch = 0
    for entry in broker[topic, 0].entries:
        assert entry.key is not None
        if rows and epoch_of(entry.headers) != epoch:
            yield Batch(epoch, rows)
            rows = []
        epoch = epoch_of(entry.headers)
        rows.append((entry.key, entry.value))
    yield Batch(epoch, rows)


def make(seed: int, version: int, more: Callable[[Stories], None] | None = None) -> tuple[Golden, list[bytes]]:
    """The golden changelog, and its input as lines. `more` tells what a later version has to tell."""
    random = RandomLogs(Random(seed), events=300, products=4, days=75)
    logs, until_ms = random.logs, random.end_ms + 12 * DAY_MS
    stories = Stories()
    stories.forgotten("Öl-1")
    stories.quiet("quiet")
    stories.resolved("resolved")
    stories.large("large", 40, 262)
    if more is not None:
        more(stories)
    stories.into(logs)
    policies = parse_policies(POLICIES_TOML, "policies.toml", BUCKET_MS)
    maker = Maker(logs, policies)
    maker.play()
    state = log_state(maker.broker)
    restored = restore_partition(state, Rulebook(policies))
    (transitions,) = backtest(merged(logs), policies, partitions=1, until_ms=until_ms).transitions
    values = [encode_transition(transition) for transition in transitions]
    lines = [to_line(SimulatedRecord(r.timestamp_ms, r.topic, r.key, r.value)) for r in merged(logs)]
    golden = Golden(
        version=version,
        policies_toml=POLICIES_TOML,
        until_ms=until_ms,
        published_count=values.index(restored.outbox.transitions[0].value),
        says=told(state, restored),
        changelog=list(batches(maker.broker, TOPICS.changelog)),
        snapshots=list(batches(maker.broker, TOPICS.snapshots)),
        transitions=values,
    )
    return golden, lines


if __name__ == "__main__":
    made, lines = make(SEED, version=1)
    save(made, lines)
    print(json.dumps(made.says, indent=1, ensure_ascii=False))
