"""SPEC 5 on a wall clock: a worker that catches up after an outage flags nobody for what it has not read yet."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from streams.broker import EmbeddedBroker
from tests.integration.pipeline import Pipeline, pipeline, wait_for

pytestmark = pytest.mark.integration

LINES = 40
#: How long the worker is away, and within it: a line a few ms after the other, its ship_by, and what ends it in time.
OUTAGE_MS, STEP_MS, SHIP_BY_MS, END_MS = 6_000, 20, 3_000, 2_500


@pytest.fixture
def running(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(broker, tmp_path, FLAGGED_PARTITIONS="1", FLAGGED_CLOCK="wall") as made:
        yield made


Sent = tuple[int, int, dict[str, Any]]  # topic, record timestamp, event


def line(product: str, number: int, began: int, *, ends: str) -> list[Sent]:
    """An order placed in the outage, due in it, and shipped (or cancelled, or neither) in time."""
    at = began + number * STEP_MS
    known = {"product_id": product, "order_id": f"{product}-{number}"}
    placed = {
        "type": "order.placed",
        "event_id": f"{product}-{number}-p",
        "occurred_at": at,
        "seller_id": "S1",
        "region": "US",
        "quantity": 1,
        "item_price": 1,
        "currency": "USD",
        "ship_by": at + SHIP_BY_MS,
        **known,
    }
    told: list[Sent] = [(0, at, placed)]
    end_at = at + END_MS
    if ends == "shipped":
        event = {"type": "order.shipped", "event_id": f"{product}-{number}-s", "occurred_at": end_at, **known}
        told.append((0, end_at, event))
    elif ends == "cancelled":
        event = {
            "type": "order.cancelled",
            "event_id": f"{product}-{number}-c",
            "occurred_at": end_at,
            "reason": "buyer_request",
            **known,
        }
        told.append((1, end_at, event))
    return told


async def send(running: Pipeline, events: list[Sent]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=running.environment["FLAGGED_BROKER"], acks="all") as out:
        for topic, at, event in sorted(events, key=lambda sent: sent[1]):
            await out.send(
                running.settings.input_topics[topic],
                json.dumps(event).encode(),
                key=event["product_id"].encode(),
                timestamp_ms=at,
            )
        await out.flush()


def test_catching_up_flags_nobody_wrongly(running: Pipeline) -> None:
    worker = running.start_worker(FLAGGED_BATCH_MAX_RECORDS="3")
    wait_for(lambda: worker.says("partitions taken over"), "the worker")
    # Before the outage: one event, so that the clock runs.
    asyncio.run(send(running, line("before", 0, wall_ms(), ends="shipped")))
    wait_for(lambda: _clock_runs(running), "a first cut")
    assert worker.stop() == 0

    began = wall_ms()
    outage: list[Sent] = []
    for number in range(LINES):
        outage += line("good", number, began, ends="shipped")
        outage += line("withdrawn", number, began, ends="cancelled")
        outage += line("bad", number, began, ends="nothing")
    asyncio.run(send(running, outage))
    # By the time of day every line is past its ship_by when the worker comes back, and most of what ended it in time is
    # far behind what it reads first.
    wait_for(lambda: wall_ms() > began + OUTAGE_MS, "the end of the outage")

    # Three records at a time, so that the clock would have every chance to run ahead of what is unread.
    running.start_worker(FLAGGED_BATCH_MAX_RECORDS="3")
    wait_for(lambda: "bad" in _flagged(running), "the product that ships nothing is flagged")
    empty = running.directory / "empty.jsonl"
    empty.touch()
    running.run("replay", str(empty), "--wait")
    assert _flagged(running) == {"bad"}


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _clock_runs(running: Pipeline) -> bool:
    return bool(running.read(running.settings.changelog_topic)) and any(
        record.key == b"before" for record in running.read(running.settings.changelog_topic)
    )


def _flagged(running: Pipeline) -> set[str]:
    return {(record.key or b"").decode() for record in running.read(running.settings.flag_status_changed_topic)}


def test_a_living_worker_flags_what_becomes_overdue(running: Pipeline) -> None:
    """The clock moves on with no record at all: lines that nobody ships become overdue as time passes."""
    worker = running.start_worker()
    wait_for(lambda: worker.says("partitions taken over"), "the worker")
    # Due in the next seconds; nothing is sent after that.
    told = [sent for n in range(LINES) for sent in line("bad", n, wall_ms(), ends="nothing")]
    asyncio.run(send(running, told))
    wait_for(lambda: _flagged(running) == {"bad"}, "the product becomes at risk without another event")
