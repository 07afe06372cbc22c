"""Record batches as some clients write them, and aiokafka's builder doesn't: with header names that aren't UTF-8."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

CODECS = {None: 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
#: Key, value, header names and values.
Record = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]


class BytesName(str):
    """A header's name that is written as the bytes it was made of."""

    __slots__ = ("data",)
    data: bytes

    def __new__(cls, data: bytes) -> BytesName:
        made = super().__new__(cls, data.decode("latin-1"))
        made.data = data
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self.data


def builder(records: Sequence[Record], at_ms: int, compression: str | None) -> _DefaultRecordBatchBuilderPy:
    """One record batch, offsets from 0; record i bears the timestamp `at_ms` + i."""
    made = _DefaultRecordBatchBuilderPy(2, CODECS[compression], 0, -1, -1, -1, 1_000_000)
    for number, (key, value, headers) in enumerate(records):
        assert made.append(number, at_ms + number, key, value, list(headers)) is not None
    return made


async def send_one_batch(
    servers: str, topic: str, partition: int, records: Sequence[Record], at_ms: int, compression: str | None = None
) -> int:
    """Append the records as one record batch; its base offset."""
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as out:
        batch = out.create_batch()
        batch._builder = builder(records, at_ms, compression)
        batch._relative_offset = len(records)
        batch.close()
        metadata = await (await out.send_batch(batch, topic, partition=partition))
        return int(metadata.offset)
