"""All that is kept of one product: its lines, fees, impressions and attributes (SPEC section 4)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.oracle.levels import Standing
from tests.oracle.lines import Line, contributions
from tests.oracle.policies import MetricRules

ATTRIBUTES = ("seller_id", "region", "category")


@dataclass(frozen=True)
class Horizon:
    """How long things are kept. All in ms."""

    bucket_ms: int
    allowed_lateness_ms: int
    longest_ms: int

    def bucket(self, at_ms: int) -> int:
        """The bucket a time falls into."""
        return at_ms // self.bucket_ms

    def first_bucket(self, window_ms: int, clock_ms: int) -> int:
        """The first bucket of a window at a clock; its last one is the clock's own."""
        return self.bucket(clock_ms) - -(-window_ms // self.bucket_ms) + 1

    def holds(self, at_ms: int, clock_ms: int) -> bool:
        """Whether the bucket of a time is held at a clock."""
        return self.bucket(at_ms) >= self.first_bucket(self.longest_ms, clock_ms)


@dataclass(frozen=True)
class Told:
    """A fee or an impression count that was applied. `high` and `order_id` are a fee's."""

    event_id: str
    at_ms: int
    is_fee: bool
    high: bool = False
    order_id: str | None = None


@dataclass
class Product:
    """A product. `standing` is where it stands (levels, status); `sequence` alone outlives its deletion."""

    product_id: str
    horizon: Horizon
    sequence: int = 0
    lines: dict[tuple[str, str], Line] = field(default_factory=dict)
    forgotten: list[tuple[str, int]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    attributes: dict[str, tuple[int, bytes, str]] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)

    def attribute(self, name: str) -> str | None:
        """seller_id, region or category, or None while no event carried it."""
        return self.attributes[name][2] if name in self.attributes else None

    def take_attributes(self, event: dict[str, Any]) -> None:
        """Each attribute is that of the latest occurred_at; of equal times the smaller event_id's."""
        for name in ATTRIBUTES:
            value = event.get(name)
            if value is None:
                continue
            new = (int(event["occurred_at"]), str(event["event_id"]).encode(), str(value))
            old = self.attributes.get(name)
            if old is None or new[0] > old[0] or (new[0] == old[0] and new[1] < old[1]):
                self.attributes[name] = new

    def tell_line(self, event: dict[str, Any]) -> None:
        """Apply an event about a line. A repeat changes nothing."""
        key = (event["order_id"], event.get("line_id") or "1")
        line = self.lines.setdefault(key, Line(*key))
        if line.tell(event):
            self.take_attributes(event)

    def is_repeat(self, event_id: str, clock_ms: int) -> bool:
        """Whether a fee or impression count of this id was applied and its bucket is still held."""
        return any(one.event_id == event_id and self.horizon.holds(one.at_ms, clock_ms) for one in self.told)

    def tell_fee(self, event: dict[str, Any], high_fee_ratio: Fraction) -> None:
        """Apply a fee that is no repeat; it is judged here, once."""
        high = Fraction(event["fee"]) > high_fee_ratio * Fraction(event["reference_fee"])
        self.told.append(Told(event["event_id"], event["occurred_at"], True, high, event.get("order_id")))

    def tell_impressions(self, event: dict[str, Any]) -> None:
        """Apply an impression count that is no repeat. No metric uses the number, so only its id and time are kept."""
        self.told.append(Told(event["event_id"], event["occurred_at"], False))

    def settle(self, clock_ms: int) -> None:
        """Forget the lines whose time has come, freezing what they count; delete the product if nothing is left."""
        horizon = self.horizon
        for key, line in list(self.lines.items()):
            if line.is_forgettable(clock_ms, horizon.allowed_lateness_ms, horizon.longest_ms, horizon.bucket_ms):
                self.forgotten += [(counter, at_ms) for counter, at_ms, _ in contributions(line.state, clock_ms)]
                del self.lines[key]
        if not self.has_anything(clock_ms):
            self.forgotten, self.told, self.attributes, self.standing = [], [], {}, Standing()

    def has_anything(self, clock_ms: int) -> bool:
        """Whether anything is left but the sequence: a line, something in a held bucket, or a status."""
        return (
            bool(self.lines)
            or any(self.horizon.holds(at_ms, clock_ms) for _, at_ms in self.forgotten)
            or any(self.horizon.holds(one.at_ms, clock_ms) for one in self.told)
            or self.standing.status != "clear"
        )

    def count(self, metrics: tuple[MetricRules, ...], clock_ms: int) -> dict[str, tuple[int, int]]:
        """k and n of each metric at a clock, from nothing but what is kept (SPEC sections 4 and 6)."""
        counted: list[tuple[str, int]] = list(self.forgotten)
        for line in self.lines.values():
            counted += [(counter, at_ms) for counter, at_ms, _ in contributions(line.state, clock_ms)]
        for one in self.told:
            if one.is_fee:
                counted.append(("fees", one.at_ms))
                if one.high:
                    counted.append(("high_fees", one.at_ms))
        buckets = Counter((counter, self.horizon.bucket(at_ms)) for counter, at_ms in counted)
        numbers = {}
        for rules in metrics:
            window = self._window(rules, clock_ms)
            inside = [(counter, times) for (counter, bucket), times in buckets.items() if bucket in window]
            numbers[rules.name] = (
                sum(times for counter, times in inside if counter == rules.numerator),
                sum(times for counter, times in inside if counter == rules.denominator),
            )
        return numbers

    def evidence(self, rules: MetricRules, clock_ms: int) -> list[tuple[int, str, str | None]]:
        """(at, order_id, line_id) of all that counts in k and is still known, in the order of SPEC section 8."""
        window = self._window(rules, clock_ms)
        found: list[tuple[int, str, str | None]] = []
        for (order_id, line_id), line in self.lines.items():
            for counter, at_ms, evidence_at_ms in contributions(line.state, clock_ms):
                if counter == rules.numerator and self.horizon.bucket(at_ms) in window:
                    found.append((evidence_at_ms, order_id, line_id))
        if rules.numerator == "high_fees":
            for one in self.told:
                if one.high and one.order_id is not None and self.horizon.bucket(one.at_ms) in window:
                    found.append((one.at_ms, one.order_id, None))
        return sorted(found, key=lambda one: (-one[0], one[1].encode(), (one[2] or "").encode()))

    def _window(self, rules: MetricRules, clock_ms: int) -> range:
        first = max(
            self.horizon.first_bucket(rules.window_ms, clock_ms),
            self.horizon.first_bucket(self.horizon.longest_ms, clock_ms),
        )
        return range(first, self.horizon.bucket(clock_ms) + 1)
