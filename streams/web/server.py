"""`serve`, put together: the database, the follower of the topics, the web application, metrics and health."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import uvicorn

from streams.errors import UserError
from streams.observability.health import Health, Readiness
from streams.observability.logging import configure_logging, get_logger
from streams.observability.web import WebServer
from streams.policies import policies_of
from streams.readmodel.database import open_engine
from streams.readmodel.follower import Follower, source_of
from streams.readmodel.store import Store
from streams.settings import Settings
from streams.web.access import Limiter, Parts
from streams.web.app import make_web_app
from streams.web.auth import Authenticator
from streams.web.hub import ChangeHub
from streams.web.metrics import ServeMetrics, count_requests

DATABASE_FILE = "serve.db"
_BACKLOG = 2_048
# Streams end when they are told to; what else is not done by then is cut off.
_SHUTDOWN_S = 5

log = get_logger(__name__)


def run_serve(settings: Settings, *, demo: bool) -> None:
    """Serve until SIGTERM or SIGINT. `demo`: ask for no token, on this machine only.

    Raises UserError for what a user can mend.
    """
    secrets = [settings.sasl_password, settings.jwt_key, settings.serve_database]
    configure_logging(settings.log_level, settings.log_format, secrets=secrets)
    for name in ("uvicorn", "uvicorn.error", "aiokafka", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if demo and not _is_loopback(settings.serve_host):
        raise UserError(
            f"serve_host: --demo shows every seller's products to whoever asks, so not on {settings.serve_host}; set "
            "FLAGGED_SERVE_HOST to 127.0.0.1, or leave --demo out and give a key"
        )
    authenticator = None if demo else Authenticator(settings)
    asyncio.run(_serve(settings, authenticator))


async def _serve(settings: Settings, authenticator: Authenticator | None) -> None:
    policies = policies_of(settings)
    store = Store(
        open_engine(settings.serve_database, settings.data_dir, DATABASE_FILE),
        source_of(settings),
        settings.history_retention_ms,
    )
    health = Health()
    hub = ChangeHub(store, settings.change_streams_max, lambda reason: health.fail("changes", reason))
    follower = Follower(settings, store, health, hub.changed, settings.broker_wait_ms / 1000)
    metrics = ServeMetrics(follower, hub)
    limiter = Limiter(settings.requests_per_minute)
    app = make_web_app(Parts(settings, policies, store, lambda: follower.is_ready, hub, authenticator, limiter))
    count_requests(app, metrics)
    web = WebServer(metrics, health, settings.web_host, settings.web_port)
    listener = _listen(settings.serve_host, settings.serve_port)
    try:
        await web.start()
        log.info("serve starts", port=web.port, page=_address(listener), settings=settings.public())
        await follower.start()
        await hub.start()
        await _Server(app, hub, health).serve(sockets=[listener])
    finally:
        health.enter(Readiness.STOPPING)
        await hub.stop()
        await follower.stop()
        await web.stop()
        listener.close()
        store.engine.dispose()


class _Server(uvicorn.Server):
    """Ends by itself at SIGTERM and SIGINT, with exit code 0 as the other programs do."""

    def __init__(self, app: object, hub: ChangeHub, health: Health) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=_SHUTDOWN_S,
                timeout_keep_alive=75,
            )
        )
        self._hub = hub
        self._health = health

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Instead of uvicorn's own, which raises the signal again when all is done."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _end(self) -> None:
        self._health.enter(Readiness.STOPPING, "told to stop")
        self._hub.end_all()
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"serve_host, serve_port: can't listen on {host}:{port} ({reason}); check FLAGGED_SERVE_HOST, and set "
            "FLAGGED_SERVE_PORT to another, or to 0 for a free one"
        ) from None
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
