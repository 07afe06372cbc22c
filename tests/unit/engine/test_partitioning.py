"""Which partition a key belongs to: as Java's producer has it (SPEC section 1)."""

from __future__ import annotations

import pytest

from streams.engine.partitioning import partition_of

# From Kafka's own org.apache.kafka.common.utils.UtilsTest.testMurmur2.
KAFKAS_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", KAFKAS_VECTORS)
def test_it_is_javas_murmur2_made_positive(key: bytes) -> None:
    positive = KAFKAS_VECTORS[key] & 0x7FFFFFFF
    assert partition_of(key, 2**31) == positive
    for partitions in (1, 3, 12):
        assert partition_of(key, partitions) == positive % partitions


def test_a_record_without_a_key_is_in_partition_0() -> None:
    assert [partition_of(None, partitions) for partitions in (1, 7)] == [0, 0]
