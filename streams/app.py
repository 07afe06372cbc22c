"""The composition root: settings -> engine -> Faust app -> worker. Nothing touches a broker at import."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from contextlib import suppress
from urllib.parse import quote

import faust
from aiokafka.errors import KafkaError
from faust.tables.manager import TableManager
from mode import Service

from streams.agents import add_agents
from streams.collector import Collector
from streams.engine.admin import check_topics, ensure_topics
from streams.engine.engine import Engine
from streams.engine.flush import Fenced
from streams.engine.log_reader import ReadStalled
from streams.engine.log_writer import WriteError
from streams.engine.patience import RETRY_S
from streams.engine.transport import TransportSettings, consumer_of, install
from streams.errors import BrokerUnreachable, UserError
from streams.observability.health import Health
from streams.observability.logging import configure_logging, get_logger
from streams.observability.metrics import Metrics
from streams.observability.web import WebServer
from streams.policies import policies_of
from streams.settings import Settings
from streams.topics import topic_specs
from streams.wall import wall_ms

# Libraries that say at level info what only their developers want to know.
NOISY_LOGGERS = ("faust", "mode", "aiokafka", "asyncio")

log = get_logger(__name__)


def make_app(settings: Settings, engine: Engine) -> faust.App:
    """A Faust app whose agents feed `engine`, and whose group's assignments move it."""
    app = faust.App(
        settings.app_id,
        broker=[f"kafka://{server}" for server in settings.bootstrap_servers],
        canonical_url=_member_url(settings),
        datadir=str(settings.data_dir),
        web_enabled=False,  # /metrics and health have a server of their own
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_partitions=settings.partitions,
        stream_wait_empty=False,
        TableManager=_NoTables,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance_id,
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.heartbeat_interval_ms / 1000,
    )
    transport = TransportSettings(
        max_records=settings.batch_max_records,
        batch_transport=settings.batch_transport,
        fetch_max_wait_ms=settings.fetch_max_wait_ms,
    )
    install(app, settings.kafka_kwargs(), engine, transport)
    add_agents(app, engine, settings.input_topics)
    engine.attach(lambda: consumer_of(app), lambda error: _crash(app, error))
    return app


def _member_url(settings: Settings) -> str:
    """Names this worker to Faust's assignor, so no two may have the same. A static member keeps its name: after a
    restart the group gives it the assignment it had, and the assignor checks that it is its own."""
    if settings.instance_id is not None:
        return f"http://static/{quote(settings.instance_id, safe='')}"
    return f"http://{socket.gethostname()}-{os.getpid()}:{settings.web_port}"


def _crash(app: faust.App, error: BaseException) -> None:
    log.error("the worker stops", reason=repr(error))
    app.add_future(app.crash(error))


class _NoTables(TableManager):
    """Faust's own gives tables a second to be declared before it subscribes; a restart would take that much longer."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class _Worker(faust.Worker):
    """Ends when all its services have stopped. Faust's own would wait for another second, with nothing left to do."""

    async def _sentinel_task(self) -> None:
        await asyncio.sleep(0)


class _Doors(Service):
    """Closes the web server with the worker, while its loop still runs."""

    def __init__(self, web: WebServer) -> None:
        super().__init__()
        self._web = web

    async def on_stop(self) -> None:
        await self._web.stop()


def run_worker(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT; then flush, commit and leave the group.

    Raises UserError for what a user can mend; whatever else stopped the worker is raised as it was.
    """
    configure_logging(settings.log_level, settings.log_format, secrets=[settings.sasl_password])
    _quieten(settings.log_level)
    policies = policies_of(settings)
    loop = _new_loop()
    asyncio.set_event_loop(loop)
    Collector(loop).start()
    metrics, health = Metrics(), Health()
    web = WebServer(metrics, health, settings.web_host, settings.web_port)
    engine = Engine(settings, policies, metrics, health, wall_ms)
    try:
        loop.run_until_complete(_prepare(settings, web))
    except BaseException:
        loop.run_until_complete(web.stop())
        loop.close()
        raise
    app = make_app(settings, engine)
    worker = _Worker(
        app,
        _Doors(web),
        loop=loop,
        quiet=True,
        override_logging=False,
        redirect_stdouts=False,
        workdir=os.getcwd(),  # noqa: PTH109 - faust changes into it, and must not change anything
    )
    worker.spinner = None
    with suppress(SystemExit):
        worker.execute_from_commandline()
    reason = worker.crash_reason or app.crash_reason
    if isinstance(reason, WriteError | ReadStalled | Fenced | KafkaError):
        raise UserError(
            f"the worker stopped: {reason}. Nothing is lost: whoever takes its partitions next goes on from the last "
            "cut. Start it again once the broker can be reached"
        ) from reason
    if reason is not None:
        raise reason


async def _prepare(settings: Settings, web: WebServer) -> None:
    await web.start()
    log.info("worker starts", port=web.port, settings=settings.public())
    specs = topic_specs(settings, keep_input=settings.clock == "event")
    connection = settings.kafka_kwargs()
    look = ensure_topics if settings.create_topics else check_topics
    began = time.monotonic()
    while True:
        try:
            await look(connection, specs)
            return
        except BrokerUnreachable as error:
            if time.monotonic() - began >= settings.broker_wait_ms / 1000:
                raise
            log.warning("waiting for the broker", reason=str(error))
            await asyncio.sleep(RETRY_S)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not made for every platform; 8 % faster where it is
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _quieten(level: str) -> None:
    if level != "debug":
        for name in NOISY_LOGGERS:
            logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
