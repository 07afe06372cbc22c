"""SPEC 3 and 9.7 in a running pipeline: one dead letter for each bad record, as it came, and nothing else happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from streams.broker import EmbeddedBroker
from streams.codecs.dead_letters import ERROR_HEADERS, error_fields
from streams.codecs.event_lines import InputRecord
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.engine.backtest import backtest
from streams.engine.partitioning import partition_of
from streams.testing.bad import BAD_KINDS, bad_record
from tests.core.foreign_headers import BytesName, Record, send_one_batch
from tests.integration.pipeline import Pipeline, pipeline, wait_for

pytestmark = pytest.mark.integration

NOON = 1_772_452_800_000
HEADERS = [("trace", b"\x00\xff"), ("trace", b"2")]


@pytest.fixture
def running(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(broker, tmp_path, FLAGGED_PARTITIONS="2") as made:
        yield made


def placed(number: int) -> InputRecord:
    event = {
        "type": "order.placed",
        "event_id": f"good-{number}",
        "product_id": "P1",
        "order_id": f"O{number}",
        "occurred_at": NOON + number,
        "seller_id": "S1",
        "region": "US",
        "quantity": 1,
        "item_price": 9.99,
        "currency": "USD",
        "ship_by": NOON + number,
    }
    return InputRecord(0, NOON + number, b"P1", json.dumps(event).encode())


async def send(running: Pipeline, records: list[InputRecord]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=running.environment["FLAGGED_BROKER"], acks="all") as out:
        for record in records:
            await out.send_and_wait(
                running.settings.input_topics[record.topic],
                record.value,
                key=record.key,
                partition=0 if record.key is None else None,
                timestamp_ms=record.timestamp_ms,
                headers=HEADERS,
            )


def test_every_kind_of_bad_input(running: Pipeline) -> None:
    records: list[InputRecord] = []
    bad: list[InputRecord] = []
    for number, kind in enumerate(BAD_KINDS):
        record = bad_record(kind, NOON + number, "P1", f"bad-{number}")
        bad.append(InputRecord(record.topic, record.timestamp_ms, record.key, record.value))
        records += [placed(number), bad[-1]]
    huge = InputRecord(0, NOON, b"P1", b'"' + b"x" * 900_000 + b'"')
    bad.append(huge)
    records += [huge, placed(len(BAD_KINDS))]
    settings = running.settings
    running.run("topics", "create", "--for-replay")
    running.start_worker()
    asyncio.run(send(running, records))

    wait_for(lambda: len(running.read(settings.dead_letters_topic)) >= len(bad), "all dead letters")
    empty = running.directory / "empty.jsonl"
    empty.touch()
    running.run("replay", str(empty), "--wait")
    letters = running.read(settings.dead_letters_topic)
    assert len(letters) == len(bad)
    # Original key, value and headers, and where it was read.
    assert sorted((letter.key or b"", letter.value or b"") for letter in letters) == sorted(
        (record.key or b"", record.value or b"") for record in bad
    )
    sources = {}
    for letter in letters:
        assert list(letter.headers[: len(HEADERS)]) == HEADERS
        said = error_fields(letter.headers)
        assert set(said) == set(ERROR_HEADERS)
        sources[said["fp-error-topic"], said["fp-error-partition"], said["fp-error-offset"]] = letter.value
    for topic in settings.input_topics:
        for record in running.read(topic):
            where = (topic, str(record.partition), str(record.offset))
            if where in sources:
                assert sources.pop(where) == record.value
    assert not sources

    # The events around them were applied: the pipeline's transitions are the backtest's, and there are some.
    result = backtest(records, PolicySet((DEFAULT_POLICY,)), partitions=2)
    expected = [t.current_status for emitted in result.transitions for t in emitted]
    published = running.read(settings.flag_status_changed_topic)
    assert [json.loads(record.value or b"")["current_status"] for record in published] == expected
    assert "impacted" in expected, "thirty-odd lines past their ship_by and never shipped"


def statuses(records: list[InputRecord]) -> list[str]:
    result = backtest(records, PolicySet((DEFAULT_POLICY,)), partitions=2)
    return [t.current_status for emitted in result.transitions for t in emitted]


def test_a_header_name_that_is_not_utf8(running: Pipeline) -> None:
    settings = running.settings
    # As many as are needed for the first transition: with one record lost there would be none.
    many = [placed(number) for number in range(100)]
    good = next(many[:count] for count in range(100) if statuses(many[:count]))
    foreign = [(BytesName(b"a\xffb"), b"1"), ("trace", b"2")]
    records: list[Record] = [(record.key, record.value, foreign if n % 3 == 0 else ()) for n, record in enumerate(good)]
    records.insert(4, (b"P1", b"not JSON", foreign))
    running.run("topics", "create", "--for-replay")
    running.start_worker()
    servers, topic = running.environment["FLAGGED_BROKER"], settings.input_topics[0]
    partition = partition_of(b"P1", 2)
    assert asyncio.run(send_one_batch(servers, topic, partition, records, NOON)) == 0

    wait_for(lambda: len(running.read(settings.dead_letters_topic)) >= 1, "the dead letter")
    empty = running.directory / "empty.jsonl"
    empty.touch()
    running.run("replay", str(empty), "--wait")
    [letter] = running.read(settings.dead_letters_topic)
    assert (letter.key, letter.value) == (b"P1", b"not JSON")
    assert list(letter.headers[:2]) == [("a\\xffb", b"1"), ("trace", b"2")]
    assert error_fields(letter.headers)["fp-error-offset"] == "4"
    published = running.read(settings.flag_status_changed_topic)
    assert [json.loads(record.value or b"")["current_status"] for record in published] == statuses(good)
