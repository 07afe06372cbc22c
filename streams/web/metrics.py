"""What `serve` counts about itself, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPStatus

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.observability.metrics import PREFIX
from streams.readmodel.follower import Follower
from streams.web.hub import ChangeHub

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0)


class ServeMetrics:
    """All metrics of one `serve`, in a registry of its own."""

    def __init__(self, follower: Follower, hub: ChangeHub) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            f"{PREFIX}http_requests", "Requests by route and status.", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            f"{PREFIX}http_request_seconds",
            "Time from a request to the beginning of its answer.",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_Looks(follower, hub))
        ProcessCollector(registry=self.registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type, for what a scraper accepts."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type


class _Looks(Collector):
    """What is looked up when it is asked for."""

    def __init__(self, follower: Follower, hub: ChangeHub) -> None:
        self._follower = follower
        self._hub = hub

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        """The present values."""
        name = f"{PREFIX}read_model_"
        yield GaugeMetricFamily(f"{name}lag_records", "Records not in the database yet.", self._follower.lag)
        yield GaugeMetricFamily(f"{name}ready", "Whether it has caught up once.", float(self._follower.is_ready))
        yield CounterMetricFamily(f"{name}skipped", "Records that are no outputs of ours.", self._follower.skipped)
        yield GaugeMetricFamily(f"{PREFIX}change_streams", "Streams of changes that are open.", len(self._hub))


def count_requests(app: FastAPI, metrics: ServeMetrics) -> None:
    """Let the app count its requests."""
    app.add_middleware(_Counting, metrics=metrics)


class _Counting:
    """By the route's template: a label per path would grow with whatever is asked for."""

    def __init__(self, app: ASGIApp, metrics: ServeMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, is_counted = time.perf_counter(), False

        def count(status: int) -> None:
            nonlocal is_counted
            is_counted = True
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(route, status, time.perf_counter() - began)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            if not is_counted:
                count(HTTPStatus.INTERNAL_SERVER_ERROR.value)  # it is answered outside of us
            raise
