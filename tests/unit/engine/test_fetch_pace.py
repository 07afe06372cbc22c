"""Fetch requests of one node keep their distance; nothing else of the fetcher's plan is touched."""

from __future__ import annotations

from typing import Any

import pytest

from streams.engine import fetch_pace
from streams.engine.fetch_pace import pace_fetches

RESETS, RESUMED = {7: ["tp"]}, ["future"]


class Planner:
    """What `pace_fetches` uses of a fetcher: a plan, which asks both of two nodes."""

    def _get_actions_per_node(self, assignment: Any) -> tuple[Any, ...]:
        return [(1, f"of {assignment}"), (2, f"of {assignment}")], RESETS, 60.0, False, RESUMED


def test_a_node_is_asked_again_after_the_interval_and_planned_for_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(fetch_pace, "monotonic", lambda: clock[0])
    fetcher: Any = Planner()
    pace_fetches(fetcher, 5)
    assert fetcher._get_actions_per_node("a") == ([(1, "of a"), (2, "of a")], RESETS, 60.0, False, RESUMED)
    clock[0] += 0.002
    requests, resets, timeout_s, invalid, resumed = fetcher._get_actions_per_node("b")
    assert (requests, resets, invalid, resumed) == ([], RESETS, False, RESUMED)
    assert timeout_s == pytest.approx(0.003)
    clock[0] += 0.003_1
    assert fetcher._get_actions_per_node("c")[0] == [(1, "of c"), (2, "of c")]
