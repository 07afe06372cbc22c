"""How the log of a changelog partition is read: rules (1) to (3) of `streams.engine.changelog`, by hand-made logs."""

from __future__ import annotations

import pytest

from streams.codecs.meta import (
    CLAIM_KEY,
    META_KEY,
    Meta,
    Outbox,
    OutboxEntry,
    encode_meta,
    encode_outbox,
    epoch_headers,
    outbox_key,
)
from streams.codecs.row import RowWriter, page_key
from streams.domain.dormant import wake_all
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.rulebook import Rulebook
from streams.engine.changelog import LogState
from streams.engine.restore import restore_partition
from streams.errors import LogCut, UserError
from tests.core.logs import policy_set
from tests.core.pipeline import LogRow, log_batch, read_log
from tests.core.scene import BUCKET_MS, DAY_MS, T0, Scene


def put(key: str, value: str | None, epoch: int = 1) -> LogRow:
    return key.encode(), None if value is None else value.encode(), epoch_headers(epoch)


def meta(number: int, epoch: int = 1) -> LogRow:
    return META_KEY, encode_meta(Meta(clock=T0, flush_number=number)), epoch_headers(epoch)


def claim(epoch: int) -> LogRow:
    return CLAIM_KEY, b"", epoch_headers(epoch)


def read(*log: LogRow, sizes: int = 1000) -> LogState:
    return read_log(log, batch_rows=sizes)


def rows(state: LogState) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in state.rows.items()}


def stale(state: LogState) -> set[str]:
    return {key.decode() for key in state.stale_keys()}


def test_an_empty_log_is_a_fresh_start() -> None:
    state = read()
    assert (state.rows, state.stale_keys(), state.epoch, state.next_offset) == ({}, set(), 0, 0)
    assert state.decode_meta() == Meta()


def test_the_last_row_of_a_key_counts_and_a_tombstone_takes_it_away() -> None:
    state = read(put("a", "1"), put("b", "1"), meta(1), put("a", "2"), put("b", None), put("c", None), meta(2))
    assert rows(state) == {"a": "2"}
    assert (state.decode_meta().flush_number, state.next_offset, stale(state)) == (2, 7, set())


def test_a_cut_counts_once_its_meta_row_is_there_in_however_many_batches() -> None:
    log = (put("a", "1"), put("b", "1"), meta(1), put("a", "2"), put("b", "2"), put("c", "2"), meta(2))
    for stop in (3, 4, 5, 6):
        for sizes in (1, 2, 1000):
            state = read(*log[:stop], sizes=sizes)
            assert rows(state) == {"a": "1", "b": "1"}
            assert state.decode_meta().flush_number == 1
    assert rows(read(*log, sizes=1)) == {"a": "2", "b": "2", "c": "2"}


def test_rule_3_what_is_pending_at_the_end_is_void_and_its_keys_are_stale() -> None:
    state = read(put("a", "1"), meta(1), put("a", "void"), put("b", "void"), put("c", None))
    assert rows(state) == {"a": "1"}
    assert stale(state) == {"a", "b", "c"}


def test_the_next_owner_writes_what_was_void_again_and_all_is_well() -> None:
    log = [put("a", "1"), meta(1), put("a", "void"), put("b", "void")]
    log += [claim(2), put("a", "1", 2), put("b", None, 2), put("d", "2", 2), meta(2, 2)]
    for found in (read(*log), read_log(log, compacted=len(log)), read(*log, sizes=1)):
        assert rows(found) == {"a": "1", "d": "2"}
        assert stale(found) == set()


def test_rule_1_a_row_of_a_lower_epoch_is_ignored_and_its_key_is_stale() -> None:
    state = read(
        *(put("a", "1"), meta(1), claim(2)),
        *(put("a", "late"), put("b", "late"), meta(7)),
        *(put("c", "2", 2), meta(2, 2)),
        put("d", "later"),
    )
    assert rows(state) == {"a": "1", "c": "2"}
    assert (state.decode_meta().flush_number, state.epoch) == (2, 2)
    assert stale(state) == {"a", "b", "d"}


def test_the_first_row_of_a_higher_epoch_is_enough_with_a_claim_or_without() -> None:
    state = read(put("a", "1"), meta(1), put("b", "2", 3), put("a", "late", 2), meta(9, 2), meta(2, 3))
    assert rows(state) == {"a": "1", "b": "2"}
    assert (state.epoch, stale(state)) == (3, {"a"})


def test_a_zombies_meta_row_does_not_complete_anothers_cut() -> None:
    state = read(put("a", "1"), meta(1), claim(2), put("a", "2", 2), meta(9, 1))
    assert rows(state) == {"a": "1"}
    assert state.decode_meta().flush_number == 1
    assert stale(state) == {"a"}


def test_a_claim_is_no_row_and_completes_nothing() -> None:
    state = read(put("a", "1"), claim(2), meta(1, 2), claim(3))
    assert rows(state) == {"a": "1"}
    assert (state.epoch, stale(state)) == (3, set())


def test_rows_without_a_key_or_an_epoch() -> None:
    nothing = (None, b"x", ())
    state = LogState()
    batch = log_batch([put("a", "1"), meta(1), put("b", "x", 0)], range(3))
    batch.headers[2] = ()
    batch.offsets.append(3)
    batch.keys.append(nothing[0])
    batch.values.append(nothing[1])
    batch.headers.append(nothing[2])
    state.read(batch)
    assert (rows(state), stale(state)) == ({"a": "1"}, {"b"})


@pytest.mark.parametrize("end", [0, 3, 8, 12])
def test_compaction_of_earlier_rows_keeps_the_result(end: int) -> None:
    """Whatever prefix compaction has taken, once the owner has written what was stale before its meta row."""
    log = [put("a", "1"), put("b", "1"), meta(1), put("c", "void")]
    log += [claim(2), put("c", None, 2), put("a", "2", 2), meta(2, 2)]
    log += [put("a", "late"), put("a", "2", 2), put("b", "3", 2), meta(3, 2)]
    # Up to a meta row: what comes after it is too young for compaction (`min.compaction.lag.ms`).
    state = read_log(log, compacted=end)
    assert rows(state) == {"a": "2", "b": "3"}
    assert (state.epoch, state.decode_meta().flush_number) == (2, 3)


# -- partitions


def test_a_partition_is_its_rows_and_its_clock() -> None:
    scene = Scene()
    scene.placed("O", T0, product_id="Pé")
    scene.placed("O", T0, product_id="P2")
    writer = RowWriter()
    state = LogState(meta=encode_meta(Meta(clock=T0 + 5, positions=[1, 2, 3, 4])))
    for product in scene.partition.products.values():
        written = writer.encode(product.id, product, scene.partition.book)
        state.rows.update({key: value for key, value in written if value is not None})
    restored = restore_partition(state, Rulebook(policy_set(None)))
    partition = restored.partition
    assert (partition.clock, restored.meta.positions, restored.pages) == (T0 + 5, [1, 2, 3, 4], {})
    assert set(wake_all(partition)) == {"Pé", "P2"}
    assert partition.statuses == [2, 0, 0, 0]


def test_products_are_brought_up_to_the_clock_of_the_cut() -> None:
    """A row is as old as the product's last change; the partition's clock has gone on since."""
    scene = Scene()
    scene.placed("O", T0, ship_by=T0 + DAY_MS, product_id="P1")
    scene.impressions(T0, 1, product_id="P2")
    rows = [
        (key, value)
        for product in scene.partition.products.values()
        for key, value in RowWriter().encode(product.id, product, scene.partition.book)
        if value is not None
    ]
    clock = T0 + 30 * DAY_MS
    restored = restore_partition(
        LogState(rows=dict(rows), meta=encode_meta(Meta(clock=clock))), Rulebook(policy_set(None))
    )
    (product,) = wake_all(restored.partition).values()
    assert (product.id, product.as_of, product.last_bucket) == ("P1", clock, clock // BUCKET_MS)
    assert product.plan.rules[3].counts(product.totals) == (1, 1)
    # Of the other nothing is left: its row is to go.
    assert restored.partition.take_cut().changed == {"P2": None}
    assert restored.partition.statuses == [1, 0, 0, 0]


def test_an_empty_log_is_an_empty_partition() -> None:
    restored = restore_partition(LogState(), Rulebook(policy_set(None)))
    assert (restored.partition.clock, restored.partition.products) == (None, {})
    assert (restored.meta, restored.outbox, restored.pages) == (Meta(), Outbox(), {})


def test_a_part_of_the_outbox_that_is_missing_is_told() -> None:
    outbox = Outbox([OutboxEntry("P1", 1, T0, b"{}")], ["P1"])
    rows = dict(encode_outbox(outbox))
    state = LogState(meta=encode_meta(Meta(clock=T0, outbox_rows=2)), rows=dict(rows))
    assert restore_partition(state, Rulebook(policy_set(None))).outbox == outbox
    del state.rows[outbox_key(1)]
    with pytest.raises(UserError, match="of the 2 outbox rows of the last cut, number 1 is missing"):
        restore_partition(state, Rulebook(policy_set(None)))
    # However many there are said to be: not one key is made for each of them.
    state.meta = encode_meta(Meta(clock=T0, outbox_rows=2**32 - 1))
    with pytest.raises(UserError, match="number 1 is missing"):
        restore_partition(state, Rulebook(policy_set(None)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"P1", b"\x02\x91\x01"),
        (b"P1", b"\x03\x91\x01"),
        (b"P1", b"\x01\x92\x01\x02"),
        (b"P1", b""),
        (b"\xfbP1", b"\x01\x91\x01"),
        (b"\x80", b"\x01\x91\x01"),
        (META_KEY, b"\x07"),
        (META_KEY, b""),
    ],
)
def test_a_log_that_cannot_be_read_is_told_in_one_sentence(key: bytes, value: bytes) -> None:
    state = LogState(meta=encode_meta(Meta(clock=T0)))
    if key == META_KEY:
        state.meta = value
    else:
        state.rows[key] = value
    with pytest.raises(UserError, match=r"the changelog cannot be read: .*app_id"):
        restore_partition(state, Rulebook(policy_set(None)))


def test_pages_belong_to_the_product_of_their_key() -> None:
    assert page_key(b"P1", 1)[5:] == b"P1"
    scene = Scene()
    scene.placed("O", T0)
    ((_, header),) = RowWriter().encode("P1", scene.partition.products["P1"], scene.partition.book)
    assert header is not None
    state = LogState(meta=encode_meta(Meta(clock=T0)))
    # A page of a product without a header is left over: it is nobody's.
    state.rows = {b"P1": header, page_key(b"P2", 0): b"\x01\x93\x90\x90\x90"}
    partition = restore_partition(state, Rulebook(policy_set(None))).partition
    assert set(wake_all(partition)) == {"P1"}


def test_a_log_that_lost_its_beginning_or_its_rows_is_refused() -> None:
    book = Rulebook(PolicySet((DEFAULT_POLICY,)))
    whole = Meta(clock=5, lands_at=3, products=0)
    state = LogState()
    state.meta, state.meta_offset = encode_meta(whole), 3
    assert restore_partition(state, book).partition.products == {}
    state.meta_offset = 2
    with pytest.raises(LogCut, match="the changelog has lost state"):
        restore_partition(state, book)
    state.meta, state.meta_offset = encode_meta(Meta(clock=5, lands_at=3, products=1)), 3
    with pytest.raises(LogCut, match="for 1 products, and 0 are there"):
        restore_partition(state, book)
