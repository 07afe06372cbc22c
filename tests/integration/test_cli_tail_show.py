"""`tail` and `show` on topics of a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer

from streams.broker import EmbeddedBroker
from streams.engine.admin import TopicSpec, ensure_topics
from streams.engine.partitioning import partition_of
from streams.settings import HOUR_MS
from tests.unit.cli.examples import START_MS, snapshot_value, transition_value

pytestmark = pytest.mark.integration

PARTITIONS = 4
PATIENCE_S = 120


class Place:
    """Two output topics of a test's own, and the program that reads them."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._connection = {"bootstrap_servers": broker.bootstrap_servers}
        name = f"tail-{uuid.uuid4().hex[:8]}"
        self.transitions, self.snapshots = f"{name}.t", f"{name}.s"
        plain = {key: value for key, value in os.environ.items() if not key.startswith("FLAGGED_")}
        self.environ = plain | {
            "FLAGGED_BROKER": broker.bootstrap_servers,
            "FLAGGED_FLAG_STATUS_CHANGED_TOPIC": self.transitions,
            "FLAGGED_FLAG_STATUS_TOPIC": self.snapshots,
        }

    def create(self) -> None:
        specs = [TopicSpec(name, PARTITIONS, replication=1) for name in (self.transitions, self.snapshots)]
        asyncio.run(ensure_topics(self._connection, specs))

    def write(self, topic: str, records: Sequence[tuple[str, bytes | None]]) -> None:
        async def send() -> None:
            async with AIOKafkaProducer(**self._connection) as producer:
                for key, value in records:
                    partition = partition_of(key.encode(), PARTITIONS)
                    await producer.send_and_wait(topic, value, key=key.encode(), partition=partition)

        asyncio.run(send())

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "streams", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@pytest.fixture
def place(broker: EmbeddedBroker) -> Place:
    made = Place(broker)
    made.create()
    return made


def story(product_id: str, *statuses: str, seller_id: str = "S1") -> list[tuple[str, bytes]]:
    """The records of a product's transitions, an hour apart."""
    steps = zip(("clear", *statuses), statuses, strict=False)
    return [
        (
            product_id,
            transition_value(
                previous,
                current,
                product_id=product_id,
                seller_id=seller_id,
                sequence=number,
                at_ms=START_MS + number * HOUR_MS,
            ),
        )
        for number, (previous, current) in enumerate(steps, 1)
    ]


def test_what_is_there_is_told_once_each_and_by_time(place: Place) -> None:
    stories = [story(f"P{number}", "at_risk", "impacted", "at_risk") for number in range(12)]
    for step in zip(*stories, strict=True):
        # A worker that took over published all of it again.
        place.write(place.transitions, [*step, *step])
    result = place.run("tail", "--until-end", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    values = [line.encode() for line in result.stdout.splitlines()]
    assert sorted(values) == sorted(value for records in stories for _, value in records)
    times = [json.loads(value)["effective_at"] for value in values]
    assert times == sorted(times)
    lines = place.run("tail", "--from-start", "--until-end").stdout.splitlines()
    assert len(lines) == len(values)
    assert all(line.endswith("[threshold_breach]") for line in lines)


def test_only_what_is_asked_for(place: Place) -> None:
    place.write(place.transitions, story("P1", "at_risk", "impacted", "at_risk", "resolved"))
    place.write(place.transitions, story("P2", "at_risk", "impacted", seller_id="S2"))
    assert len(place.run("tail", "--until-end", "--product", "P1").stdout.splitlines()) == 4
    assert len(place.run("tail", "--until-end", "--seller", "S2").stdout.splitlines()) == 2
    chosen = place.run("tail", "--until-end", "--status", "impacted", "--status", "resolved").stdout
    assert sorted(line.split()[2] for line in chosen.splitlines()) == ["P1", "P1", "P2"]
    assert place.run("tail", "--until-end", "--product", "nobody").stdout == ""


def test_what_is_no_transition_is_left_out_and_said(place: Place) -> None:
    place.write(place.transitions, [("P1", b"nonsense"), ("P1", None), *story("P1", "at_risk")])
    result = place.run("tail", "--until-end")
    assert len(result.stdout.splitlines()) == 1
    assert "2 records were left out" in result.stderr


def test_following_shows_what_comes_and_ends_at_an_interrupt(place: Place) -> None:
    place.write(place.transitions, story("P1", "at_risk"))
    process = subprocess.Popen(
        [sys.executable, "-m", "streams", "tail"],
        env=place.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "Following" in process.stderr.readline()
        place.write(place.transitions, story("P2", "at_risk", "impacted"))
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        rest, told = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert [line.split()[2] for line in lines] == ["P2", "P2"]
    assert (process.returncode, rest) == (130, "")
    assert "Traceback" not in told


def test_a_reader_that_has_had_enough(place: Place) -> None:
    # More than a pipe holds.
    place.write(place.transitions, story("P1", *("at_risk", "impacted") * 300))
    process = subprocess.Popen(
        [sys.executable, "-m", "streams", "tail", "--until-end", "--json"],
        env=place.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE_S) in (1, 141)
        assert process.stderr is not None
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()


def test_a_topic_that_is_missing(broker: EmbeddedBroker) -> None:
    place = Place(broker)
    for arguments, topic in ((("tail",), place.transitions), (("show", "P1"), place.snapshots)):
        result = place.run(*arguments)
        assert result.returncode == 2
        assert f"topic {topic} is missing" in result.stderr
        assert "topics create" in result.stderr


def test_the_latest_snapshot_is_shown(place: Place) -> None:
    place.write(place.snapshots, [(f"P{number}", snapshot_value(f"P{number}")) for number in range(20)])
    place.write(place.snapshots, [("P7", snapshot_value("P7", "resolved"))])
    result = place.run("show", "P7")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("P7 is resolved since")
    assert place.run("show", "P7", "--json").stdout.encode() == snapshot_value("P7", "resolved") + b"\n"


def test_a_product_without_snapshot(place: Place) -> None:
    place.write(place.snapshots, [("P1", snapshot_value("P1")), ("P1", None)])
    for product in ("P1", "nobody"):
        result = place.run("show", product)
        assert (result.returncode, result.stdout) == (0, f"{product} is clear, or was never seen.\n")
    assert place.run("show", "P1", "--json").stdout == "null\n"


def test_history(place: Place) -> None:
    records = story("P1", "at_risk", "impacted")
    place.write(place.transitions, [*records, records[0], *story("P2", "at_risk")])
    place.write(place.snapshots, [("P1", snapshot_value("P1"))])
    result = place.run("show", "P1", "--history")
    history = result.stdout.partition("\nHistory\n")[2].splitlines()
    assert [line.split()[2] for line in history] == ["P1", "P1"]
    assert [line.split()[6] for line in history] == ["at_risk", "impacted"]
    as_json = place.run("show", "P1", "--history", "--json").stdout.encode()
    assert as_json == b"\n".join([snapshot_value("P1"), *(value for _, value in records), b""])
    assert "No transition of it" in place.run("show", "P3", "--history").stdout


def test_what_is_no_snapshot(place: Place) -> None:
    place.write(place.snapshots, [("P1", b"nonsense")])
    result = place.run("show", "P1")
    assert result.returncode == 2
    assert "is no snapshot" in result.stderr
