"""An upgrade: the changelog that a released version left is taken over by this one, and goes on as it would have.

Also the other way round: rows are written as that version wrote them, so that it can take the partition back; and what
a newer version wrote is refused in clear words. See docs/UPGRADING.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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
from streams.codecs.row import PAGE_PREFIX, RowWriter, decode_product
from streams.domain.product import Product
from streams.domain.transitions import STATUS_NAMES
from streams.engine.changelog import restore_partition
from streams.errors import UserError
from streams.testing.fake_log import FakeBroker
from tests.golden.changelog_file import Golden, load, versions
from tests.golden.owner import AT_MS, TOPICS, Owner, log_state, new_broker, published, told
from tests.unit.codecs.row_views import product_view

VERSIONS = versions()


@pytest.fixture(params=VERSIONS, ids=lambda version: f"v{version}")
def golden(request: pytest.FixtureRequest) -> Golden:
    return load(request.param)


def broker_with(golden: Golden) -> FakeBroker:
    """A broker as the owners of the golden changelog left it, but for what they published long ago."""
    broker = new_broker()
    for batch in golden.batches:
        broker[TOPICS.changelog, 0].append(batch.to_append(), AT_MS)
    last_epoch = epoch_headers(golden.says["epoch"])
    broker[TOPICS.snapshots, 0].append([(b"P0", None, last_epoch)] * golden.snapshots_end, AT_MS)
    return broker


def kept(products: Mapping[str, Product]) -> dict[str, dict[str, Any]]:
    return {product.id: product_view(product) for product in products.values()}


def test_every_version_up_to_the_present_one_has_its_golden_changelog() -> None:
    assert list(range(1, row.VERSION + 1)) == VERSIONS


def test_it_holds_what_an_upgrade_may_meet(golden: Golden) -> None:
    """So that a golden changelog made for the next version is no poorer than those before."""
    rows = [(batch.epoch, *told) for batch in golden.batches for told in batch.rows]
    highest = 0
    late: set[bytes] = set()
    for epoch, key, _ in rows:
        highest = max(highest, epoch)
        if epoch < highest:
            late.add(key[:1])
    assert {META_KEY, PAGE_PREFIX, OUTBOX_PREFIX, b"l"} <= late, "rows of every kind came from who had lost the partition"
    assert sum(key == CLAIM_KEY for _, key, _ in rows) >= 3
    last_meta = max(index for index, (epoch, key, _) in enumerate(rows) if key == META_KEY and epoch == highest)
    assert any(key.startswith(PAGE_PREFIX) for _, key, _ in rows[last_meta:]), "a torn cut at the end"
    assert any(value is None for _, _, value in rows), "a tombstone"

    state = log_state(broker_with(golden))
    restored = restore_partition(state, golden.book)
    products = restored.partition.products.values()
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
    assert all(golden.rest()), "input of every topic follows"
    causes = {json.loads(value)["cause"] for value in golden.transitions}
    assert {"policy_changed", "threshold_breach", "resolved_expired", "window_expired", "recovered"} <= causes


def test_it_says_what_it_said(golden: Golden) -> None:
    state = log_state(broker_with(golden))
    restored = restore_partition(state, golden.book)
    assert told(state, restored) == golden.says
    outbox = [entry.value for entry in restored.outbox.transitions]
    assert outbox == golden.transitions[: golden.outbox_count]


def test_it_says_the_same_once_it_is_compacted(golden: Golden) -> None:
    """Kafka keeps of what lies before the last cut the last row of each key, once the owner has repaired what is stale."""
    broker = broker_with(golden)
    owner = Owner(broker, golden.policies)
    owner.cut()
    log = broker[TOPICS.changelog, 0]
    before = restore_partition(log_state(broker), golden.book)
    assert log.compact(log.end, drop_tombstones=True) > 100
    after = restore_partition(log_state(broker), golden.book)
    assert (after.meta, after.pages) == (before.meta, before.pages)
    assert kept(after.partition.products) == kept(before.partition.products)


def test_rows_are_written_as_they_were(golden: Golden) -> None:
    """Byte for byte: so the version that wrote them can take the partition back."""
    if golden.version != row.VERSION:
        pytest.skip("this program writes another version")
    state = log_state(broker_with(golden))
    meta, outbox = state.decode_meta(), state.decode_outbox()
    assert meta.clock is not None
    written = dict(encode_outbox(outbox))
    for key, header in state.rows.items():
        if key[:1] in (PAGE_PREFIX, OUTBOX_PREFIX):
            continue
        pages = {int.from_bytes(k[1:5], "big"): v for k, v in state.rows.items() if k[:1] == PAGE_PREFIX and k[5:] == key}
        product, page_count = decode_product(key.decode(), header, pages, golden.book, meta.clock)
        product.touched = None  # so that all pages are written
        written.update(RowWriter({product.id: page_count}).encode(product.id, product))
    assert written == state.rows
    assert encode_meta(decode_meta(state.meta or b"")) == state.meta


# -- going on


def go_on(owner: Owner, golden: Golden, size: int) -> bool:
    """Apply some of the rest of the input, and write what came of it; whether there was any."""
    applied = owner.feed(golden.rest(), golden.says["meta"]["positions"], size)
    owner.cut()
    return applied > 0


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_it_goes_on_as_it_would_have(golden: Golden, size: int) -> None:
    broker = broker_with(golden)
    owner = Owner(broker, golden.policies)
    assert published(broker) == golden.transitions[: golden.outbox_count], "the outbox comes first"
    while go_on(owner, golden, size):
        pass
    owner.processor.advance(golden.until_ms)
    owner.cut()
    assert published(broker) == golden.transitions
    assert broker[TOPICS.dead_letters, 0].end == 0


def test_it_goes_on_from_owner_to_owner(golden: Golden) -> None:
    broker = broker_with(golden)
    applied = True
    while applied:
        owner = Owner(broker, golden.policies)
        applied = any([go_on(owner, golden, 7) for _ in range(4)])
        before = kept(owner.processor.partition.products)
        assert kept(restore_partition(log_state(broker), golden.book).partition.products) == before
    owner.processor.advance(golden.until_ms)
    owner.cut()
    first_copies = list(dict.fromkeys(published(broker)))
    assert first_copies == golden.transitions


# -- what a newer version wrote


def newer_cut(golden: Golden, kind: str, version: int) -> tuple[FakeBroker, Owner]:
    """A broker on which a worker of a newer version has taken the partition over, and that worker.

    All that is newer in it is one row of a kind: it stands for whatever else a newer version may change.
    """
    broker = broker_with(golden)
    newer = Owner(broker, golden.policies)
    while not newer.cut().outbox.transitions:
        newer.feed(golden.rest(), golden.says["meta"]["positions"], 7)
    state = log_state(broker)
    keys = {"product": b"quiet", "page": row.page_key(b"large", 1), "outbox": outbox_key(0), "sequence": "Öl-1".encode()}
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


@pytest.mark.parametrize("version", [2, 255])
@pytest.mark.parametrize("kind", ["product", "sequence", "page", "meta", "outbox"])
def test_rows_of_a_newer_version_are_refused_in_clear_words(kind: str, version: int) -> None:
    golden = load(row.VERSION)
    broker, _ = newer_cut(golden, kind, row.VERSION + version - 1)
