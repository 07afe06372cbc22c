"""Fetch requests and their answers, to and from bytes in a tenth of aiokafka's time, and the same bytes.

Each names all partitions of a worker, some hundred times a second; aiokafka takes every field of each by itself. Only
version 11 of the protocol, which is the newest that aiokafka speaks, and which brokers know since Kafka 2.3; of others
aiokafka takes care as ever.
"""

from __future__ import annotations

from io import BytesIO
from operator import attrgetter
from struct import Struct
from typing import Any

from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11

_REQUEST_HEAD = Struct(">iiiibiii")  # up to the number of topics
_head_of = attrgetter(
    "replica_id", "max_wait_time", "min_bytes", "max_bytes", "isolation_level", "session_id", "session_epoch"
)
_REQUEST_PARTITION = Struct(">iiqqi")
_RESPONSE_HEAD = Struct(">ihii")  # up to the number of topics
_PARTITION_HEAD = Struct(">ihqqqi")  # up to the number of aborted transactions
_PARTITION_TAIL = Struct(">ii")  # preferred replica, length of the records
_ABORTED = Struct(">qq")
_INT16, _INT32 = Struct(">h"), Struct(">i")


class QuickFetchResponse(FetchResponse_v11):  # type: ignore[misc]  # aiokafka is not typed
    """As its base; `decode` raises ValueError for an answer that ends too early."""

    @classmethod
    def decode(cls, data: BytesIO | bytes) -> QuickFetchResponse:
        """Of what is left in `data`."""
        with BytesIO(data) if isinstance(data, bytes) else data as source, source.getbuffer() as buffer:
            try:
                return cls._decode(buffer, source.tell())
            except Exception as error:
                raise ValueError(f"not the answer to a fetch request: {error}") from error

    @classmethod
    def _decode(cls, buffer: memoryview, at: int) -> QuickFetchResponse:
        throttle_ms, error_code, session_id, count = _RESPONSE_HEAD.unpack_from(buffer, at)
        at += _RESPONSE_HEAD.size
        topics: list[tuple[str, list[tuple[Any, ...]]]] = []
        for _ in range(count):
            (length,) = _INT16.unpack_from(buffer, at)
            at += 2
            name = str(buffer[at : at + length], "utf-8")
            (partition_count,) = _INT32.unpack_from(buffer, at + length)
            at += length + 4
            partitions: list[tuple[Any, ...]] = []
            for _ in range(partition_count):
                *head, aborted_count = _PARTITION_HEAD.unpack_from(buffer, at)
                at += _PARTITION_HEAD.size
                aborted = None
                if aborted_count >= 0:
                    aborted = [_ABORTED.unpack_from(buffer, at + _ABORTED.size * i) for i in range(aborted_count)]
                    at += _ABORTED.size * aborted_count
                replica, size = _PARTITION_TAIL.unpack_from(buffer, at)
                at += _PARTITION_TAIL.size
                records = None
                if size >= 0:
                    records = bytes(buffer[at : at + size])
                    if len(records) != size:
                        raise ValueError("it ends within records")
                    at += size
                partitions.append((*head, aborted, replica, records))
            topics.append((name, partitions))
        return cls(throttle_ms, error_code, session_id, topics)


class QuickFetchRequestV11(FetchRequest_v11):  # type: ignore[misc]  # aiokafka is not typed
    """As its base."""

    RESPONSE_TYPE = QuickFetchResponse

    def encode(self) -> bytes:
        """The bytes of the request, without its header."""
        parts = [_REQUEST_HEAD.pack(*_head_of(self), len(self.topics))]
        for topic, partitions in self.topics:
            name = topic.encode()
            parts += (_INT16.pack(len(name)), name, _INT32.pack(len(partitions)))
            parts += [_REQUEST_PARTITION.pack(*partition) for partition in partitions]
        rack_id = self.rack_id.encode()
        parts += (_INT32.pack(0), _INT16.pack(len(rack_id)), rack_id)  # no forgotten topics
        return b"".join(parts)


class QuickFetchRequest(FetchRequest):  # type: ignore[misc]  # aiokafka is not typed
    """The request of aiokafka's fetcher, which becomes the above where the broker knows that version."""

    @classmethod
    def of(cls, request: FetchRequest) -> QuickFetchRequest:
        """The same request."""
        return cls(
            request._max_wait_ms,
            request._min_bytes,
            request._max_bytes,
            request._isolation_level,
            request._topics,
            request._rack_id,
        )

    def build(self, request_struct_class: Any) -> Any:
        """What goes out, in the version that was agreed on with the broker."""
        return super().build(QuickFetchRequestV11 if request_struct_class is FetchRequest_v11 else request_struct_class)
