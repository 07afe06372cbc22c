"""`seller-api`: what sellers wait for: lists and details at a steady rate, and changes told to many at once."""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from random import Random

import aiohttp
import jwt
from aiokafka import AIOKafkaProducer

from benchmarks.harness import OURS, PARTITIONS, Bench, Figures, Program, Result, settings_of
from benchmarks.paced import percentile
from streams.engine.admin import ensure_topics
from streams.engine.partitioning import partition_of
from streams.settings import Settings
from streams.testing.outputs import Output, product_outputs
from streams.topics import topic_specs

RUNS = 3
PRODUCTS, SELLERS = 100_000, 5_000
REQUESTS_PER_S, SECONDS = 50, 40
STREAMS = 500
# Of all products, numbers of so many change a second while requests are measured.
UPDATES_PER_S = 50
_MOVES_MAX = 6
_KEY = secrets.token_hex(32)
_PAGE = re.compile(r'"page": "([^"]+)"')


def run(bench: Bench) -> Result:
    """See the module."""
    result = Result("seller-api")
    products, sellers = bench.size(PRODUCTS, 300), bench.size(SELLERS, 20)
    case = f"{products:,} products of {sellers:,} sellers"
    outputs = list(_flagged(products, sellers))
    for _ in bench.times(RUNS):
        for name, figures in _measure(bench, outputs, sellers).items():
            result.add(f"{case}, {name}", OURS, figures)
    first, second, *_ = [(name, OURS, "p99_ms") for name, _ in result.runs]
    result.ratio("p99 of details to a list's", second, first)
    result.notes.append(f"meanwhile the numbers of {UPDATES_PER_S} products change every second")
    return result


def seller_of(number: int, sellers: int) -> str:
    """Whose a product is."""
    return f"S{number % sellers}"


def _flagged(products: int, sellers: int) -> Iterable[Output]:
    """The last output of each product: one after which it is flagged."""
    for number in range(products):
        ways = product_outputs(f"P{number}", seller_of(number, sellers), 1, _MOVES_MAX)
        yield [output for output in ways if output.snapshot is not None][-1]


def _measure(bench: Bench, outputs: list[Output], sellers: int) -> dict[str, Figures]:
    environment = bench.environment({}, bench.new_name("serve"))
    settings = settings_of(environment)
    asyncio.run(_publish(settings, outputs))
    own = {
        "FLAGGED_JWT_KEY": _KEY,
        "FLAGGED_SERVE_PORT": "0",
        "FLAGGED_CHANGE_STREAMS_MAX": "100000",
        "FLAGGED_REQUESTS_PER_MINUTE": "1000000",
    }
    log = bench.directory / f"{bench.new_name('serve')}.log"
    began = time.monotonic()
    with Program([sys.executable, "-m", "streams", "serve"], environment | own, log, "has caught up") as program:
        rebuild_s = program.wait_ready() - began
        page = _PAGE.search(program.said())
        assert page is not None
        figures = asyncio.run(_load(bench, settings, outputs, sellers, page[1], program))
        usage = program.usage
        program.stop()
    whole = {"rebuild_s": rebuild_s, "peak_rss_mb": usage.peak_rss_mb}
    return {name: {**found, **whole} for name, found in figures.items()}


async def _publish(settings: Settings, outputs: Iterable[Output]) -> None:
    await ensure_topics(settings.kafka_kwargs(), topic_specs(settings))
    async with _producer(settings) as send:
        for output in outputs:
            await send(output, True)


class _producer:  # noqa: N801 - it reads as a function
    """Sends outputs as workers do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(**settings.kafka_kwargs(), linger_ms=5)

    async def __aenter__(self) -> _producer:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def __call__(self, output: Output, with_transition: bool) -> None:
        key = output.product_id.encode()
        partition = partition_of(key, PARTITIONS)
        if with_transition:
            await self._producer.send(
                self._settings.flag_status_changed_topic, output.transition, key, partition, headers=[*output.headers]
            )
        await self._producer.send(self._settings.flag_status_topic, output.snapshot, key, partition)


@dataclass
class _Times:
    """How long answers took, in ms, by what was asked; and what was not answered well."""

    of: dict[str, list[float]] = field(default_factory=lambda: {"list": [], "details": []})
    failed: int = 0


async def _load(
    bench: Bench, settings: Settings, outputs: list[Output], sellers: int, page: str, program: Program
) -> dict[str, Figures]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(f"{page}api/v1/", connector=connector) as session, _producer(settings) as send:
        before = program.usage.cpu_s
        changing = asyncio.create_task(_change(send, outputs))
        times = await _ask(session, outputs, sellers, bench.size(SECONDS, 3))
        changing.cancel()
        after = program.usage.cpu_s
        told = await _follow(session, send, outputs, sellers, bench.size(STREAMS, 20))
        end = program.usage.cpu_s
    cpu_s = None if before is None or after is None else after - before
    told = {**told, "cpu_s": None if after is None or end is None else end - after}
    figures: dict[str, Figures] = {
        f"{what} at {REQUESTS_PER_S}/s": _percentiles(found) | {"failed": times.failed, "cpu_s": cpu_s}
        for what, found in times.of.items()
    }
    return figures | {f"changes to {bench.size(STREAMS, 20)} streams": told}


def _percentiles(times_ms: list[float]) -> dict[str, float | None]:
    found = sorted(times_ms)
    return {name: percentile(found, share) for name, share in (("p99_ms", 0.99), ("p50_ms", 0.5), ("max_ms", 1.0))}


async def _change(send: _producer, outputs: list[Output]) -> None:
    dice = Random(2)
    while True:
        for output in dice.choices(outputs, k=UPDATES_PER_S):
            await send(output, False)
        await asyncio.sleep(1)


async def _ask(session: aiohttp.ClientSession, outputs: list[Output], sellers: int, seconds: int) -> _Times:
    """Requests at a steady rate, whether those before are answered or not."""
    dice, times = Random(1), _Times()
    asked: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    for number in range(REQUESTS_PER_S * seconds):
        await asyncio.sleep(max(0.0, began + number / REQUESTS_PER_S - time.monotonic()))
        product = dice.randrange(len(outputs))
        what = "list" if number % 2 else "details"
        task = asyncio.create_task(_request(session, what, product, sellers, times))
        asked.add(task)
        task.add_done_callback(asked.discard)
    await asyncio.gather(*asked)
    return times


async def _request(session: aiohttp.ClientSession, what: str, product: int, sellers: int, times: _Times) -> None:
    seller_id = seller_of(product, sellers)
    query = {"limit": "50"} if what == "list" else {"product_id": f"P{product}"}
    began = time.perf_counter()
    path = "products" if what == "list" else "product"
    async with session.get(path, params=query, headers=_bearer(seller_id)) as response:
        await response.read()
        if response.status != 200:
            times.failed += 1
    times.of[what].append((time.perf_counter() - began) * 1000)


def _bearer(seller_id: str) -> Mapping[str, str]:
    claims = {"seller_id": seller_id, "exp": int(time.time()) + 3600}
    return {"Authorization": f"Bearer {jwt.encode(claims, _KEY, 'HS256')}"}


async def _follow(
    session: aiohttp.ClientSession, send: _producer, outputs: list[Output], sellers: int, streams: int
) -> Figures:
    """As many sellers follow; then one product of each changes: from its record's produce to the change told."""
    ready = asyncio.Semaphore(0)
    told: dict[str, float] = {}
    chosen = list(islice(outputs, streams))
    timeout = aiohttp.ClientTimeout(total=None)

    async def follow(output: Output, number: int) -> None:
        headers = _bearer(seller_of(number, sellers))
        async with session.get("changes", headers=headers, timeout=timeout) as response:
            async for event in _events(response):
                if event == "ready":
                    ready.release()
                elif event == "change":
                    told.setdefault(output.product_id, time.perf_counter())
                    return

    followers = [asyncio.create_task(follow(output, number)) for number, output in enumerate(chosen)]
    for _ in followers:
        await ready.acquire()
    sent: dict[str, float] = {}
    for output in chosen:
        sent[output.product_id] = time.perf_counter()
        await send(output, False)
    done, lost = await asyncio.wait(followers, timeout=60)
    for task in lost:
        task.cancel()
    times = [(told[product_id] - at) * 1000 for product_id, at in sent.items() if product_id in told]
    return _percentiles(times) | {"told": len(done), "never_told": len(lost)}


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    async for line in response.content:
        if line.startswith(b"event: "):
            yield line[7:].strip().decode()
