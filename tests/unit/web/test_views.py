"""What the API makes of a record, by many requests at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from streams.codecs.output_views import SnapshotView, decode_snapshot
from streams.codecs.time_format import format_rfc3339
from streams.domain.policy import DAY_MS, DEFAULT_POLICY, PolicySet
from streams.domain.rulebook import BUCKET_MS
from streams.testing.outputs import START_MS, product_outputs
from streams.web.views import metric_details

CHANGES_AT = START_MS + 10 * DAY_MS
POLICIES = tuple(
    replace(DEFAULT_POLICY, version=version, effective_from_ms=at) for version, at in (("old", 0), ("new", CHANGES_AT))
)
THREADS, ROUNDS = 8, 20


class Slow(PolicySet):
    """One that lets others have their turn in the midst of a choice."""

    __slots__ = ()

    def _enter_era(self, clock_ms: int) -> None:
        super()._enter_era(clock_ms)
        time.sleep(0.001)


def snapshot(version: str, at_ms: int, region: str) -> SnapshotView:
    output = next(output for output in product_outputs("P1", "S1", 1, 9) if output.snapshot is not None)
    found = decode_snapshot(output.snapshot or b"")
    assert found is not None
    return SnapshotView(
        **{name: getattr(found, name) for name in found.__struct_fields__}
        | {"policy_version": version, "updated_at": format_rfc3339(at_ms), "region": region}
    )


def test_requests_at_once_each_have_the_policy_of_their_own_time() -> None:
    """A PolicySet remembers its last choices: for the times of one request, and not of another's."""
    policies = Slow(POLICIES)
    cases = [snapshot("old", CHANGES_AT - 1, "US"), snapshot("new", CHANGES_AT, "DE")]

    def ask(number: int) -> list[int | None]:
        chosen = cases[number % 2]
        return [next(metric_details(chosen, policies, BUCKET_MS)).window_ms for _ in range(ROUNDS)]

    with ThreadPoolExecutor(THREADS) as pool:
        windows = [window for found in pool.map(ask, range(THREADS)) for window in found]
    # Without the policy of its time a metric's window is not known.
    assert None not in windows
    assert len(windows) == THREADS * ROUNDS
