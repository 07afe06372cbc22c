"""The deadline of a line that was extended very many times (SPEC section 4).

`streams.domain.lines` takes the extensions of a line in order of time whenever a fact comes, as SPEC has it. A line
with thousands of them would cost as many steps at each of its facts, so they are kept here in a form that answers at
once, whatever the order in which they came.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Extensions:
    """Extensions, each told once by its `occurred_at` and its ship_by, in ms.

    Why this gives what SPEC's taking them in order of time gives. Let R be the reversion after which all count.
    (1) Without one, an extension counts if it happened within the present deadline. So the deadline moves through
        spans from occurred_at to ship_by that overlap: to the end of the chain of spans that the first one lies in.
    (2) Those after R are the last, and move the deadline to the latest of their own, if that is later. Whether they
        are in the chain of (1) as well does not matter then.
    (3) Those up to R alone move it to the latest ship_by among those that happened at or before both R and the end of
        the chain: every one of these was within the deadline when its turn came.
    """

    __slots__ = ("_ends", "_latest_after", "_latest_before", "_starts")

    def __init__(self) -> None:
        # The chains: spans that overlap are merged, so both lists ascend.
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._latest_before = _Stairs()
        self._latest_after = _Stairs()  # of times counted backwards

    def add(self, at: int, ship_by: int) -> None:
        """Take in one more."""
        self._latest_before.add(at, ship_by)
        self._latest_after.add(-at, ship_by)
        first, last = bisect_left(self._ends, at), bisect_right(self._starts, ship_by)
        if first < last:
            at, ship_by = min(at, self._starts[first]), max(ship_by, self._ends[last - 1])
        if at < ship_by:
            self._starts[first:last], self._ends[first:last] = [at], [ship_by]

    def extended(self, ship_by: int, taken_back_at: int | None) -> tuple[int, bool]:
        """The deadline that was `ship_by` at first, and whether an extension after `taken_back_at` counted."""
        chain = bisect_right(self._starts, ship_by) - 1
        end = max(ship_by, self._ends[chain]) if chain >= 0 else ship_by  # (1)
        if taken_back_at is None:
            return end, False
        before = self._latest_before.highest(min(taken_back_at, end), ship_by)  # (3)
        end = self._latest_after.highest(-taken_back_at - 1, end)  # (2)
        return end, end > before


class _Stairs:
    """Points (x, y), of which only those are kept that are higher than all to the left of them."""

    __slots__ = ("_xs", "_ys")

    def __init__(self) -> None:
        self._xs: list[int] = []
        self._ys: list[int] = []

    def add(self, x: int, y: int) -> None:
        right = bisect_right(self._xs, x)
        if right and self._ys[right - 1] >= y:
            return
        first, last = bisect_left(self._xs, x), bisect_right(self._ys, y)
        self._xs[first:last], self._ys[first:last] = [x], [y]

    def highest(self, x: int, least: int) -> int:
        """The largest y of the points up to x, at least `least`."""
        right = bisect_right(self._xs, x)
        return max(least, self._ys[right - 1]) if right else least
