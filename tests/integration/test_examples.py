"""The examples of docs/examples, as they stand there."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaProducer

from streams.broker import EmbeddedBroker
from streams.engine.admin import TopicSpec, ensure_topics
from streams.notify.webhook_file import load_webhooks
from tests.integration.notifying import notifying, transitions
from tests.integration.waiting import LONG_S, eventually, in_loop
from tests.unit.cli.examples import snapshot_value

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


@pytest.mark.parametrize("example", ["ranking.py", "ranking_in_thread.py"])
def test_ranking(broker: EmbeddedBroker, example: str) -> None:
    topic = f"ranking-{uuid.uuid4().hex[:8]}"

    async def write() -> None:
        connection = {"bootstrap_servers": broker.bootstrap_servers}
        await ensure_topics(connection, [TopicSpec(topic, 1, 1, {"cleanup.policy": "compact"})])
        async with AIOKafkaProducer(**connection) as producer:
            for product_id, status in (("P1", "impacted"), ("P2", "at_risk"), ("P4", "resolved")):
                await producer.send_and_wait(topic, snapshot_value(product_id, status), key=product_id.encode())

    asyncio.run(write())
    done = subprocess.run(
        [sys.executable, EXAMPLES / example, "P1", "P2", "P3", "P4"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FLAGGED_BROKER": broker.bootstrap_servers,
            "FLAGGED_FLAG_STATUS_TOPIC": topic,
        },
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=True,
    )
    if example == "ranking.py":
        assert done.stdout.splitlines() == [
            *("P3 clear", "P4 resolved"),
            *("P2 at_risk unshipped_overdue_rate at_risk", "P1 impacted unshipped_overdue_rate impacted"),
        ]
    else:
        assert done.stdout.splitlines() == ["P1 impacted", "P2 at_risk", "P3 clear", "P4 resolved"]


@in_loop
async def _received(broker: EmbeddedBroker, tmp_path: Path) -> None:
    [webhook] = load_webhooks(EXAMPLES / "webhooks.toml")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = tmp_path / "receiver.out"
    with notifying(broker, tmp_path) as running, out.open("wb") as file:
        running.file.write_text((EXAMPLES / "webhooks.toml").read_text().replace("8088", str(port)))
        receiver = subprocess.Popen(
            [sys.executable, EXAMPLES / "receiver.py", str(port)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "WEBHOOK_SECRET": webhook.secrets[0].text()},
            stdout=file,
        )
        try:
            await running.create()
            process = await running.ready()
            await running.write(transitions(["P1", "P2"], 4))
            await eventually(lambda: len(out.read_text().splitlines()) == 4, "what is wanted to be received")
            of_first = [line for line in out.read_text().splitlines() if line.startswith("P1")]
            assert of_first == ["P1 is impacted", "P1 is resolved"]
            async with (
                ClientSession() as session,
                session.post(f"http://127.0.0.1:{port}/hook", data=b"{}", headers={"webhook-id": "x"}) as answer,
            ):
                assert answer.status == 401
            await running.end(process)
        finally:
            receiver.kill()
            receiver.wait(LONG_S)


def test_the_receiver(broker: EmbeddedBroker, tmp_path: Path) -> None:
    _received(broker, tmp_path)
