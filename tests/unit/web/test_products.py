"""The list, the counts and the export: what a seller gets, page by page."""

from __future__ import annotations

import base64
import csv
import io
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient

from streams.readmodel import queries
from streams.readmodel.queries import Filter
from streams.testing.outputs import Output, product_outputs
from streams.web.products import _csv
from tests.unit.web.serving import KEY, OPERATOR, api, bearer, market, write

MARKET = market()
LAST = {product_id: outputs[-1] for product_id, outputs in MARKET.items()}
FLAGGED = {product_id: output for product_id, output in LAST.items() if output.status != "clear"}
API = "/api/v1"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with api(tmp_path_factory.mktemp("api"), requests_per_minute=1_000_000) as (opened, store):
        write(store, (output for outputs in MARKET.values() for output in outputs))
        yield opened


def of(seller_id: str, status: str | None = None) -> set[str]:
    return {
        product_id
        for product_id, output in FLAGGED.items()
        if product_id.startswith(seller_id + "-") and status in (None, output.status)
    }


def get(client: TestClient, path: str, headers: dict[str, str], **query: Any) -> Any:
    response = client.get(API + path, headers=headers, params=query)
    assert response.status_code == 200, response.text
    return response.json()


def every_page(client: TestClient, headers: dict[str, str], limit: int, **query: Any) -> list[dict[str, Any]]:
    items, cursor = [], {}
    while True:
        page = get(client, "/products", headers, limit=limit, **query, **cursor)
        items += page["items"]
        assert len(page["items"]) <= limit
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


def test_a_seller_sees_their_flagged_products_and_no_others(client: TestClient) -> None:
    items = get(client, "/products", bearer("S1"), limit=200)["items"]
    assert {item["product_id"] for item in items} == of("S1")
    assert {item["seller_id"] for item in items} == {"S1"}


def test_an_operator_sees_all_or_those_of_one_seller(client: TestClient) -> None:
    assert {item["product_id"] for item in get(client, "/products", OPERATOR, limit=200)["items"]} == set(FLAGGED)
    items = get(client, "/products", OPERATOR, limit=200, seller_id="S2")["items"]
    assert {item["product_id"] for item in items} == of("S2")


@pytest.mark.parametrize("sort", ["severity", "-effective_at", "effective_at", "product_id"])
@pytest.mark.parametrize("limit", [1, 3, 200])
def test_pages_together_are_the_whole_list_in_order(client: TestClient, sort: str, limit: int) -> None:
    items = every_page(client, OPERATOR, limit, sort=sort)
    ids = [item["product_id"] for item in items]
    assert sorted(ids) == sorted(FLAGGED)
    if sort == "product_id":
        assert ids == sorted(ids)
    elif sort == "severity":
        ranks = [["impacted", "at_risk", "resolved"].index(item["current_status"]) for item in items]
        assert ranks == sorted(ranks)
    else:
        times = [item["effective_at"] for item in items]
        assert times == sorted(times, reverse=sort.startswith("-"))


@pytest.mark.parametrize("status", ["at_risk", "impacted", "resolved"])
def test_a_status_is_filtered_by(client: TestClient, status: str) -> None:
    items = get(client, "/products", bearer("S1"), status=status, limit=200)["items"]
    assert {item["product_id"] for item in items} == of("S1", status)


def test_a_reason_is_filtered_by(client: TestClient) -> None:
    everything = get(client, "/products", OPERATOR, limit=200)["items"]
    metric = "unshipped_overdue_rate"
    expected = {item["product_id"] for item in everything if metric in {r["metric"] for r in item["reasons"]}}
    found = get(client, "/products", OPERATOR, reason=metric, limit=200)["items"]
    assert expected
    assert {item["product_id"] for item in found} == expected


def test_a_region_is_filtered_by(client: TestClient) -> None:
    everything = get(client, "/products", OPERATOR, limit=200)["items"]
    expected = {item["product_id"] for item in everything if item["region"] == "DE"}
    found = get(client, "/products", OPERATOR, region="DE", limit=200)["items"]
    assert expected
    assert {item["product_id"] for item in found} == expected


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("s1-p1", {p for p in of("S1") if p.startswith("S1-P1")}),
        ("%", set()),
        ("_", set()),
        ("\\", set()),
        ("nothing", set()),
    ],
)
def test_a_search_is_for_a_part_whatever_the_case_and_knows_no_wildcards(
    client: TestClient, q: str, found: set[str]
) -> None:
    items = get(client, "/products", bearer("S1"), q=q, limit=200)["items"]
    assert {item["product_id"] for item in items} == found


def test_counts_are_those_of_the_list(client: TestClient) -> None:
    expected = Counter(output.status for product_id, output in FLAGGED.items() if product_id in of("S3"))
    counts = get(client, "/counts", bearer("S3"), status="impacted")
    assert counts == {status: expected[status] for status in ("at_risk", "impacted", "resolved")}


def test_a_cursor_is_good_for_its_own_request_only(client: TestClient) -> None:
    cursor = get(client, "/products", OPERATOR, limit=1)["next_cursor"]
    for query in ({"sort": "product_id"}, {"status": "impacted"}, {"q": "S"}):
        response = client.get(f"{API}/products", headers=OPERATOR, params={"cursor": cursor, **query})
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"
    for bad in ("x", "!", "e30", "A" * 5000, cursor + "A", cursor[:-3]):
        assert client.get(f"{API}/products", headers=OPERATOR, params={"cursor": bad}).status_code in (400, 422)
    assert client.get(f"{API}/products", headers=bearer("S1"), params={"cursor": cursor}).status_code == 400


@pytest.mark.parametrize(
    ("sort", "value"), [("severity", True), ("severity", "x"), ("effective_at", 1e300), ("effective_at", False)]
)
def test_a_cursor_of_another_kind_is_none(client: TestClient, sort: str, value: Any) -> None:
    """Whoever makes one of their own is told so, not that the database is away."""
    cursor = get(client, "/products", OPERATOR, limit=1, sort=sort)["next_cursor"]
    mark, _, product_id = orjson.loads(base64.urlsafe_b64decode(cursor + "=="))
    made = base64.urlsafe_b64encode(orjson.dumps([mark, value, product_id])).decode()
    response = client.get(f"{API}/products", headers=OPERATOR, params={"cursor": made, "sort": sort})
    assert response.status_code == 400


def test_the_export_has_a_line_for_each_product_of_the_seller(client: TestClient) -> None:
    response = client.get(f"{API}/export.csv", headers=bearer("S1"))
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert {row["product_id"] for row in rows} == of("S1")
    for row in rows:
        assert row["status"] == FLAGGED[row["product_id"]].status
        assert (row["metric"] == "") == (row["status"] == "resolved")


def test_an_export_of_several_pages_is_whole_and_holds_no_connection_meanwhile(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "_EXPORT_PAGE", 3)
    for count in (0, 2, 3, 7):
        with api(tmp_path / str(count)) as (_, store):
            ids = {f"P{number}" for number in range(count)}
            for product_id in ids:
                write(store, [_flagged_output(product_id)])
            parts = []
            for part in _csv(store, Filter("S9")):
                assert store.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
                parts.append(part)
            assert {row["product_id"] for row in csv.DictReader(io.StringIO("".join(parts)))} == ids
            assert len(parts) == 1 + count // 3


def test_an_operator_says_whose_export(client: TestClient) -> None:
    assert client.get(f"{API}/export.csv", headers=OPERATOR).status_code == 400
    response = client.get(f"{API}/export.csv", headers=OPERATOR, params={"seller_id": "S2"})
    assert len(response.text.splitlines()) == 1 + len(of("S2"))


def test_an_id_that_looks_like_a_formula_stays_text_in_a_spreadsheet(tmp_path: Any) -> None:
    with api(tmp_path) as (client, store):
        for product_id in ("=1+1", "@x", "-2"):
            write(store, [_flagged_output(product_id)])
        text = client.get(f"{API}/export.csv", headers=bearer("S9")).text
        assert {row["product_id"] for row in csv.DictReader(io.StringIO(text))} == {"'=1+1", "'@x", "'-2"}


def _flagged_output(product_id: str) -> Output:
    return next(iter(product_outputs(product_id, "S9", 1, 1)))


def test_there_is_no_list_before_all_is_read(tmp_path: Any) -> None:
    with api(tmp_path, ready=False) as (client, _):
        for path in (
            "/products",
            "/counts",
            "/export.csv",
            "/changes",
            "/product?product_id=P",
            "/transitions?product_id=P",
        ):
            response = client.get(API + path, headers=bearer("S1"))
            assert (response.status_code, response.json()["type"]) == (503, "/problems/not-ready")
            assert int(response.headers["retry-after"]) > 0
        assert client.get(f"{API}/session", headers=bearer("S1")).status_code == 200


def test_too_many_requests_are_told_to_wait_and_hold_up_nobody_else(tmp_path: Any) -> None:
    with api(tmp_path, requests_per_minute=3) as (client, _):
        codes = [client.get(f"{API}/counts", headers=bearer("S1")).status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429]
        response = client.get(f"{API}/counts", headers=bearer("S1"))
        assert int(response.headers["retry-after"]) > 0
        assert response.json()["status"] == 429
        assert client.get(f"{API}/counts", headers=bearer("S2")).status_code == 200


def test_a_database_that_is_away_is_told_as_a_problem(tmp_path: Any) -> None:
    with api(tmp_path) as (client, store):
        with store.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE flagged_products")
        for path in ("/products", "/counts", "/export.csv", "/product?product_id=P"):
            response = client.get(API + path, headers=bearer("S1"))
            assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json"), path
            assert KEY not in response.text
