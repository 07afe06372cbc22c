"""A notifier as a real process, endpoints that misbehave on demand, and a topic of transitions between them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from streams.broker import EmbeddedBroker
from streams.clients.webhooks import Secret, ce_attributes, verify
from streams.codecs.outputs import transition_headers
from streams.engine.admin import TopicSpec, ensure_topics
from streams.engine.partitioning import partition_of
from streams.settings import HOUR_MS
from tests.integration.waiting import LONG_S, eventually
from tests.unit.cli.examples import START_MS, transition_value

PARTITIONS = 3
SECRET = Secret(b"a secret of the tests, 32 bytes!")
_STATUSES = ("at_risk", "impacted", "at_risk", "resolved")
_NUMBERS = itertools.count()


class Made(NamedTuple):
    """A transition as it stands in the topic."""

    product_id: str
    sequence: int
    value: bytes

    @property
    def event_id(self) -> str:
        return f"{self.product_id}:{self.sequence}"


def transitions(product_ids: Sequence[str], count: int, sellers: int = 3, first: int = 1) -> list[Made]:
    """`count` transitions of each product, in turn; product number n is of seller `S{n % sellers}`."""
    made = []
    for sequence in range(first, first + count):
        for number, product_id in enumerate(product_ids):
            before = "clear" if sequence == 1 else _STATUSES[(sequence - 2) % 4]
            value = transition_value(
                before,
                _STATUSES[(sequence - 1) % 4],
                product_id=product_id,
                seller_id=f"S{number % sellers}",
                sequence=sequence,
                at_ms=START_MS + sequence * HOUR_MS,
            )
            made.append(Made(product_id, sequence, value))
    return made


class Arrival(NamedTuple):
    """A request that an endpoint answered with 200."""

    event_id: str
    body: bytes


@dataclass
class Endpoint:
    """A receiver on a port of its own, that verifies all that comes; its `mode` says how it answers."""

    mode: str = "ok"
    """`ok`, a status such as `500`, `hang`, or `flaky` (each tenth request fails, by the dice)."""
    retry_after: str | None = None
    pause_s: float = 0.0
    arrivals: list[Arrival] = field(default_factory=list)
    requests: list[Mapping[str, str]] = field(default_factory=list)
    port: int = 0
    dice: Random = field(default_factory=lambda: Random(7))
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://user:url-password@127.0.0.1:{self.port}/hook?key=url-key"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        verified = verify(request.headers, body, SECRET, time.time())
        assert ce_attributes(request.headers)["id"] == verified.event_id == json.loads(body)["event_id"]
        assert request.headers["idempotency-key"] == request.headers["webhook-id"]
        self.requests.append(dict(request.headers))
        if self.mode == "hang":
            await asyncio.sleep(LONG_S)
        if self.pause_s:
            await asyncio.sleep(self.pause_s)
        if self.mode.isdigit() or (self.mode == "flaky" and self.dice.random() < 0.1):
            headers = {} if self.retry_after is None else {"retry-after": self.retry_after}
            return web.Response(status=int(self.mode) if self.mode.isdigit() else 503, headers=headers)
        self.arrivals.append(Arrival(verified.event_id, body))
        return web.Response()

    def ids(self) -> list[str]:
        return [arrival.event_id for arrival in self.arrivals]

    def has(self, made: Sequence[Made]) -> bool:
        """Whether all of these have arrived."""
        return {one.event_id for one in made} <= {arrival.event_id for arrival in self.arrivals}

    def check(self, made: Sequence[Made]) -> None:
        """All have arrived, with their bytes; copies are alike; first arrivals are in each product's order."""
        bodies = {one.event_id: one.value for one in made}
        sequences: dict[str, list[int]] = {}
        seen = set()
        for event_id, body in self.arrivals:
            assert body == bodies[event_id]
            if event_id not in seen:
                seen.add(event_id)
                product_id, _, sequence = event_id.rpartition(":")
                sequences.setdefault(product_id, []).append(int(sequence))
        assert seen == set(bodies)
        for product_id, found in sequences.items():
            assert found == sorted(found), product_id


@asynccontextmanager
async def endpoints(**made: Endpoint) -> AsyncIterator[None]:
    """They listen within it; each has its port at once."""
    try:
        for endpoint in made.values():
            await endpoint.start()
        yield
    finally:
        for endpoint in made.values():
            await endpoint.stop()


class Notifying:
    """Settings and a topic of a test's own, and the notifiers that run with them."""

    def __init__(self, broker: EmbeddedBroker, directory: Path, database_url: str | None = None) -> None:
        self.topic = f"notify-{uuid.uuid4().hex[:8]}"
        self.directory = directory
        self.file = directory / "webhooks.toml"
        self._connection: dict[str, Any] = {"bootstrap_servers": broker.bootstrap_servers}
        plain = {key: value for key, value in os.environ.items() if not key.startswith("FLAGGED_")}
        self.environ = plain | {
            "FLAGGED_BROKER": broker.bootstrap_servers,
            "FLAGGED_FLAG_STATUS_CHANGED_TOPIC": self.topic,
            "FLAGGED_WEBHOOKS_FILE": str(self.file),
            "FLAGGED_NOTIFY_DATABASE": database_url or f"sqlite:///{directory}/notify.db",
            "FLAGGED_NOTIFY_PORT": "0",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    async def create(self) -> None:
        await ensure_topics(self._connection, [TopicSpec(self.topic, PARTITIONS, 1, {"retention.ms": "-1"})])

    async def delete(self) -> None:
        async with self._admin() as admin:
            await admin.delete_topics([self.topic])

    async def delete_records(self, partition: int, before_offset: int) -> None:
        """As retention does with what is old."""
        async with self._admin() as admin:
            to = {TopicPartition(self.topic, partition): RecordsToDelete(before_offset=before_offset)}
            await admin.delete_records(to)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._connection)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def write(self, made: Sequence[Made]) -> None:
        """In order, each with its headers."""
        async with AIOKafkaProducer(**self._connection) as producer:
            for product_id, sequence, value in made:
                key = product_id.encode()
                headers = transition_headers(product_id, sequence, START_MS + sequence * HOUR_MS, "/tests")
                await producer.send(
                    self.topic, value, key=key, headers=list(headers), partition=partition_of(key, PARTITIONS)
                )
            await producer.flush()

    def webhooks(self, more: str = "", **made: Endpoint) -> None:
        """Write the file: each endpoint by its name, with short timeouts; `more` goes into each table."""
        self.file.write_text(
            "".join(
                f'[[webhook]]\nname = "{name}"\nurl = "{endpoint.url}"\nsecret = "{SECRET.text()}"\ntimeout = "1s"\n'
                f"{more}\n"
                for name, endpoint in made.items()
            )
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log(len(self._processes)).open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "streams", "notify", *arguments],
                env=self.environ,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def log(self, number: int = -1) -> Path:
        return self.directory / f"notify-{number % max(len(self._processes), 1) if number < 0 else number}.log"

    def says(self, text: str) -> bool:
        return text in self.log().read_text()

    async def ready(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one, and wait until it reads."""
        process = self.start(*arguments)
        await eventually(lambda: self.says("notifier is ready") or process.poll() is not None, "the notifier to start")
        assert process.poll() is None, self.log().read_text()[-3000:]
        return process

    async def end(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM, upon which it ends well."""
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.poll() is not None, "the notifier to stop")
        assert process.returncode == 0, self.log().read_text()[-3000:]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait(LONG_S)

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the running notifier."""
        starts = next(line for line in self.log().read_text().splitlines() if '"notifier starts"' in line)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{json.loads(starts)['port']}{path}", timeout=LONG_S) as page:
                return page.status, page.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def metric(self, line: str) -> float | None:
        """The value of a metric, by its name with labels."""
        found = [text for text in self.page("/metrics")[1].splitlines() if text.startswith(line + " ")]
        return float(found[0].rpartition(" ")[2]) if found else None

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "streams", "notify", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=LONG_S,
            check=False,
        )

    def refused(self, *arguments: str) -> str:
        """Run one that must end with one clear message and exit code 2."""
        done = self.run(*arguments)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert [line.startswith("Error: ") for line in done.stderr.splitlines()].count(True) == 1, done.stderr
        return done.stderr

    def check_logs(self) -> None:
        """No log has a secret, or more of a URL than its place."""
        for number in range(len(self._processes)):
            text = self.log(number).read_text()
            for secret in (SECRET.text(), SECRET.text()[6:], "url-password", "url-key"):
                assert secret not in text
            assert "Traceback" not in text, text[-5000:]

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                self.kill(process)


@contextmanager
def notifying(broker: EmbeddedBroker, directory: Path, database_url: str | None = None) -> Iterator[Notifying]:
    """One whose processes end with the test."""
    made = Notifying(broker, directory, database_url)
    try:
        yield made
        made.check_logs()
    except BaseException as error:
        if made._processes and not isinstance(error, pytest.skip.Exception):
            error.add_note(made.log().read_text()[-4000:])
        raise
    finally:
        made.close()
