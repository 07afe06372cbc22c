"""Fetch requests of one node keep their distance; nothing else of the fetcher's plan is touched."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest

from streams.engine import fetch_pace
from streams.engine.fetch_codec import QuickFetchRequest
from streams.engine.fetch_pace import pace_fetches

RESETS, RESUMED = {7: ["tp"]}, ["future"]


class Planner:
    """What `pace_fetches` uses of a fetcher: a plan, which asks the nodes it is told to."""

    def __init__(self) -> None:
        self.plans = 0

    def _get_actions_per_node(self, nodes: list[int]) -> tuple[Any, ...]:
        self.plans += 1
        requests = [(node, FetchRequest(50, 1, 2, 0, [(f"of {node}", [(0, 1, 2)])])) for node in nodes]
        return requests, RESETS, 60.0, False, RESUMED


def asked(plan: tuple[Any, ...]) -> list[tuple[int, str]]:
    assert all(isinstance(request, QuickFetchRequest) for _, request in plan[0])
    return [(node, request.topics[0][0]) for node, request in plan[0]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(fetch_pace, "monotonic", lambda: now[0])
    return now


def test_a_node_is_asked_again_after_the_interval(clock: list[float]) -> None:
    fetcher: Any = Planner()
    pace_fetches(fetcher, 5)
    plan = fetcher._get_actions_per_node([1, 2])
    assert asked(plan) == [(1, "of 1"), (2, "of 2")]
    assert plan[1:] == (RESETS, 60.0, False, RESUMED)
    clock[0] += 0.002
    requests, resets, timeout_s, invalid, resumed = fetcher._get_actions_per_node([1, 2])
    assert (requests, resets, invalid, resumed) == ([], {}, False, [])
    assert timeout_s == pytest.approx(0.003)
    assert fetcher.plans == 1, "nothing can be due"
    clock[0] += 0.003_1
    assert asked(fetcher._get_actions_per_node([1, 2])) == [(1, "of 1"), (2, "of 2")]


def test_each_node_has_its_own_interval(clock: list[float]) -> None:
    fetcher: Any = Planner()
    pace_fetches(fetcher, 5)
    fetcher._get_actions_per_node([1])
    clock[0] += 0.006
    assert asked(fetcher._get_actions_per_node([2])) == [(2, "of 2")]
    plan = fetcher._get_actions_per_node([1, 2])
    assert asked(plan) == [(1, "of 1")]
    assert plan[1] == RESETS
    assert plan[2] == pytest.approx(0.005)
