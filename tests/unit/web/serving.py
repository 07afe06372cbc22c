"""An API over a database of invented products, for tests: no broker, no worker."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
from aiokafka import TopicPartition
from fastapi.testclient import TestClient

from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.readmodel.database import open_engine
from streams.readmodel.rows import product_row, transition_row
from streams.readmodel.store import Batch, Store
from streams.settings import Settings
from streams.testing.outputs import Output, product_outputs
from streams.web.access import Limiter, Parts
from streams.web.app import make_web_app
from streams.web.auth import Authenticator
from streams.web.hub import ChangeHub

KEY = "a secret of more than thirty-two bytes"
SELLERS = ("S1", "S2", "S3")
PRODUCTS_EACH = 12
MOVES = 6


def token(seller_id: str | None = None, *, key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """A bearer token; `claims` replace those that a good one has, None leaves one out."""
    good = {"seller_id": seller_id, "exp": int(time.time()) + 3600}
    return jwt.encode({name: value for name, value in (good | claims).items() if value is not None}, key, algorithm)


def bearer(seller_id: str | None = None, **claims: Any) -> dict[str, str]:
    """The header of a request."""
    return {"Authorization": f"Bearer {token(seller_id, **claims)}"}


OPERATOR = bearer(scope="operator")


def market() -> dict[str, list[Output]]:
    """The outputs of all products, by product."""
    return {
        f"{seller}-P{number}": list(product_outputs(f"{seller}-P{number}", seller, 1, MOVES))
        for seller in SELLERS
        for number in range(PRODUCTS_EACH)
    }


def write(store: Store, outputs: Iterable[Output]) -> int:
    """Outputs into the database, as one change."""
    batch = Batch(positions={TopicPartition("t", 0): 1})
    for output in outputs:
        key = output.product_id.encode()
        row = transition_row(key, output.transition)
        assert row is not None
        batch.add(row)
        row = None if output.snapshot is None else product_row(key, output.snapshot)
        if row is None:
            batch.remove(output.product_id)
        else:
            batch.put(row)
    return store.apply(batch)


@contextmanager
def api(
    directory: Path, *, ready: bool = True, demo: bool = False, **values: Any
) -> Iterator[tuple[TestClient, Store]]:
    """A client of the API, and the store behind it, which is empty. `values` are settings."""
    settings = Settings(data_dir=directory, **({"jwt_key": KEY} | values))
    engine = open_engine(None, directory, "serve.db")
    store = Store(engine, "topics", settings.history_retention_ms)
    store.open()
    store.positions()
    parts = Parts(
        settings,
        PolicySet((DEFAULT_POLICY,)),
        store,
        lambda: ready,
        ChangeHub(store, settings.change_streams_max),
        None if demo else Authenticator(settings),
        Limiter(settings.requests_per_minute),
    )
    with TestClient(make_web_app(parts), base_url="http://localhost", raise_server_exceptions=True) as client:
        yield client, store
    engine.dispose()
