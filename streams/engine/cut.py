"""A cut of a partition in bytes: the rows of its state, and the records it publishes (SPEC section 8, DESIGN 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from streams.codecs.dead_letters import VALUE_BYTES_HEADER, VALUE_SHA256_HEADER, dead_letter
from streams.codecs.meta import Meta, Outbox, OutboxEntry, epoch_headers
from streams.codecs.outputs import encode_snapshot, encode_transition, transition_headers
from streams.domain.cut import Cut
from streams.domain.partition import Partition
from streams.domain.reasons import snapshot_of
from streams.domain.transitions import CLEAR
from streams.engine.log_writer import Row
from streams.engine.processor import DeadLetter

# A cut larger than this goes out in several batches, of which the last has the meta row: until that is there, none of
# them counts. Well below what the producer and the topic take, with room for what a batch adds to each record.
BATCH_BYTES_MAX = 8_000_000
ROW_OVERHEAD_BYTES = 40


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Where a partition writes; `inputs` are the names of the input topics, for dead letters."""

    changelog: str
    transitions: str
    snapshots: str
    dead_letters: str
    inputs: tuple[str, str, str, str]
    source: str


@dataclass(slots=True)
class Flush:
    """A cut in bytes, ready to go out; `size` is about that of its rows."""

    rows: list[Row]
    meta: Meta
    outbox: Outbox
    dead_letters: list[Row]
    snapshots: list[Row]
    size: int


def row_size(row: Row) -> int:
    """About how many bytes of a batch a row takes."""
    return len(row[0] or b"") + len(row[1] or b"") + ROW_OVERHEAD_BYTES


def parts(rows: list[Row], meta_row: Row) -> list[list[Row]]:
    """The rows in batches of at most BATCH_BYTES_MAX, the meta row at the very end."""
    found: list[list[Row]] = [[]]
    size = 0
    for row in [*rows, meta_row]:
        if size + row_size(row) > BATCH_BYTES_MAX and found[-1]:
            found.append([])
            size = 0
        found[-1].append(row)
        size += row_size(row)
    return found


def outbox_of(cut: Cut) -> Outbox:
    """What a cut is to publish."""
    entries = [OutboxEntry(t.product_id, t.sequence, t.effective_at, encode_transition(t)) for t in cut.transitions]
    return Outbox(entries, list(cut.snapshots))


def transition_rows(entries: Iterable[OutboxEntry], source: str) -> list[Row]:
    """The records of transitions, the same for whoever publishes them."""
    return [
        (
            entry.product_id.encode(),
            entry.value,
            transition_headers(entry.product_id, entry.sequence, entry.effective_at, source),
        )
        for entry in entries
    ]


def snapshot_rows(partition: Partition, product_ids: Iterable[str], epoch: int) -> list[Row]:
    """The snapshot records of these products: a tombstone for what is clear, or gone."""
    headers = epoch_headers(epoch)
    records: list[Row] = []
    for product_id in product_ids:
        product = partition.find(product_id)
        value = None
        if product is not None and product.status != CLEAR:
            value = encode_snapshot(snapshot_of(product, partition.book, product.as_of))
        records.append((product_id.encode(), value, headers))
    return records


def dead_letter_row(letter: DeadLetter, topics: OutputTopics) -> Row:
    """A refused record as it goes to the dead letters."""
    batch, index = letter.batch, letter.index
    key, value, headers = dead_letter(
        topics.inputs[letter.topic],
        batch.partition,
        batch.offsets[index],
        batch.keys[index],
        batch.values[index],
        batch.headers[index],
        letter.refused,
    )
    return key, value, headers  # type: ignore[return-value]  # a null header value is sent as it came


def without_value(letter: Row) -> Row:
    """A dead letter whose value no batch takes: its size and digest stand for it."""
    key, value, headers = letter
    told = value or b""
    digest = hashlib.sha256(told).hexdigest().encode()
    return key, None, [*headers, (VALUE_BYTES_HEADER, str(len(told)).encode()), (VALUE_SHA256_HEADER, digest)]
