"""Asks a Kafka broker whether it answers, and a port whether it is free."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import struct
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_SOCKET_TIMEOUT_S = 10.0
"""For one answer on the loopback; a broker that has just started may be compiling the code that gives it."""

_SERVER_PORTS = range(20_000, 32_768)
"""Below the ports that Linux (from 32768) and others (from 49152) give outgoing connections."""

_API_VERSIONS_V0 = struct.pack(">hhih", 18, 0, 1, -1)
"""Request header of ApiVersions: key 18, version 0, correlation id 1, no client id. Brokers answer it in every
version and before any login."""


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # As the JVM does: connections of a broker just stopped that linger in TIME_WAIT are no obstacle.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except OSError:
            return False
    return True


def free_ports(host: str, count: int) -> list[int]:
    """Distinct ports that are free now. Nothing keeps them until they are used; see the caller's retry.

    Not the system's own choice (bind to 0), which lies among the ports it gives outgoing connections: a client that
    keeps dialling a stopped broker there is sooner or later given that very port, is connected to itself, and the
    broker cannot have it back.
    """
    candidates = random.sample(_SERVER_PORTS, len(_SERVER_PORTS))
    return list(itertools.islice((port for port in candidates if port_is_free(host, port)), count))


def speaks_kafka(host: str, port: int) -> bool:
    """Whether an ApiVersions request is answered without error."""
    try:
        with socket.create_connection((host, port), timeout=_SOCKET_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(_API_VERSIONS_V0)) + _API_VERSIONS_V0)
            with connection.makefile("rb") as stream:
                # Length, correlation id, error code.
                answer = stream.read(10)
    except OSError:
        return False
    return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (1, 0)


def serves_metadata(bootstrap_servers: str, client_options: Mapping[str, Any]) -> bool:
    """Whether the cluster names a live broker: from then on topics can be created and records be written.

    Runs an event loop on a thread of its own, so that it may be called from a coroutine.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="broker-ready") as thread:
        return thread.submit(lambda: asyncio.run(_describes_itself(bootstrap_servers, client_options))).result()


async def _describes_itself(bootstrap_servers: str, client_options: Mapping[str, Any]) -> bool:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, **client_options)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await admin.close()
    return bool(cluster["brokers"])
