"""`serve` as a process, and outputs for it to read without any worker."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

from streams.engine.admin import ensure_topics
from streams.engine.partitioning import partition_of
from streams.readmodel.database import open_engine
from streams.readmodel.store import content
from streams.settings import Settings
from streams.testing.outputs import Output, product_outputs
from streams.topics import topic_specs
from tests.integration.pipeline import Pipeline, Worker, wait_for
from tests.unit.web.serving import KEY

_NUMBERS = itertools.count()


def start_serve(running: Pipeline, *arguments: str, **environment: str) -> Worker:
    """Start it on free ports, with the tests' key; with a database of its own if none is named."""
    own = {"FLAGGED_DATA_DIR": str(running.directory / f"serve-{next(_NUMBERS)}")}
    given = {"FLAGGED_JWT_KEY": KEY, "FLAGGED_SERVE_PORT": "0", **own, **environment}
    return running.start_program("serve", *arguments, **given)


def wait_until_ready(serve: Worker) -> str:
    """Wait until it has caught up; the address of its page."""

    def is_ready() -> bool:
        assert serve.process.poll() is None, serve.log.read_text()[-3000:]
        return serve.page("/readyz")[0] == 200

    wait_for(is_ready, "serve to be ready")
    return str(serve.told("page"))


def make_topics(running: Pipeline) -> None:
    """As a worker would have made them."""
    settings = running.settings
    asyncio.run(ensure_topics(settings.kafka_kwargs(), topic_specs(settings)))


def stories(products: int, moves: int, seed: int = 1) -> list[Output]:
    """The outputs of some products of five sellers, interleaved as they come."""
    ways = [list(product_outputs(f"P{number}", f"S{number % 5}", seed, moves)) for number in range(products)]
    return sorted(itertools.chain.from_iterable(ways), key=lambda output: (output.sequence, output.product_id))


async def publish(settings: Settings, outputs: Iterable[Output], *, pause_s: float = 0.0, copies: int = 1) -> None:
    """Write outputs into the topics, as the workers do: transitions more than once, if so told."""
    producer = AIOKafkaProducer(**settings.kafka_kwargs(), enable_idempotence=True)
    await producer.start()
    try:
        for output in outputs:
            key = output.product_id.encode()
            partition = partition_of(key, settings.partitions)
            for _ in range(copies):
                await producer.send(
                    settings.flag_status_changed_topic,
                    output.transition,
                    key,
                    partition,
                    headers=list(output.headers),
                )
            await producer.send(settings.flag_status_topic, output.snapshot, key, partition)
            if pause_s:
                await producer.flush()
                await asyncio.sleep(pause_s)
        await producer.flush()
    finally:
        await producer.stop()


def rebuilt(running: Pipeline) -> Any:
    """What a database has that is made from nothing, of the topics as they are now."""
    directory = running.directory / f"rebuilt-{next(_NUMBERS)}"
    serve = start_serve(running, FLAGGED_DATA_DIR=str(directory))
    wait_until_ready(serve)
    assert serve.stop() == 0
    return content_of(None, directory)


def content_of(url: str | None, directory: Path) -> Any:
    """What is in a database."""
    engine = open_engine(url, directory, "serve.db")
    try:
        return content(engine)
    finally:
        engine.dispose()


def ask(address: str, path: str, headers: dict[str, str], **query: Any) -> Any:
    """An answer of the API."""
    response = httpx.get(f"{address}api/v1{path}", headers=headers, params=query, timeout=120)
    assert response.status_code == 200, response.text
    return response.json()


def last_of(outputs: Sequence[Output]) -> dict[str, Output]:
    """The last output of each product."""
    return {output.product_id: output for output in outputs}
