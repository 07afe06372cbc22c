"""Record sets with header names that aren't UTF-8: nothing of them is lost, doubled or out of order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import aiokafka.consumer.fetcher
import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record import memory_records
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from faust.types import TP

from streams.engine import record_sets
from streams.engine.batch import RecordBatch
from streams.engine.fetched import RecordCursor
from streams.engine.record_sets import RecordSet, accept_any_header_name, read_leniently
from tests.core.foreign_headers import CODECS, BytesName, Record, builder

AT_MS = 1_700_000_000_000
TOPIC = TP("t", 0)
NOT_UTF8 = BytesName(b"na\xff\xfeme")
READ_AS = "na\udcff\udcfeme"
BASE_OFFSET = 8


def record_batch(records: Sequence[Record], base_offset: int, compression: str | None = None) -> bytes:
    """The base offset is no part of what the checksum covers: the broker writes it."""
    return base_offset.to_bytes(8, "big") + bytes(builder(records, AT_MS, compression).build())[8:]


def good(count: int) -> list[Record]:
    return [(b"k%d" % n, b"v%d" % n * 60, [("n", b"%d" % n)] if n % 2 else ()) for n in range(count)]


def foreign(count: int, *bad: int) -> list[Record]:
    made = good(count)
    for n in bad:
        key, value, headers = made[n]
        made[n] = (key, value, [*headers, (NOT_UTF8, b"x"), ("é", None), ("", b"")])
    return made


def part_of(data: bytes, fetch_offset: int = 0) -> PartitionRecords:
    return PartitionRecords(TOPIC, RecordSet(data), None, fetch_offset, None, None, True, READ_COMMITTED)


def taken(data: bytes, max_records: int, fetch_offset: int = 0) -> RecordBatch:
    """All of it, by as many calls as needed."""
    part = part_of(data, fetch_offset)
    cursor = RecordCursor(part)
    whole = RecordBatch("t", 0, fetch_offset, fetch_offset, 0)
    used_up = False
    while not used_up:
        some = RecordBatch("t", 0, part.next_fetch_offset, 0, 0)
        used_up = cursor.take(some, max_records)
        assert len(some) <= max_records
        for column in ("offsets", "timestamps", "keys", "values", "headers"):
            getattr(whole, column).extend(getattr(some, column))
    whole.next_offset = part.next_fetch_offset
    return whole


def read_as(records: Sequence[Record]) -> list[tuple[tuple[str, bytes | None], ...]]:
    return [tuple((READ_AS if name is NOT_UTF8 else name, value) for name, value in row[2]) for row in records]


@pytest.fixture(params=["compiled", "python"])
def either_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka's own reader, in C and (where it isn't built, or AIOKAFKA_NO_EXTENSIONS is set) in Python."""
    if request.param == "python":
        monkeypatch.setattr(memory_records, "DefaultRecordBatch", _DefaultRecordBatchPy)
        monkeypatch.setattr(record_sets, "MemoryRecords", memory_records._MemoryRecordsPy)


@pytest.mark.usefixtures("either_reader")
@pytest.mark.parametrize("compression", CODECS)
@pytest.mark.parametrize("max_records", [1, 3, 8, 100])
@pytest.mark.parametrize("bad", [(0,), (3,), (7,), (2, 5), range(8)])
def test_every_record_comes_once_and_in_order(compression: str | None, max_records: int, bad: Sequence[int]) -> None:
    sets = [good(4), foreign(8, *bad), good(4), foreign(8, *bad), foreign(8, *bad)]
    records = [row for rows in sets for row in rows]
    data, base = b"", BASE_OFFSET
    for rows in sets:
        data += record_batch(rows, base, compression)
        base += len(rows)
    got = taken(data, max_records)
    assert got.offsets == list(range(BASE_OFFSET, base))
    assert (got.keys, got.values) == ([row[0] for row in records], [row[1] for row in records])
    assert got.headers == read_as(records)
    assert got.timestamps == [AT_MS + number for rows in sets for number in range(len(rows))]
    assert got.next_offset == base
    # And as aiokafka's own getone and getmany have it.
    stock = list(part_of(data))
    assert [row.offset for row in stock] == got.offsets
    assert [(row.key, row.value, row.headers) for row in stock] == list(
        zip(got.keys, got.values, got.headers, strict=True)
    )
    assert [row.timestamp for row in stock] == got.timestamps


@pytest.mark.usefixtures("either_reader")
@pytest.mark.parametrize("start", range(BASE_OFFSET, BASE_OFFSET + 9))
@pytest.mark.parametrize("max_records", [1, 100])
def test_reading_begins_in_the_middle_of_such_a_batch(start: int, max_records: int) -> None:
    data = record_batch(foreign(8, 3), BASE_OFFSET)
    got = taken(data, max_records, start)
    assert got.offsets == list(range(start, BASE_OFFSET + 8))
    assert got.next_offset == BASE_OFFSET + 8
    assert [row.offset for row in part_of(data, start)] == got.offsets


def test_the_rest_of_an_answer_that_ends_in_the_middle_of_a_batch_is_left_for_the_next_fetch() -> None:
    data = record_batch(foreign(4, 1), BASE_OFFSET)
    got = taken(data + record_batch(foreign(4, 1), BASE_OFFSET + 4)[:-1], 100)
    assert got.next_offset == BASE_OFFSET + 4
    assert got.headers == read_as(foreign(4, 1))


@pytest.mark.parametrize("compression", CODECS)
@pytest.mark.parametrize("log_append_time", [False, True])
def test_good_records_are_read_as_aiokafka_reads_them(compression: str | None, log_append_time: bool) -> None:
    records = [*good(50), (None, None, ()), (b"", b"", [("é", b"\xff"), ("n", None)]), (b"k", b"v" * 70_000, ())]
    data = bytearray(record_batch(records, BASE_OFFSET, compression))
    # The attributes' low byte; the checksum isn't looked at here.
    data[22] |= 0x08 if log_append_time else 0

    def fields(rows: Iterator[Any]) -> list[tuple[Any, ...]]:
        return [(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, r.headers, r.checksum) for r in rows]

    assert fields(read_leniently(bytes(data))) == fields(iter(DefaultRecordBatch(bytes(data))))


def corrupt(at: int, byte: int) -> bytes:
    data = bytearray(record_batch([(b"k", b"v", [("n", b"h")])], 0))
    data[at] = byte
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(corrupt(61, 40), id="a length that isn't the record's"),
        pytest.param(corrupt(65, 100), id="a key beyond the end"),
        pytest.param(corrupt(69, 1), id="a negative count of headers"),
        pytest.param(corrupt(70, 1), id="a name that is null"),
        pytest.param(corrupt(60, 0), id="more bytes than records"),
        pytest.param(corrupt(60, 2), id="more records than bytes"),
        pytest.param(record_batch([(b"k", b"v", ())], 0)[:-2] + b"\xff" * 2, id="a number that doesn't end"),
    ],
)
def test_what_is_not_as_the_format_has_it_is_told(data: bytes) -> None:
    with pytest.raises(CorruptRecordException):
        list(read_leniently(data))


@pytest.mark.parametrize("read", [lambda data: taken(data, 100), lambda data: list(part_of(data))])
def test_a_checksum_that_fails_still_counts(read: Callable[[bytes], Any]) -> None:
    data = record_batch(foreign(4, 1), 0)
    with pytest.raises(CorruptRecordException, match="CRC"):
        read(data[:-1] + bytes([data[-1] ^ 1]))


def test_a_record_set_says_what_aiokafka_says() -> None:
    data = record_batch(good(2), 0) + record_batch(good(3), 2)
    for piece in (b"", data[:11], data[:70], data):
        ours, stock = RecordSet(piece), MemoryRecords(piece)
        assert ours.size_in_bytes() == stock.size_in_bytes()
        while stock.has_next():
            assert ours.has_next()
            batch, plain = ours.next_batch(), stock.next_batch()
            for name in ("base_offset", "next_offset", "producer_id", "is_control_batch", "is_transactional"):
                assert getattr(batch, name) == getattr(plain, name)
            assert batch.validate_crc()
        assert not ours.has_next()


def test_it_is_put_in_place_once_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiokafka.consumer.fetcher, "MemoryRecords", MemoryRecords)
    accept_any_header_name()
    accept_any_header_name()
    assert aiokafka.consumer.fetcher.MemoryRecords is RecordSet
