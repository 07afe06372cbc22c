"""Which partition a key belongs to: Java's murmur2 partitioner (SPEC section 1)."""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=262_144)  # some 30 MB at the most: keys repeat, and the hash is in Python
def partition_of(key: bytes | None, partitions: int) -> int:
    """The partition of a key among `partitions`; 0 for a record without a key, so that a replay repeats itself."""
    if key is None:
        return 0
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
