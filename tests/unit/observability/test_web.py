"""The pages for probes and scrapes, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from streams.errors import UserError
from streams.observability.health import Health, Readiness
from streams.observability.metrics import Metrics
from streams.observability.web import WebServer

HOST = "127.0.0.1"


def served(use: Callable[[WebServer, Health], Awaitable[None]]) -> None:
    """Runs `use` against a server that is up, and stops it."""

    async def run() -> None:
        health = Health()
        server = WebServer(Metrics(), health, HOST, 0)
        await server.start()
        try:
            await use(server, health)
        finally:
            await server.stop()

    asyncio.run(run())


async def get(server: WebServer, path: str) -> tuple[int, str, str]:
    url = f"http://{HOST}:{server.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, response.headers["Content-Type"], await response.text()


def test_metrics_are_served() -> None:
    async def use(server: WebServer, _health: Health) -> None:
        status, content_type, text = await get(server, "/metrics")
        assert status == 200
        assert content_type.startswith("text/plain; version=")
        assert "flagged_products_build_info{" in text

    served(use)


def test_liveness_and_readiness_say_why() -> None:
    async def use(server: WebServer, health: Health) -> None:
        assert (await get(server, "/livez"))[::2] == (200, "live\n")
        assert (await get(server, "/readyz"))[::2] == (503, "starting\nthe process has begun\n")
        health.enter(Readiness.RUNNING)
        assert (await get(server, "/readyz"))[::2] == (200, "running\n")
        health.fail("partition 0", "no progress for 60 s")
        assert (await get(server, "/livez"))[::2] == (503, "not live\npartition 0: no progress for 60 s\n")
        assert (await get(server, "/readyz"))[::2] == (200, "degraded\npartition 0: no progress for 60 s\n")

    served(use)


def test_other_paths_are_not_found_as_text() -> None:
    async def use(server: WebServer, _health: Health) -> None:
        status, content_type, text = await get(server, "/metrics/<b>")
        assert (status, text) == (404, "not found; there are /metrics, /livez and /readyz\n")
        assert content_type.startswith("text/plain")

    served(use)


def test_a_port_in_use_is_a_user_error_and_leaves_nothing_open() -> None:
    async def use(server: WebServer, health: Health) -> None:
        second = WebServer(Metrics(), health, HOST, server.port)
        with pytest.raises(UserError, match=f"web_port: {server.port} on {HOST} is in use; set FLAGGED_WEB_PORT"):
            await second.start()
        other = WebServer(Metrics(), health, HOST, server.port, settings="notify")
        with pytest.raises(UserError, match=f"notify_port: {server.port} on {HOST} is in use; set FLAGGED_NOTIFY_PORT"):
            await other.start()
        with pytest.raises(RuntimeError, match="not running"):
            _ = second.port
        await second.stop()

    served(use)


def test_a_host_that_is_not_ours_is_a_user_error() -> None:
    async def run() -> None:
        with pytest.raises(UserError, match=r"can't listen on 192\.0\.2\.1:0"):
            await WebServer(Metrics(), Health(), "192.0.2.1", 0).start()

    asyncio.run(run())


def test_a_stopped_server_frees_its_port_and_may_start_again() -> None:
    async def run() -> None:
        server = WebServer(Metrics(), Health(), HOST, 0)
        await server.start()
        with pytest.raises(RuntimeError, match="already"):
            await server.start()
        port = server.port
        await server.stop()
        await server.stop()
        with socket.socket() as probe:
            assert probe.connect_ex((HOST, port)) != 0
        await server.start()
        assert (await get(server, "/livez"))[0] == 200
        await server.stop()

    asyncio.run(run())
