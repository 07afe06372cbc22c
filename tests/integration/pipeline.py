"""A pipeline of real worker processes on a real broker, for tests. Each has topics and a group of its own."""

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streams.broker import EmbeddedBroker
from streams.engine.changelog import LogState
from streams.engine.log_reader import read_partition
from streams.settings import Settings
from streams.settings_load import load_settings
from tests.integration.waiting import LONG_S

_NUMBERS = itertools.count()
#: For a whole replay on a machine that may be busy, or suspended for minutes.
REPLAY_S = 600.0


@dataclass
class Worker:
    """A worker process and where it logs."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LONG_S)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(LONG_S)

    def says(self, text: str) -> bool:
        """Whether its log has this text."""
        return text in self.log.read_text()

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page of its web server; (0, "") while there is none."""
        port = self.told("port")
        if port is None:
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=LONG_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except OSError:
            return 0, ""

    def told(self, field: str) -> Any:
        """What it said at its start; None before that."""
        starts = ("worker starts", "serve starts")
        return next((line[field] for line in self._lines() if line.get("message") in starts), None)

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self.log.read_text().splitlines():
            if line.startswith("{"):
                with suppress(ValueError):  # the last line may be half written
                    yield json.loads(line)


@dataclass(frozen=True)
class Read:
    """A record read back."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Pipeline:
    """Settings of its own, and the programs run with them."""

    def __init__(self, broker: EmbeddedBroker, directory: Path, **environment: str) -> None:
        name = f"p{os.getpid()}-{next(_NUMBERS)}"
        self.directory = directory
        self.environment = {
            "FLAGGED_BROKER": broker.bootstrap_servers,
            "FLAGGED_APP_ID": name,
            "FLAGGED_CLOCK": "event",
            "FLAGGED_WEB_PORT": "0",
            "FLAGGED_DATA_DIR": str(directory / "faust"),
            "FLAGGED_SESSION_TIMEOUT": "6s",
            "FLAGGED_HEARTBEAT_INTERVAL": "500ms",
            **{f"FLAGGED_{topic.upper()}_TOPIC": f"{name}.{topic}" for topic in _TOPICS},
            **environment,
        }
        self.workers: list[Worker] = []

    @property
    def settings(self) -> Settings:
        """The settings the programs see."""
        return load_settings(environ=self.environment)

    def start_worker(self, *arguments: str, module: str = "streams", **environment: str) -> Worker:
        """Start a worker process; `module`: another that runs the program."""
        return self.start_program("worker", *arguments, module=module, **environment)

    def start_program(self, command: str, *arguments: str, module: str = "streams", **environment: str) -> Worker:
        """Start a program that goes on until it is told to end."""
        log = self.directory / f"{command}-{len(self.workers)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", module, command, *arguments],
                env={**os.environ, **self.environment, **environment},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        return worker

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run another sub-command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "streams", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=REPLAY_S,
        )
        if check and done.returncode != 0:
            pytest.fail(f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}\n{self.logs()}")
        return done

    def replay(self, log: Path, *arguments: str) -> list[bytes]:
        """Replay a file, wait until it is applied, and return what was published."""
        out = self.directory / "published.jsonl"
        self.run("replay", str(log), "--transitions", str(out), *arguments)
        return out.read_bytes().splitlines()

    def logs(self) -> str:
        """The ends of all workers' logs, for a failure."""
        return "\n".join(f"--- {w.log.name}\n{w.log.read_text()[-3000:]}" for w in self.workers)

    def log_state(self, partition: int) -> LogState:
        """What the changelog of a partition says now."""

        async def read() -> LogState:
            state = LogState()
            async for batch in read_partition(self.settings.kafka_kwargs(), self.settings.changelog_topic, partition):
                state.read(batch)
            return state

        return asyncio.run(read())

    def read(self, topic: str) -> list[Read]:
        """All records of a topic, by partition and offset."""

        async def collect() -> list[Read]:
            found = []
            for partition in range(self.settings.partitions):
                async for batch in read_partition(self.settings.kafka_kwargs(), topic, partition):
                    rows = zip(batch.offsets, batch.keys, batch.values, batch.headers, strict=True)
                    found += [Read(partition, *row) for row in rows]
            return found

        return asyncio.run(collect())

    def end(self) -> None:
        """End all workers that still run."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()


_TOPICS = (
    "orders",
    "cancellations",
    "shipping_fees",
    "impressions",
    "flag_status_changed",
    "flag_status",
    "dead_letters",
)


@contextmanager
def pipeline(broker: EmbeddedBroker, directory: Path, **environment: str) -> Iterator[Pipeline]:
    """A pipeline whose workers end with the test, also when it fails."""
    made = Pipeline(broker, directory, **environment)
    try:
        yield made
    finally:
        made.end()


def refused(running: Pipeline, *arguments: str) -> str:
    """Run a sub-command that must end with one clear message and exit code 2; what it said."""
    done = running.run(*arguments, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr[:20000]
    assert [line.startswith("Error: ") for line in done.stderr.splitlines()].count(True) == 1
    return done.stderr


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds; fail after a generous time."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > LONG_S:
            pytest.fail(f"waited {LONG_S} s in vain for: {what}")
        time.sleep(0.05)


def check_copies(records: Sequence[Read]) -> dict[str, list[int]]:
    """SPEC 9.2: all copies of an id have the same bytes, and first copies come in order of sequence, without gaps.

    Returns the sequences of first copies by product.
    """
    values: dict[str, bytes | None] = {}
    sequences: dict[str, list[int]] = {}
    for record in records:
        assert record.value is not None
        event: dict[str, Any] = json.loads(record.value)
        headers = dict(record.headers)
        assert headers["ce_id"] == event["event_id"].encode()
        assert record.key == event["product_id"].encode() == headers["ce_subject"]
        first = values.setdefault(event["event_id"], record.value)
        assert first == record.value, f"two values with the id {event['event_id']}"
        if first is record.value:
            sequences.setdefault(event["product_id"], []).append(event["sequence"])
    for product, found in sequences.items():
        assert found == list(range(1, len(found) + 1)), f"{product}: {found}"
    return sequences
