"""What is counted of the requests: all of them, those that fail as well."""

from __future__ import annotations

from pathlib import Path

from fastapi.testclient import TestClient

from streams.observability.health import Health
from streams.readmodel.follower import Follower
from streams.web.hub import ChangeHub
from streams.web.metrics import ServeMetrics, count_requests
from tests.unit.web.serving import OPERATOR, api


def test_requests_are_counted_by_route_and_status(tmp_path: Path) -> None:
    with api(tmp_path) as (prepared, store):
        app = prepared.app
        parts = app.state.parts  # type: ignore[attr-defined]
        hub = ChangeHub(store, 1)
        metrics = ServeMetrics(Follower(parts.settings, store, Health(), hub.changed), hub)
        app.middleware_stack = None  # type: ignore[attr-defined]
        count_requests(app, metrics)  # type: ignore[arg-type]

        def broken() -> None:
            raise RuntimeError("broken")

        app.add_api_route("/broken/{name}", broken)  # type: ignore[attr-defined]
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        assert client.get("/api/v1/counts", headers=OPERATOR).status_code == 200
        assert client.get("/api/v1/counts").status_code == 401
        response = client.get("/broken/x")
        assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
        assert client.get("/nowhere").status_code == 404
        page = metrics.exposition("")[0].decode()
        for route, status in (
            ("/counts", 200),
            ("/counts", 401),
            ("/broken/{name}", 500),
            ("other", 404),
        ):
            assert f'http_requests_total{{route="{route}",status="{status}"}} 1.0' in page
