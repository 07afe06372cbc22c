"""Scenes of a product that is flagged, for the tests of what becomes of it."""

from __future__ import annotations

from typing import Any

from streams.domain.policy import Policy
from tests.core.scene import DAY_MS, HOUR_MS, STOCK, T0, Scene, policy

FLAGGED_AT = T0 + HOUR_MS + 7  # on no boundary
GRACE, DWELL, RESOLVED_FOR = 48 * HOUR_MS, 3 * DAY_MS, 14 * DAY_MS
QUICK: dict[str, Any] = {"n_min": 4, "k_min": 1, "grace_ms": 0}


def since(at: int) -> int:
    return at - T0


def flagged(*policies: Policy) -> Scene:
    """20 placed at T0, 3 of them cancelled at FLAGGED_AT: 0.15, at risk; impacted 48 h later."""
    scene = Scene(*(policies or (policy(only=STOCK),)))
    scene.many_placed(range(20))
    scene.many_cancelled(range(3), FLAGGED_AT)
    return scene


def quick_scene(**settings: Any) -> Scene:
    """A policy under which 4 placed and 1 cancelled are enough, without grace; one metric only."""
    return Scene(policy(only=STOCK, metrics={STOCK: QUICK | {"impacted": "1"}}, **settings))


def resolved_quickly() -> tuple[Scene, int]:
    """Flagged, and resolved by a correction at the time given, which is on no boundary."""
    scene = quick_scene(dwell_ms=0)
    scene.many_placed(range(4))
    scene.cancelled("O000", T0 + 5)
    at = T0 + 7
    scene.reverted("O000", at)
    assert scene.transitions[-1].current_status == "resolved"
    return scene, at
