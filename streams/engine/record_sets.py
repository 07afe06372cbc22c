"""Fetched record sets in which a header's name may be any bytes (SPEC 9.7: bad input stops nothing).

The broker doesn't check that the names of headers are UTF-8, and some clients send others. aiokafka's reader gives up
at such a record, and so it would for ever. `accept_any_header_name` puts `RecordSet` in place of aiokafka's own
`MemoryRecords`; the fetched bytes stay at hand with it, and the one record batch in which aiokafka gave up is read
again, from its first record, by `read_leniently`. There the bytes of a name that aren't UTF-8 become lone surrogates
(Python's `surrogateescape`). All other record batches are read as before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import aiokafka.consumer.fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecord, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint_py as decode_varint

#: Base offset and length of what follows: the same in all versions of the format.
BATCH_START = struct.Struct(">qi")


def accept_any_header_name() -> None:
    """Let every consumer of this process read records whose header names aren't UTF-8, from its next fetch on.

    To be called before a consumer is made. Calling it again changes nothing.
    """
    aiokafka.consumer.fetcher.MemoryRecords = RecordSet


def is_header_name_error(error: BaseException) -> bool:
    """Whether aiokafka's reader failed at a header's name: it decodes no other text.

    Without its compiled extension aiokafka wraps the error, as it does with every other one in a record.
    """
    return isinstance(error, UnicodeDecodeError) or isinstance(error.__cause__, UnicodeDecodeError)


class RecordSet:
    """aiokafka's `MemoryRecords` as its fetcher uses it, with the fetched bytes at hand."""

    __slots__ = ("_data", "_next_batch", "_start", "_taken", "_walked", "has_next", "size_in_bytes")

    def __init__(self, data: bytes) -> None:
        records = MemoryRecords(data)
        self._data = data
        # Whether there is another record batch, and the size of all in bytes: the methods themselves, for speed.
        self.has_next = records.has_next
        self.size_in_bytes = records.size_in_bytes
        self._next_batch = records.next_batch
        self._taken = 0
        # Batches that lie before `_start` in the data; looked up only when a batch is to be read again.
        self._walked = 0
        self._start = 0

    def next_plain_batch(self) -> Any:
        """The next record batch as aiokafka reads it; for who calls `read_again` when it fails at a header's name."""
        self._taken += 1
        return self._next_batch()

    def next_batch(self) -> LenientBatch:
        """The next record batch, for aiokafka's own code; to be called only when `has_next` says that there is one."""
        return LenientBatch(self, self.next_plain_batch())

    def read_again(self) -> Iterator[DefaultRecord]:
        """All records of the record batch that was handed out last, whatever the names of their headers."""
        while True:
            _, length = BATCH_START.unpack_from(self._data, self._start)
            end = self._start + BATCH_START.size + length
            if self._walked == self._taken - 1:
                return read_leniently(memoryview(self._data)[self._start : end])
            self._walked += 1
            self._start = end


class LenientBatch:
    """A record batch for aiokafka's own `getone` and `getmany`, which go through it with a `for`."""

    def __init__(self, record_set: RecordSet, batch: Any) -> None:
        self._record_set = record_set
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """The first record of a control batch, which the broker wrote."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        last_offset = -1
        try:
            for record in self._batch:
                last_offset = record.offset
                yield record
        except (UnicodeDecodeError, CorruptRecordException) as exc:
            if not is_header_name_error(exc):
                raise
        else:
            return
        for record in self._record_set.read_again():
            if record.offset > last_offset:
                yield record


def read_leniently(data: bytes | memoryview) -> Iterator[DefaultRecord]:
    """The records of one record batch of format 2, compressed or not; `data` begins with its base offset.

    Raises CorruptRecordException when the bytes aren't as the format has it.
    """
    batch = _DefaultRecordBatchPy(data)
    batch._maybe_uncompress()
    buffer, pos = batch._buffer, batch._pos
    try:
        for _ in range(batch._num_records):
            record, pos = _read_record(batch, buffer, pos)
            yield record
    except (ValueError, IndexError) as exc:
        raise CorruptRecordException(f"Found invalid record structure: {exc!r}") from exc
    if pos != len(buffer):
        raise CorruptRecordException(f"{len(buffer) - pos} unconsumed bytes after all records consumed")


def _read_record(batch: _DefaultRecordBatchPy, buffer: bytearray, pos: int) -> tuple[DefaultRecord, int]:
    length, pos = decode_varint(buffer, pos)
    end = pos + length
    # One byte of attributes, of which none is in use.
    ts_delta, pos = decode_varint(buffer, pos + 1)
    offset_delta, pos = decode_varint(buffer, pos)
    key, pos = _read_bytes(buffer, pos)
    value, pos = _read_bytes(buffer, pos)
    header_count, pos = decode_varint(buffer, pos)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(header_count):
        name, pos = _read_bytes(buffer, pos)
        content, pos = _read_bytes(buffer, pos)
        if name is None:
            raise CorruptRecordException("A header's name is null")
        headers.append((name.decode("utf-8", "surrogateescape"), content))
    if pos != end:
        raise CorruptRecordException(f"Invalid record size: {length} bytes expected, {length + pos - end} read")
    timestamp = batch.first_timestamp + ts_delta
    if batch.timestamp_type == batch.LOG_APPEND_TIME:
        timestamp = batch.max_timestamp
    offset = batch.base_offset + offset_delta
    return DefaultRecord(offset, timestamp, batch.timestamp_type, key, value, headers), pos


def _read_bytes(buffer: bytearray, pos: int) -> tuple[bytes | None, int]:
    """Bytes with their length before them, -1 for null; and the position after them."""
    length, pos = decode_varint(buffer, pos)
    if length < 0:
        return None, pos
    return bytes(buffer[pos : pos + length]), pos + length
