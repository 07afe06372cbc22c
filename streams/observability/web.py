"""The pages an operator's tools read: `/metrics`, `/livez`, `/readyz`. A small server on a port of its own."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from streams.errors import UserError
from streams.observability.health import Health

# Probes and scrapes are answered from memory: whoever still waits after this has gone away.
_SHUTDOWN_S = 2.0

_NOT_FOUND = "not found; there are /metrics, /livez and /readyz\n"


class Exposed(Protocol):
    """What counts, and shows what it counted."""

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The page for a scrape and its content type, in the format that the `Accept` header asks for."""


class WebServer:
    """Serves metrics and health from `start` to `stop`."""

    def __init__(self, metrics: Exposed, health: Health, host: str, port: int, *, settings: str = "web") -> None:
        """`port` 0 takes a free one; `self.port` tells which. `settings`: the name before `_host` and `_port` there."""
        self._metrics = metrics
        self._health = health
        self._host = host
        self._asked_port = port
        self._settings = settings
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is bound. Raises RuntimeError when the server isn't running."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the web server is not running")
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Binds the port. Raises UserError if it is in use, or the host isn't ours."""
        if self._runner is not None:
            raise RuntimeError("the web server is running already")
        app = web.Application(middlewares=[_plain_not_found])
        app.router.add_get("/metrics", self._get_metrics)
        app.router.add_get("/livez", self._get_livez)
        app.router.add_get("/readyz", self._get_readyz)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._asked_port).start()
        except OSError as error:
            await runner.cleanup()
            raise UserError(_binding_message(self._settings, self._host, self._asked_port, error)) from None
        self._runner = runner

    async def stop(self) -> None:
        """Closes the port; does nothing when the server isn't running."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _get_metrics(self, request: web.Request) -> web.Response:
        page, content_type = self._metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=page, headers={"Content-Type": content_type})

    async def _get_livez(self, _request: web.Request) -> web.Response:
        return _answer(self._health.live, "live" if self._health.live else "not live", self._health.live_reasons)

    async def _get_readyz(self, _request: web.Request) -> web.Response:
        return _answer(self._health.ready, self._health.readiness.value, self._health.ready_reasons)


def _answer(good: bool, state: str, reasons: tuple[str, ...]) -> web.Response:
    """The state on the first line and the reasons below; 200 or 503 for those who read only the code."""
    text = "".join(f"{line}\n" for line in (state, *reasons))
    return web.Response(status=200 if good else 503, text=text, headers={"Cache-Control": "no-store"})


@web.middleware
async def _plain_not_found(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return web.Response(status=404, text=_NOT_FOUND)


def _binding_message(name: str, host: str, port: int, error: OSError) -> str:
    env = f"FLAGGED_{name.upper()}"
    if error.errno == errno.EADDRINUSE:
        return f"{name}_port: {port} on {host} is in use; set {env}_PORT to another, or to 0 for a free one"
    reason = error.strerror or str(error)
    return f"{name}_host, {name}_port: can't listen on {host}:{port} ({reason}); check {env}_HOST and {env}_PORT"
