"""A product's details and its history."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient

from streams.codecs.output_views import decode_transition
from streams.domain.policy import METRICS
from streams.readmodel.rows import product_row
from streams.readmodel.store import Batch
from streams.testing.outputs import Output, product_outputs
from streams.web.views import status_periods
from tests.unit.web.serving import OPERATOR, api, bearer, market, write

API = "/api/v1"
MARKET = market()
LONG = list(product_outputs("S1-LONG", "S1", 3, 130))
STRANGE = 'a/../b?c=1&d="<script>\x00\U0001f600 %2F#'


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with api(tmp_path_factory.mktemp("api"), requests_per_minute=1_000_000) as (opened, store):
        write(store, (output for outputs in MARKET.values() for output in outputs))
        write(store, LONG)
        write(store, [_flagged(STRANGE)])
        yield opened


def _flagged(product_id: str) -> Output:
    return next(output for output in product_outputs(product_id, "S1", 1, 9) if output.snapshot is not None)


def details(client: TestClient, product_id: str, headers: dict[str, str] = OPERATOR) -> Any:
    response = client.get(f"{API}/product", headers=headers, params={"product_id": product_id})
    assert response.status_code == 200, response.text
    return response.json()


def test_details_are_those_of_the_snapshot(client: TestClient) -> None:
    for product_id, outputs in MARKET.items():
        if outputs[-1].snapshot is None:
            continue
        snapshot = orjson.loads(outputs[-1].snapshot)
        found = details(client, product_id)
        for name in ("seller_id", "region", "current_status", "sequence", "effective_at", "updated_at"):
            assert found[name] == snapshot[name]
        assert [metric["metric"] for metric in found["metrics"]] == list(METRICS)
        reasons = {reason["metric"]: reason for reason in snapshot["reasons"]}
        for metric in found["metrics"]:
            numbers = snapshot["metrics"][metric["metric"]]
            assert {name: metric[name] for name in numbers} == numbers
            reason = reasons.get(metric["metric"])
            assert (metric["recovery"] is None) == (reason is None)
            # Also the targets of metrics that have no level: from the policy.
            assert 0 < metric["at_risk_threshold"] <= metric["impacted_threshold"]
            if reason is not None:
                assert metric["evidence"] == reason["evidence"]
                assert metric["review_url"] == reason["review_url"]


def test_impressions_have_every_day(client: TestClient) -> None:
    for product_id, outputs in MARKET.items():
        if outputs[-1].snapshot is None:
            continue
        snapshot = orjson.loads(outputs[-1].snapshot)
        days = details(client, product_id)["impressions"]
        assert {day["date"]: day["count"] for day in days if day["count"]} == {
            day["date"]: day["count"] for day in snapshot["impressions"]
        }
        assert days[-1]["date"] == snapshot["updated_at"][:10]
        assert len(days) <= 28


def test_a_product_that_is_clear_again_has_its_history(client: TestClient) -> None:
    product_id = next(p for p, outputs in MARKET.items() if outputs[-1].status == "clear")
    found = details(client, product_id)
    assert (found["current_status"], found["metrics"], found["impressions"]) == ("clear", [], [])
    assert [item["sequence"] for item in found["transitions"]] == [6, 5, 4, 3, 2, 1]
    assert found["status_periods"][-1] == {"status": "clear", "from": found["effective_at"], "to": None}


def test_an_id_of_any_characters_is_found(client: TestClient) -> None:
    assert details(client, STRANGE)["product_id"] == STRANGE


@pytest.mark.parametrize("limit", [1, 7, 50, 200])
def test_pages_of_the_history_together_are_all_of_it(client: TestClient, limit: int) -> None:
    sequences, cursor = [], {}
    while True:
        query = {"product_id": "S1-LONG", "limit": limit, **cursor}
        page = client.get(f"{API}/transitions", headers=bearer("S1"), params=query).json()
        sequences += [item["sequence"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sequences == list(range(130, 0, -1))


def test_the_history_goes_on_where_the_details_end(client: TestClient) -> None:
    found = details(client, "S1-LONG")
    query = {"product_id": "S1-LONG", "cursor": found["transitions_cursor"]}
    page = client.get(f"{API}/transitions", headers=OPERATOR, params=query).json()
    assert page["items"][0]["sequence"] == found["transitions"][-1]["sequence"] - 1


def test_a_product_that_changed_hands_shows_each_seller_their_part(tmp_path: Any) -> None:
    with api(tmp_path) as (client, store):
        before = list(product_outputs("P", "S1", 1, 3))
        after = [output for output in product_outputs("P", "S2", 1, 12) if output.sequence > 3]
        last = max(i for i, output in enumerate(after) if output.snapshot is not None)
        write(store, [*before, *after[: last + 1]])
        assert client.get(f"{API}/product", headers=bearer("S1"), params={"product_id": "P"}).status_code == 404
        found = details(client, "P", bearer("S2"))
        assert min(item["sequence"] for item in found["transitions"]) == 4
        assert min(item["sequence"] for item in details(client, "P")["transitions"]) == 1


def test_status_periods_cover_the_days_without_gaps() -> None:
    history = [view for output in LONG if (view := decode_transition(output.transition)) is not None][::-1]
    since = "2026-04-01"
    periods = status_periods(history, since)
    assert periods[0].from_ == f"{since}T00:00:00.000Z"
    assert periods[-1].to is None
    assert periods[-1].status == history[0].current_status
    for earlier, later in itertools.pairwise(periods):
        assert earlier.to == later.from_
        assert earlier.status != later.status
    at = "2026-05-05T12:00:00.000Z"
    shown = next(period for period in periods if period.from_ <= at < (period.to or "9"))
    assert shown.status == next(item for item in history if item.effective_at <= at).current_status


def test_without_any_transition_it_has_the_status_that_it_has(tmp_path: Any) -> None:
    """Flagged for longer than transitions are kept: the database was made anew since."""
    with api(tmp_path) as (client, store):
        row = product_row(b"P", _flagged("P").snapshot or b"")
        assert row is not None
        batch = Batch()
        batch.put(row)
        store.apply(batch)
        found = details(client, "P")
        start = max(found["effective_at"], f"{found['impressions'][0]['date']}T00:00:00.000Z")
        assert found["transitions"] == []
        assert found["status_periods"] == [{"status": found["current_status"], "from": start, "to": None}]


def test_before_the_first_known_transition_it_had_the_status_that_one_left() -> None:
    history = [view for output in LONG[:1] if (view := decode_transition(output.transition)) is not None]
    periods = status_periods(history, "2026-01-01")
    assert [(period.status, period.from_) for period in periods] == [
        ("clear", "2026-01-01T00:00:00.000Z"),
        (history[0].current_status, history[0].effective_at),
    ]
