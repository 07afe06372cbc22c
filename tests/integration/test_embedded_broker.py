"""The embedded broker: it serves, comes back with its data, says why it cannot start, and leaves no orphan."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.broker import EmbeddedBroker
from streams.broker.properties import HOST, MESSAGE_MAX_BYTES
from streams.broker.ready import free_ports, port_is_free
from streams.errors import UserError

pytestmark = pytest.mark.integration

BOUND_S = 180.0
TOPIC = "embedded-broker-test"


async def _create(bootstrap_servers: str, topic: str, **options: Any) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, **options)
    await admin.start()
    try:
        response = await admin.create_topics([NewTopic(topic, 2, 1)])
        assert [error[1] for error in response.topic_errors] == [0]
    finally:
        await admin.close()


async def _produce(bootstrap_servers: str, topic: str, value: bytes, **options: Any) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        max_request_size=MESSAGE_MAX_BYTES,
        **options,
    )
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def _consume(bootstrap_servers: str, topic: str, count: int, **options: Any) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap_servers, group_id="g", auto_offset_reset="earliest", **options
    )
    await consumer.start()
    try:
        # Not committed: each call reads all again.
        return [(await asyncio.wait_for(consumer.getone(), BOUND_S)).value for _ in range(count)]
    finally:
        await consumer.stop()


def _create_and_produce(broker: EmbeddedBroker, topic: str, value: bytes) -> None:
    asyncio.run(_create(broker.bootstrap_servers, topic))
    asyncio.run(_produce(broker.bootstrap_servers, topic, value))


def _consumed(broker: EmbeddedBroker, topic: str, count: int) -> list[bytes]:
    return asyncio.run(_consume(broker.bootstrap_servers, topic, count, enable_auto_commit=False))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        return not Path("/proc/self").exists()


def _wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(round(BOUND_S / 0.05)):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("condition not reached")


def test_serves_records_and_a_consumer_group(broker: EmbeddedBroker) -> None:
    _create_and_produce(broker, TOPIC, b"one")
    assert _consumed(broker, TOPIC, 1) == [b"one"]


def test_takes_a_batch_of_15_mib(broker: EmbeddedBroker) -> None:
    value = os.urandom(15 * 1024 * 1024)
    _create_and_produce(broker, f"{TOPIC}-large", value)
    assert _consumed(broker, f"{TOPIC}-large", 1) == [value]


def test_topics_do_not_come_by_themselves(broker: EmbeddedBroker) -> None:
    async def metadata() -> list[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        try:
            await admin.describe_topics([f"{TOPIC}-mistyped"])
            return list(await admin.list_topics())
        finally:
            await admin.close()

    assert f"{TOPIC}-mistyped" not in asyncio.run(metadata())


def test_can_be_started_within_an_event_loop() -> None:
    async def start_and_stop() -> None:
        broker = EmbeddedBroker(heap_mb=256)
        broker.start()
        broker.stop()

    asyncio.run(start_and_stop())


def test_stopped_cleanly_it_comes_back_with_its_records_on_the_same_port(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "data")
    with broker:
        first_pid, port = broker.pid, broker.port
        _create_and_produce(broker, TOPIC, b"kept")
        with pytest.raises(RuntimeError):
            broker.start()
    assert broker.pid is None
    assert first_pid is not None
    assert not _is_alive(first_pid)
    assert port_is_free(HOST, port)
    with broker:
        assert broker.port == port
        assert _consumed(broker, TOPIC, 1) == [b"kept"]
    with EmbeddedBroker(tmp_path / "data", port=port) as another:
        assert another.bootstrap_servers == f"127.0.0.1:{port}"
        assert _consumed(another, TOPIC, 1) == [b"kept"]


def test_killed_it_comes_back_with_its_records_from_a_temporary_directory() -> None:
    broker = EmbeddedBroker()
    with broker:
        directory, port, pid = broker.directory, broker.port, broker.pid
        assert directory
        assert pid
        _create_and_produce(broker, TOPIC, b"acked")
        broker.kill()
        assert not _is_alive(pid)
        broker.start()
        assert (broker.directory, broker.port) == (directory, port)
        assert _consumed(broker, TOPIC, 1) == [b"acked"]
    assert not directory.exists()


def test_suspended_it_serves_again_when_it_is_woken(tmp_path: Path) -> None:
    async def send_while_suspended(pid: int, server: str) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=server, acks="all", request_timeout_ms=round(BOUND_S * 1000))
        await producer.start()
        try:
            # With the topic's metadata at hand: they could not be had from a broker that sleeps.
            await producer.send_and_wait(TOPIC, b"early", partition=0)
            os.kill(pid, signal.SIGSTOP)
            # Longer than the broker's session with its controller.
            sent = await producer.send(TOPIC, b"late", partition=0)
            await asyncio.sleep(6)
            os.kill(pid, signal.SIGCONT)
            await asyncio.wait_for(sent, BOUND_S)
        finally:
            await producer.stop()

    with EmbeddedBroker(tmp_path / "data") as broker:
        assert broker.pid
        asyncio.run(_create(broker.bootstrap_servers, TOPIC))
        asyncio.run(send_while_suspended(broker.pid, broker.bootstrap_servers))
        assert _consumed(broker, TOPIC, 2) == [b"early", b"late"]


def test_a_crash_is_seen(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "data") as broker:
        assert broker.pid
        os.kill(broker.pid, signal.SIGKILL)
        _wait_until(lambda: not broker.is_running)
        assert broker.pid is None
        broker.start()
        assert broker.is_running


def test_a_directory_whose_formatting_was_cut_short_is_formatted(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "data"):
        pass
    (tmp_path / "data" / "kafka" / "meta.properties").unlink()
    for path in (tmp_path / "data" / "kafka").iterdir():
        if path.name != "bootstrap.checkpoint":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with EmbeddedBroker(tmp_path / "data") as broker:
        assert broker.is_running


def test_a_port_in_use_is_an_error_of_the_user() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        broker = EmbeddedBroker(port=port)
        with pytest.raises(UserError, match=f"Port {port} .* in use"):
            broker.start()
    assert not broker.is_running
    assert broker.directory is None


def test_a_broker_that_dies_shows_the_end_of_its_log(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "data")
    broker.start()
    broker.stop()
    dies = EmbeddedBroker(tmp_path / "data", properties={"node.id": "2"})
    with pytest.raises(UserError, match=r"(?s)died while it started.*node id 2"):
        dies.start()
    assert not dies.is_running


def test_a_property_kafka_refuses_is_an_error_of_the_user() -> None:
    broker = EmbeddedBroker(properties={"num.io.threads": "many"})
    with pytest.raises(UserError, match=r"num\.io\.threads"):
        broker.start()
    assert broker.directory is None


def test_two_brokers_cannot_share_a_directory(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "data") as first:
        with pytest.raises(UserError, match="Another embedded broker runs"):
            EmbeddedBroker(tmp_path / "data").start()
        assert first.is_running
        _create_and_produce(first, TOPIC, b"unharmed")


def test_extra_properties_can_ask_clients_to_log_in() -> None:
    login = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "app",
        "sasl_plain_password": "secret",
    }
    properties = {
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.client.plain.sasl.jaas.config": (
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            'username="app" password="secret" user_app="secret";'
        ),
    }
    with EmbeddedBroker(properties=properties, client_options=login) as broker:
        asyncio.run(_create(broker.bootstrap_servers, TOPIC, **login))
        asyncio.run(_produce(broker.bootstrap_servers, TOPIC, b"in", **login))
        assert asyncio.run(_consume(broker.bootstrap_servers, TOPIC, 1, **login)) == [b"in"]


PARENT = """
import os, sys, threading, time
from streams.broker import EmbeddedBroker

broker = EmbeddedBroker()
# From a thread that then ends: the broker must live on with the process, and end with it.
thread = threading.Thread(target=broker.start)
thread.start()
thread.join()
if sys.argv[1] == "forked" and os.fork() == 0:
    time.sleep(3600)
print(broker.pid, broker.directory, flush=True)
if sys.argv[1] != "exit":
    time.sleep(3600)
"""


@pytest.mark.parametrize("end", ["kill", "forked", "exit"])
def test_no_broker_outlives_its_parent(end: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, end], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert parent.stdout
        pid_text, _, directory = parent.stdout.readline().strip().partition(" ")
        pid = int(pid_text)
        if end != "exit":
            assert _is_alive(pid)
            parent.kill()
        parent.wait()
        _wait_until(lambda: not _is_alive(pid))
        _wait_until(lambda: not Path(directory).exists())
    finally:
        # The whole group: the forked child of the parent lives on until here.
        os.killpg(parent.pid, signal.SIGKILL) if end == "forked" else parent.kill()
        parent.wait()
        assert parent.stdout
        parent.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_runs_until_it_is_told_to_stop(tmp_path: Path, number: int) -> None:
    port = free_ports(HOST, 1)[0]
    arguments = ["--port", str(port), "--data-dir", str(tmp_path / "data"), "--heap-mb", "256"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from streams.cli.broker import command; command()", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    try:
        assert process.stdout
        said = "".join(process.stdout.readline() for _ in range(4))
        assert f"127.0.0.1:{port}" in said
        assert re.search(rf"Data: {re.escape(str(tmp_path / 'data'))} \(kept\)", said)
        assert str(tmp_path / "data" / "broker.log") in said
        # As Ctrl-C does: to the whole group, which the broker must not belong to.
        os.killpg(process.pid, number)
        assert process.wait(BOUND_S) == 0
        assert port_is_free(HOST, port)
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
