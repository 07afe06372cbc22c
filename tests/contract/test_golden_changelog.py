"""An upgrade: the changelog that a released version left is taken over by this one, and goes on as it would have.

Also the other way round: rows are written as that version wrote them, so that it can take the partition back; and what
a newer version wrote is refused in clear words. See docs/UPGRADING.md.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from streams.codecs import row
from streams.codecs.meta import (
    CLAIM_KEY,
    META_KEY,
    OUTBOX_PREFIX,
    decode_meta,
    encode_meta,
    encode_outbox,
    epoch_headers,
    outbox_key,
)
from streams.codecs.row import PAGE_PREFIX, RowWriter, decode_product, due_of, with_due
from streams.domain.counters import NEVER
from streams.domain.dormant import wake_all
from streams.domain.outlook import take_stock
from streams.domain.partition import Partition
from streams.domain.transitions import STATUS_NAMES
from streams.engine.restore import restore_partition
from streams.errors import UserError
from streams.testing.fake_log import FakeBroker
from tests.golden.changelog_file import Batch, Golden, load, versions
from tests.golden.owner import AT_MS, TOPICS, Owner, log_state, new_broker, published, told
from tests.unit.codecs.row_views import product_view

VERSIONS = versions()
# Of the meta row, in the first builds that wrote version 1.
FIRST_META_FIELDS = 6


@pytest.fixture(params=VERSIONS, ids=lambda version: f"v{version}")
def golden(request: pytest.FixtureRequest) -> Golden:
    return load(request.param)


def broker_with(golden: Golden) -> FakeBroker:
    """A broker as the owners of the golden changelog left it, but for the transitions that they published."""
    broker = new_broker()
    for topic, batches in ((TOPICS.changelog, golden.changelog), (TOPICS.snapshots, golden.snapshots)):
        for batch in batches:
            broker[topic, 0].append(batch.to_append(), AT_MS)
    return broker


def kept(partition: Partition) -> dict[str, dict[str, Any]]:
    """All that is kept of each product, as of the partition's clock."""
    assert partition.clock is not None
    for product in wake_all(partition).values():
        product.catch_up(partition.book, partition.clock)
    return {product.id: product_view(product) for product in partition.products.values()}


def go_on(owner: Owner, golden: Golden, size: int) -> bool:
    """Apply some more of the input, and write what came of it; whether there was any."""
    applied = owner.feed(golden.logs, size)
    owner.cut()
    return applied > 0


def go_to_the_end(owner: Owner, golden: Golden, size: int) -> None:
    """Apply all of the rest of the input, and write what came of it."""
    while go_on(owner, golden, size):
        pass
    owner.processor.advance(golden.until_ms)
    owner.cut()


def next_transitions(golden: Golden) -> list[bytes]:
    """Those that whoever takes the golden changelog over publishes: first the outbox."""
    return golden.transitions[golden.published_count :]


def test_every_version_up_to_the_present_one_has_its_golden_changelog() -> None:
    assert list(range(1, row.VERSION + 1)) == VERSIONS


def test_it_holds_what_an_upgrade_may_meet(golden: Golden) -> None:
    """So that a golden changelog made for the next version is no poorer than those before."""
    rows = [(batch.epoch, *told) for batch in golden.changelog for told in batch.rows]
    highest = 0
    late: set[bytes] = set()
    for epoch, key, _ in rows:
        highest = max(highest, epoch)
        if epoch < highest:
            late.add(key[:1])
    assert {META_KEY, PAGE_PREFIX, OUTBOX_PREFIX, b"l"} <= late, (
        "rows of every kind came from who had lost the partition"
    )
    assert sum(key == CLAIM_KEY for _, key, _ in rows) >= 3
    last_meta = max(index for index, (epoch, key, _) in enumerate(rows) if key == META_KEY and epoch == highest)
    assert any(key.startswith(PAGE_PREFIX) for _, key, _ in rows[last_meta:]), "a torn cut at the end"
    assert any(value is None for _, _, value in rows), "a tombstone"

    state = log_state(broker_with(golden))
    restored = restore_partition(state, golden.book)
    products = wake_all(restored.partition).values()
    assert {product.status for product in products} == set(range(len(STATUS_NAMES)))
    assert any(product.is_empty and product.sequence for product in products), "only a sequence is left"
    assert any(restored.pages.values())
    assert len(restored.outbox.transitions) >= 2
    assert set(restored.outbox.snapshots) - {entry.product_id for entry in restored.outbox.transitions}
    states = [state for product in products for state in product.states or ()]
    assert any(state.breach_since is not None for state in states), "a grace is running"
    assert any(state.exit_since is not None for state in states), "a dwell is running"
    assert any(product.snapshot_pending for product in products)
    facts = {fact[0] for product in products for line in product.lines.values() for fact in line.facts}
    assert len(facts) == 6, "a fact of every kind"
    assert any(product.seen and product.high_fees and product.impressions for product in products)
    ends = [len(log) for log in golden.logs]
    assert all(0 < passed < end for passed, end in zip(golden.positions, ends, strict=True)), "every topic goes on"
    if golden.version > 1:
        clock = restored.meta.clock
        assert clock is not None
        dues = [due_of(value) for value in state.rows.values() if value[0] == row.VERSION]
        assert any(due <= clock for due in dues) and any(clock < due < NEVER for due in dues) and NEVER in dues
        assert restored.meta.rules == golden.book.digest
    causes = {json.loads(value)["cause"] for value in golden.transitions}
    assert {"policy_changed", "threshold_breach", "resolved_expired", "window_expired", "recovered"} <= causes


def test_it_says_what_it_said(golden: Golden) -> None:
    state = log_state(broker_with(golden))
    restored = restore_partition(state, golden.book)
    assert told(state, restored) == golden.says
    outbox = [entry.value for entry in restored.outbox.transitions]
    assert outbox == next_transitions(golden)[: len(outbox)]


def test_it_says_the_same_once_it_is_compacted(golden: Golden) -> None:
    """Kafka keeps the last row of each key before the last cut, once the owner has repaired what is stale."""
    broker = broker_with(golden)
    owner = Owner(broker, golden.policies)
    owner.cut()
    log = broker[TOPICS.changelog, 0]
    before = restore_partition(log_state(broker), golden.book)
    assert log.compact(log.end, drop_tombstones=True) > 100
    after = restore_partition(log_state(broker), golden.book)
    assert (after.meta, after.pages) == (before.meta, before.pages)
    assert kept(after.partition) == kept(before.partition)


def test_rows_are_written_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte, but for when a product is due: so the version that wrote them can take the partition back.

    In as many pages as then: today's are smaller, which is nothing to a reader.
    """
    for name, value in (("PAGED_FROM", 256), ("PAGE_ITEMS_MAX", 128), ("PAGE_ITEMS_MIN", 16)):
        monkeypatch.setattr(row, name, value)
    golden = load(row.VERSION)
    state = log_state(broker_with(golden))
    meta, outbox = state.decode_meta(), state.decode_outbox()
    assert meta.clock is not None
    written: dict[bytes, bytes | None] = dict(encode_outbox(outbox))
    for key, header in state.rows.items():
        if key[:1] in (PAGE_PREFIX, OUTBOX_PREFIX):
            continue
        pages = {
            int.from_bytes(k[1:5], "big"): v for k, v in state.rows.items() if k[:1] == PAGE_PREFIX and k[5:] == key
        }
        product, page_count = decode_product(key.decode(), header, pages, golden.book, meta.clock)
        product.touched = None  # so that all pages are written
        take_stock(product)
        written.update(RowWriter({product.id: page_count}).encode(product.id, product, golden.book))
        written[key] = with_due(written[key] or b"", due_of(header))
    assert written == state.rows
    assert encode_meta(decode_meta(state.meta or b"")) == state.meta


def test_meta_rows_that_say_less_are_read_as_well() -> None:
    """Cuts of the first builds of version 1 do not say where they lie, nor how many products they leave."""
    golden = load(1)
    changelog = [
        Batch(batch.epoch, [(key, first_form(key, value)) for key, value in batch.rows]) for batch in golden.changelog
    ]
    broker = broker_with(replace(golden, changelog=changelog))
    restored = restore_partition(log_state(broker), golden.book)
    assert (restored.meta.lands_at, restored.meta.products) == (0, None)
    assert told(log_state(broker), restored) == golden.says
    go_to_the_end(Owner(broker, golden.policies), golden, 7)
    assert published(broker) == next_transitions(golden)


def first_form(key: bytes, value: bytes | None) -> bytes | None:
    """A row as those builds would have written it."""
    if key != META_KEY or value is None:
        return value
    fields = msgspec.msgpack.decode(value[1:])
    assert len(fields) > FIRST_META_FIELDS
    return value[:1] + msgspec.msgpack.encode(fields[:FIRST_META_FIELDS])


# -- going on


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_it_goes_on_as_it_would_have(golden: Golden, size: int) -> None:
    broker = broker_with(golden)
    owner = Owner(broker, golden.policies)
    outbox = golden.says["outbox"]["transitions"]
    assert published(broker) == next_transitions(golden)[: len(outbox)], "the outbox comes first"
    go_to_the_end(owner, golden, size)
    assert published(broker) == next_transitions(golden)
    assert broker[TOPICS.dead_letters, 0].end == 0


def test_it_goes_on_from_owner_to_owner(golden: Golden) -> None:
    broker = broker_with(golden)
    applied = True
    while applied:
        owner = Owner(broker, golden.policies)
        applied = sum(go_on(owner, golden, 7) for _ in range(4)) > 0
        assert kept(restore_partition(log_state(broker), golden.book).partition) == kept(owner.processor.partition)
    go_to_the_end(owner, golden, 7)
    first_copies = list(dict.fromkeys(published(broker)))
    assert first_copies == next_transitions(golden)


# -- what a newer version wrote


def newer_cut(golden: Golden, kind: str, version: int) -> tuple[FakeBroker, Owner]:
    """A broker on which a worker of a newer version has taken the partition over, and that worker.

    All that is newer in it is one row of a kind: it stands for whatever else a newer version may change.
    """
    broker = broker_with(golden)
    newer = Owner(broker, golden.policies)
    while not newer.cut().outbox.transitions:
        newer.feed(golden.logs, 7)
    state = log_state(broker)
    keys = {
        "product": b"quiet",
        "page": row.page_key(b"large", 1),
        "outbox": outbox_key(0),
        "sequence": "Öl-1".encode(),
    }
    assert state.meta is not None
    meta, rows = state.meta, dict(state.rows)
    changed = []
    if kind == "meta":
        meta = bytes((version,)) + meta[1:]
    else:
        changed.append((keys[kind], bytes((version,)) + rows[keys[kind]][1:], epoch_headers(newer.flusher.epoch)))
    log = broker[TOPICS.changelog, 0]
    log.append([*changed, (META_KEY, meta, epoch_headers(newer.flusher.epoch))], AT_MS)
    newer.flusher.expected = log.end
    return broker, newer


@pytest.mark.parametrize("version", [row.VERSION + 1, 255])
@pytest.mark.parametrize("kind", ["product", "sequence", "page", "meta", "outbox"])
def test_rows_of_a_newer_version_are_refused_before_the_partition_is_claimed(kind: str, version: int) -> None:
    golden = load(row.VERSION)
    broker, newer = newer_cut(golden, kind, version)
    ends = {place: partition.end for place, partition in broker.partitions.items()}
    with pytest.raises(UserError, match=rf"rows of version {version}, and this program reads version .*or a newer one"):
        Owner(broker, golden.policies)
    assert {place: partition.end for place, partition in broker.partitions.items()} == ends, "nothing was written"
    # The newer worker is still the owner: it would raise Fenced otherwise.
    assert go_on(newer, golden, 7)


def test_what_a_newer_version_wrote_in_vain_is_no_reason_to_refuse() -> None:
    """Rows that count for nothing: of a cut that was never completed, or overwritten since."""
    golden = load(row.VERSION)
    broker = broker_with(golden)
    newer = epoch_headers(golden.says["epoch"])
    torn = [
        (key, bytes((row.VERSION + 1,)) + (value or b"")[1:], newer) for key, value in golden.changelog[-1].rows[-2:]
    ]
    broker[TOPICS.changelog, 0].append(torn, AT_MS)
    owner = Owner(broker, golden.policies)
    go_to_the_end(owner, golden, 1000)
    assert published(broker) == next_transitions(golden)
    log_state(broker).require_known_versions()
