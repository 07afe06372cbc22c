"""The questions asked of ports and brokers."""

from __future__ import annotations

import socket
import threading

from streams.broker.ready import free_ports, port_is_free, speaks_kafka

HOST = "127.0.0.1"


def test_free_ports_are_distinct_free_and_not_given_to_outgoing_connections() -> None:
    ports = free_ports(HOST, 5)
    assert len(set(ports)) == 5
    assert all(port < 32_768 and port_is_free(HOST, port) for port in ports)


def test_a_port_someone_listens_on_is_not_free() -> None:
    with socket.create_server((HOST, 0)) as server:
        assert not port_is_free(HOST, server.getsockname()[1])


def test_nobody_there_speaks_no_kafka() -> None:
    assert not speaks_kafka(HOST, free_ports(HOST, 1)[0])


def test_another_server_speaks_no_kafka() -> None:
    with socket.create_server((HOST, 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(64)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert not speaks_kafka(HOST, server.getsockname()[1])
        thread.join()
