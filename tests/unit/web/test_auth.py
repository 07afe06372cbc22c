"""Whom a token lets in, and what they see: no seller ever sees another's product, on no route."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import UserError
from streams.settings import Settings
from streams.web.auth import Authenticator
from tests.unit.web.serving import KEY, OPERATOR, SELLERS, api, bearer, market, token, write

API = "/api/v1"
MARKET = market()
ROUTES = ("/session", "/products", "/counts", "/export.csv", "/product", "/transitions", "/changes")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with api(tmp_path_factory.mktemp("api"), requests_per_minute=1_000_000) as (opened, store):
        write(store, (output for outputs in MARKET.values() for output in outputs))
        yield opened


def test_every_route_is_tried_here(client: TestClient) -> None:
    assert {path.removeprefix(API) for path in client.get(f"{API}/openapi.json").json()["paths"]} == set(ROUTES)


BAD_TOKENS = {
    "no token": None,
    "nonsense": "x.y.z",
    "of another key": token("S1", key="another secret of more than thirty-two bytes"),
    "unsigned": jwt.encode({"seller_id": "S1", "exp": 9e9}, None, algorithm="none"),
    "of another algorithm": token("S1", algorithm="HS512"),
    "expired": token("S1", exp=int(time.time()) - 3600),
    "without an end": token("S1", exp=None),
    "with an end beyond all numbers": token("S1", exp=10**400),
    "of half a character": token("S\ud800"),
    "not valid yet": token("S1", nbf=int(time.time()) + 3600),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
@pytest.mark.parametrize("route", ROUTES)
def test_without_a_good_token_there_is_no_data(tmp_path: Path, name: str, route: str) -> None:
    with api(tmp_path) as (client, store):
        write(store, MARKET["S1-P1"])
        bad = BAD_TOKENS[name]
        headers = {} if bad is None else {"Authorization": f"Bearer {bad}"}
        response = client.get(API + route, headers=headers, params={"product_id": "S1-P1"})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.headers["content-type"] == "application/problem+json"
        assert "S1-P1" not in response.text


@pytest.mark.parametrize(
    "claims", [{}, {"seller_id": ""}, {"seller_id": 7}, {"scope": "operators"}, {"seller_id": "x" * 257}]
)
def test_a_token_that_names_nobody_is_refused(client: TestClient, claims: dict[str, Any]) -> None:
    assert client.get(f"{API}/products", headers=bearer(**claims)).status_code == 403


@given(
    seller=st.sampled_from(SELLERS),
    route=st.sampled_from([route for route in ROUTES if route != "/changes"]),
    query=st.fixed_dictionaries(
        {},
        optional={
            "product_id": st.sampled_from(sorted(MARKET)),
            "seller_id": st.sampled_from(SELLERS),
            "q": st.sampled_from(["S", "P1", "S2-P", "%", "s3"]),
            "status": st.sampled_from(["at_risk", "impacted", "resolved"]),
            "sort": st.sampled_from(["severity", "product_id", "effective_at"]),
            "limit": st.integers(1, 200),
            "cursor": st.text(max_size=30),
        },
    ),
    of_an_operator=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_a_token_of_one_seller_never_sees_another_product(
    client: TestClient, seller: str, route: str, query: dict[str, Any], of_an_operator: bool
) -> None:
    if of_an_operator and "cursor" in query:
        # A cursor that was made for somebody who sees all.
        query["cursor"] = client.get(f"{API}/products", headers=OPERATOR, params={"limit": 1}).json()["next_cursor"]
    response = client.get(API + route, headers=bearer(seller), params=query)
    asked = {*map(str, query.values())}
    for other in set(SELLERS) - {seller}:
        for product_id in (product_id for product_id in MARKET if product_id.startswith(other + "-")):
            if product_id not in asked:
                assert product_id not in response.text
            assert f"O{product_id}-" not in response.text  # its orders
        assert f'"seller_id":"{other}"' not in response.text
    if query.get("seller_id") not in (None, seller) and route in ("/products", "/counts", "/export.csv"):
        assert response.status_code == 403


def test_another_sellers_product_looks_like_none(client: TestClient) -> None:
    flagged = next(p for p, outputs in MARKET.items() if p.startswith("S2") and outputs[-1].snapshot is not None)
    other = client.get(f"{API}/product", headers=bearer("S1"), params={"product_id": flagged})
    none = client.get(f"{API}/product", headers=bearer("S1"), params={"product_id": "nothing"})
    assert (other.status_code, other.json()) == (none.status_code, none.json()) == (404, none.json())


def test_audience_and_issuer_are_asked_for(tmp_path: Path) -> None:
    with api(tmp_path, jwt_audience="flags", jwt_issuer="https://id.example") as (client, _):

        def status(**claims: Any) -> int:
            return client.get(f"{API}/counts", headers=bearer("S1", **claims)).status_code

        assert status(aud="flags", iss="https://id.example") == 200
        assert status(aud="other", iss="https://id.example") == 401
        assert status(aud="flags", iss="https://other.example") == 401
        assert status() == 401


def test_a_public_key_verifies_and_cant_be_used_as_a_secret(tmp_path: Path) -> None:
    private = rsa.generate_private_key(65537, 2048)
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    with api(tmp_path, jwt_key=None, jwt_key_file=tmp_path / "key.pem", jwt_algorithm="RS256") as (client, _):
        good = jwt.encode({"seller_id": "S1", "exp": int(time.time()) + 60}, private, algorithm="RS256")
        assert client.get(f"{API}/counts", headers={"Authorization": f"Bearer {good}"}).status_code == 200
        assert client.get(f"{API}/counts", headers=bearer("S1")).status_code == 401
    with pytest.raises(UserError, match="HS256"):
        Authenticator(Settings(jwt_key_file=tmp_path / "key.pem", jwt_algorithm="HS256"))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "FLAGGED_JWT_KEY"),
        ({"jwt_key": "short"}, "32 bytes"),
        ({"jwt_key": KEY, "jwt_key_file": Path("x")}, "give one"),
        ({"jwt_key_file": Path("no/such/file")}, "can't read"),
        ({"jwt_key": KEY, "jwt_algorithm": "ES256"}, "public key"),
    ],
)
def test_a_bad_key_is_told_at_the_start(values: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        Authenticator(Settings(**values))
    assert KEY not in str(caught.value)


def test_who_is_not_let_in_is_told_where_a_token_is_to_be_had(tmp_path: Path) -> None:
    with api(tmp_path, sign_in_url="https://seller.example/sign-in") as (client, _):
        assert client.get(f"{API}/session").json()["sign_in_url"] == "https://seller.example/sign-in"
    with api(tmp_path) as (client, _):
        assert "sign_in_url" not in client.get(f"{API}/session").json()


def test_guessing_tokens_is_slowed_down_and_good_ones_still_get_in(tmp_path: Path) -> None:
    with api(tmp_path) as (client, _):
        codes = {client.get(f"{API}/counts", headers={"Authorization": "Bearer x"}).status_code for _ in range(80)}
        assert codes == {401, 429}
        assert client.get(f"{API}/counts", headers=bearer("S1")).status_code == 200


def test_operators_are_counted_each_by_themselves(tmp_path: Path) -> None:
    with api(tmp_path, requests_per_minute=2) as (client, _):
        one, other = bearer(scope="operator", sub="one"), bearer(scope="operator", sub="other")
        assert [client.get(f"{API}/counts", headers=one).status_code for _ in range(3)] == [200, 200, 429]
        assert client.get(f"{API}/counts", headers=other).status_code == 200


def test_a_bad_token_is_told_nothing_of_the_state_of_things(tmp_path: Path) -> None:
    with api(tmp_path, ready=False) as (client, _):
        assert client.get(f"{API}/counts", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_demo_needs_no_token_and_answers_to_loopback_names_only(tmp_path: Path) -> None:
    with api(tmp_path, demo=True) as (client, store):
        write(store, MARKET["S1-P1"])
        assert client.get(f"{API}/session").json()["viewer"] == {"seller_id": None, "operator": True}
        assert client.get(f"{API}/products").status_code == 200
        assert client.get(f"{API}/products", headers={"Host": "evil.example"}).status_code == 400
