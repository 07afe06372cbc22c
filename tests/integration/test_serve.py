"""`serve` on a real broker: what it shows is what is in the topics, whatever happens to it."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streams.broker import EmbeddedBroker
from streams.testing.outputs import Output
from tests.integration.pipeline import Pipeline, pipeline, refused, wait_for
from tests.integration.serving import (
    ask,
    content_of,
    last_of,
    make_topics,
    publish,
    rebuilt,
    start_serve,
    stories,
    wait_until_ready,
)
from tests.integration.waiting import LONG_S
from tests.postgres import new_database
from tests.unit.web.serving import KEY, OPERATOR, bearer

pytestmark = pytest.mark.integration

KILLS = 6


@pytest.fixture
def running(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(broker, tmp_path) as made:
        make_topics(made)
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.db'}"
    return new_database(request.getfixturevalue("postgres_url"))


def test_it_shows_what_is_in_the_topics_and_what_comes(running: Pipeline) -> None:
    outputs = stories(products=40, moves=5)
    asyncio.run(publish(running.settings, outputs[:100], copies=2))
    serve = start_serve(running)
    address = wait_until_ready(serve)
    _check_list(address, last_of(outputs[:100]))
    asyncio.run(publish(running.settings, outputs[100:]))
    last = last_of(outputs)
    wait_for(lambda: _statuses(address) == _flagged(last), "what was published later")
    _check_list(address, last)
    assert serve.stop() == 0


def _flagged(last: dict[str, Output]) -> dict[str, str]:
    return {product_id: output.status for product_id, output in last.items() if output.status != "clear"}


def _statuses(address: str) -> dict[str, str]:
    items = ask(address, "/products", OPERATOR, limit=200)["items"]
    return {item["product_id"]: item["current_status"] for item in items}


def _check_list(address: str, last: dict[str, Output]) -> None:
    assert _statuses(address) == _flagged(last)
    for number in range(5):
        items = ask(address, "/products", bearer(f"S{number}"), limit=200)["items"]
        assert {item["product_id"] for item in items} == {
            product_id for product_id in _flagged(last) if int(product_id[1:]) % 5 == number
        }


def test_killed_at_any_moment_it_loses_and_doubles_nothing(running: Pipeline, database: str) -> None:
    outputs = stories(products=300, moves=6)
    writer = threading.Thread(
        target=lambda: asyncio.run(publish(running.settings, outputs, pause_s=0.005, copies=2)), daemon=True
    )
    writer.start()
    moments = random.Random(1)
    for _ in range(KILLS):
        serve = start_serve(running, FLAGGED_SERVE_DATABASE=database)
        wait_for(lambda serve=serve: serve.told("port") is not None, "serve to start")  # type: ignore[misc]
        time.sleep(moments.random() * 2)
        serve.kill()
    writer.join(LONG_S)
    assert not writer.is_alive()
    serve = start_serve(running, FLAGGED_SERVE_DATABASE=database)
    wait_until_ready(serve)
    assert serve.stop() == 0
    found = content_of(database, running.directory)
    assert found == rebuilt(running)
    assert len(found["flag_transitions"]) == len(outputs)
    assert len(found["flagged_products"]) == len(_flagged(last_of(outputs)))


def test_two_share_a_database_and_one_goes_on_alone(running: Pipeline, postgres_url: str) -> None:
    url = new_database(postgres_url)
    outputs = stories(products=60, moves=6)
    one = start_serve(running, FLAGGED_SERVE_DATABASE=url)
    wait_until_ready(one)
    other = start_serve(running, FLAGGED_SERVE_DATABASE=url)
    address = wait_until_ready(other)
    asyncio.run(publish(running.settings, outputs[:200]))
    one.kill()
    asyncio.run(publish(running.settings, outputs[200:]))
    wait_for(lambda: _statuses(address) == _flagged(last_of(outputs)), "the other to go on")
    wait_for(lambda: len(content_of(url, running.directory)["flag_transitions"]) == len(outputs), "all of it")
    assert other.stop() == 0
    assert content_of(url, running.directory) == rebuilt(running)


def test_topics_made_anew_are_read_anew(running: Pipeline) -> None:
    settings = running.settings
    asyncio.run(publish(settings, stories(products=50, moves=4)))
    serve = start_serve(running)
    address = wait_until_ready(serve)
    assert _statuses(address)

    async def delete() -> None:
        admin = AIOKafkaAdminClient(**settings.kafka_kwargs())
        await admin.start()
        await admin.delete_topics([settings.flag_status_topic, settings.flag_status_changed_topic])
        await admin.close()

    asyncio.run(delete())
    fewer = stories(products=3, moves=1, seed=7)
    for _ in range(100):
        try:
            make_topics(running)
            break
        except Exception:  # noqa: BLE001 - it is being deleted still
            time.sleep(0.2)
    asyncio.run(publish(settings, fewer))

    def is_anew() -> bool:
        try:
            return _statuses(address) == _flagged(last_of(fewer))
        except AssertionError:  # not ready while it reads
            return False

    wait_for(is_anew, "the products of the new topics, and no others")
    assert serve.stop() == 0


def test_changes_are_told_and_told_again_to_who_comes_back(running: Pipeline) -> None:
    serve = start_serve(running)
    address = wait_until_ready(serve)
    outputs = stories(products=10, moves=4)
    first, last_id = _follow(address, running, outputs[:20], until=_of_s1(outputs[:20]), after=None)
    asyncio.run(publish(running.settings, outputs[20:]))
    wait_for(lambda: _statuses(address) == _flagged(last_of(outputs)), "all of it")
    # Some may be told twice: what is lost with a connection is told again.
    second, _ = _follow(address, running, [], until=_of_s1(outputs) - first, after=last_id)
    assert first | second == _of_s1(outputs)
    assert serve.stop() == 0


def _of_s1(outputs: list[Output]) -> set[tuple[str, int]]:
    return {(output.product_id, output.sequence) for output in outputs if int(output.product_id[1:]) % 5 == 1}


def _follow(
    address: str, running: Pipeline, then: list[Output], *, until: set[tuple[str, int]], after: str | None
) -> tuple[set[tuple[str, int]], str | None]:
    """Follow the changes as seller S1, publish, and read until these transitions have come."""
    headers = bearer("S1") | ({} if after is None else {"Last-Event-ID": after})
    told: set[tuple[str, int]] = set()
    last_id = after
    with httpx.stream("GET", f"{address}api/v1/changes", headers=headers, timeout=LONG_S) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        for line in response.iter_lines():
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = value
                continue
            last_id = event.get("id", last_id)
            if event.get("event") == "ready":
                asyncio.run(publish(running.settings, then))
            if event.get("event") == "change":
                data = json.loads(event["data"])
                assert data["seller_id"] == "S1"
                if data["kind"] == "transition":
                    told.add((data["product_id"], data["sequence"]))
            event = {}
            if until <= told:
                break
    return told, last_id


def test_it_stops_while_somebody_follows(running: Pipeline) -> None:
    serve = start_serve(running)
    address = wait_until_ready(serve)
    with httpx.stream("GET", f"{address}api/v1/changes", headers=OPERATOR, timeout=LONG_S) as response:
        lines = response.iter_lines()
        next(lines)
        assert serve.stop() == 0
        for _ in lines:
            pass


def test_without_a_broker_it_goes_on_showing_what_it_has(tmp_path: Path) -> None:
    with EmbeddedBroker() as own, pipeline(own, tmp_path) as running:
        make_topics(running)
        outputs = stories(products=20, moves=3)
        asyncio.run(publish(running.settings, outputs))
        serve = start_serve(running)
        address = wait_until_ready(serve)
        own.stop()
        assert _statuses(address) == _flagged(last_of(outputs))
        assert serve.page("/livez")[0] == 200
        assert serve.stop() == 0


def test_what_is_no_output_of_ours_is_counted_and_passed_over(running: Pipeline) -> None:
    outputs = stories(products=5, moves=2)
    strange = list(stories(products=3, moves=1, seed=9))

    async def spoil() -> None:
        from aiokafka import AIOKafkaProducer

        settings = running.settings
        producer = AIOKafkaProducer(**settings.kafka_kwargs())
        await producer.start()
        for value in (b"no JSON", b"{}", b"\xff", strange[0].snapshot, None):
            await producer.send(settings.flag_status_topic, value, b"\xff\xfe", partition=0)
            await producer.send(settings.flag_status_changed_topic, value, b"\xff\xfe", partition=0)
        await producer.stop()

    asyncio.run(spoil())
    asyncio.run(publish(running.settings, outputs))
    serve = start_serve(running)
    address = wait_until_ready(serve)
    assert _statuses(address) == _flagged(last_of(outputs))
    assert "flagged_products_read_model_skipped_total 10.0" in serve.page("/metrics")[1]


@pytest.mark.parametrize(
    ("environment", "arguments", "says"),
    [
        ({"FLAGGED_JWT_KEY": ""}, [], "FLAGGED_JWT_KEY_FILE"),
        ({"FLAGGED_JWT_KEY": "too short"}, [], "32 bytes"),
        ({"FLAGGED_SERVE_DATABASE": "postgresql+psycopg://u:hunter22@127.0.0.1:1/x"}, [], "FLAGGED_SERVE_DATABASE"),
        ({"FLAGGED_SERVE_DATABASE": "mysql://u:hunter22@h/x"}, [], "postgresql"),
        ({"FLAGGED_FLAG_STATUS_TOPIC": "no-such-topic"}, [], "no-such-topic is missing"),
        ({"FLAGGED_SERVE_HOST": "0.0.0.0"}, ["--demo"], "--demo"),
        ({"FLAGGED_SERVE_HOST": "192.0.2.1"}, [], "can't listen"),
        ({"FLAGGED_BROKER": "127.0.0.1:1"}, [], "127.0.0.1:1"),
        ({"FLAGGED_POLICY_FILE": "no/such/file"}, [], "no/such/file"),
    ],
)
def test_what_a_user_can_mend_is_told_in_one_message(
    running: Pipeline, environment: dict[str, str], arguments: list[str], says: str
) -> None:
    running.environment |= {"FLAGGED_JWT_KEY": KEY, "FLAGGED_SERVE_PORT": "0", **environment}
    said = refused(running, "serve", *arguments)
    assert says in said
    assert "hunter22" not in said


def test_a_port_that_is_taken(running: Pipeline) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running.environment |= {"FLAGGED_JWT_KEY": KEY, "FLAGGED_SERVE_PORT": str(taken.getsockname()[1])}
        assert "FLAGGED_SERVE_PORT" in refused(running, "serve")
