"""The read model's database: what a batch does to it, and who may write."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from streams.errors import UserError
from streams.readmodel import database
from streams.readmodel.database import open_engine
from streams.readmodel.queries import get_product, list_changes, list_transitions
from streams.readmodel.rows import product_row, transition_row
from streams.readmodel.store import Batch, Overtaken, Store, content
from streams.testing.outputs import Output, product_outputs

SNAPSHOTS = TopicPartition("snapshots", 0)
DAY_MS = 86_400_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "store.db")
    yield opened
    opened.engine.dispose()


def open_store(path: Path, source: str = "topics", retention_ms: int = 400 * DAY_MS) -> Store:
    store = Store(open_engine(f"sqlite:///{path}", path.parent, ""), source, retention_ms)
    store.open()
    store.positions()
    return store


def batch_of(outputs: list[Output], offset: int = 1) -> Batch:
    batch = Batch()
    for output in outputs:
        key = output.product_id.encode()
        if output.snapshot is None:
            batch.remove(output.product_id)
        else:
            row = product_row(key, output.snapshot)
            assert row is not None
            batch.put(row)
        row = transition_row(key, output.transition)
        assert row is not None
        batch.add(row)
    batch.positions[SNAPSHOTS] = offset
    return batch


def outputs_of(product_id: str = "P1", moves: int = 4, seed: int = 1) -> list[Output]:
    return list(product_outputs(product_id, "S1", seed, moves))


def test_a_batch_is_all_there_with_its_position(store: Store) -> None:
    outputs = [output for output in outputs_of() if output.status != "clear"][:1]
    assert store.apply(batch_of(outputs, 7)) == 1
    with store.reading() as connection:
        assert get_product(connection, "P1") == outputs[-1].snapshot
        assert list_transitions(connection, "P1", 10) == [outputs[-1].transition]
    assert store.positions() == {SNAPSHOTS: 7}


def test_a_tombstone_removes_the_product_and_leaves_its_history(store: Store) -> None:
    store.apply(batch_of(outputs_of(moves=1)))
    batch = Batch()
    batch.remove("P1")
    store.apply(batch)
    with store.reading() as connection:
        assert get_product(connection, "P1") is None
        assert len(list_transitions(connection, "P1", 10)) == 1


def cleared() -> list[Output]:
    """A product's way up to where it is clear again, and on, until it is flagged once more."""
    for seed in range(1_000):
        outputs = outputs_of(moves=9, seed=seed)
        if "clear" in (statuses := [output.status for output in outputs]) and statuses[-1] != "clear":
            return outputs
    raise AssertionError


def test_a_product_whose_tombstone_is_no_longer_there_goes_by_its_transition(store: Store) -> None:
    """Who stood still for longer than `delete.retention.ms` never reads the tombstone."""
    outputs = cleared()
    at = next(number for number, output in enumerate(outputs) if output.status == "clear")
    store.apply(batch_of(outputs[:at]))
    clear = batch_of(outputs[at : at + 1])
    clear.removed.clear()
    store.apply(clear)
    with store.reading() as connection:
        assert get_product(connection, "P1") is None
    again = batch_of(outputs)  # a copy, of which the snapshot is a later one: it stays
    again.removed.clear()
    store.apply(again)
    with store.reading() as connection:
        assert get_product(connection, "P1") == outputs[-1].snapshot


def test_that_a_product_is_gone_is_told_though_its_transition_came_before(store: Store) -> None:
    """The two topics are read side by side: whoever looked at the list at the transition saw the product still."""
    outputs = cleared()
    at = next(number for number, output in enumerate(outputs) if output.status == "clear")
    transitions_only = batch_of(outputs[: at + 1])
    transitions_only.products.clear()
    store.apply(transitions_only)
    snapshot_only = batch_of(outputs[:at])
    snapshot_only.transitions.clear()
    store.apply(snapshot_only)
    tombstone = Batch()
    tombstone.remove("P1")
    number = store.apply(tombstone)
    with store.reading() as connection:
        assert get_product(connection, "P1") is None
        changes = list_changes(connection, number - 1, number, 10)
    assert [(change.product_id, change.current_status) for change in changes or []] == [("P1", "clear")]
    again = Batch()
    again.remove("P1")
    number = store.apply(again)
    with store.reading() as connection:
        assert list_changes(connection, number - 1, number, 10) == []


def test_within_a_batch_the_last_word_on_a_product_counts() -> None:
    first = outputs_of(moves=1)[0]
    batch = Batch()
    row = product_row(b"P1", first.snapshot or b"")
    assert row is not None
    batch.put(row)
    batch.remove("P1")
    assert (list(batch.products), batch.removed) == ([], {"P1"})
    batch.put(row)
    assert (list(batch.products), batch.removed) == (["P1"], set())


def test_a_copy_of_a_transition_changes_nothing(store: Store) -> None:
    outputs = outputs_of(moves=3)
    store.apply(batch_of(outputs))
    before = content(store.engine)
    store.apply(batch_of(outputs))
    assert content(store.engine) == before


def test_who_was_overtaken_writes_nothing(tmp_path: Path) -> None:
    one, other = open_store(tmp_path / "store.db"), open_store(tmp_path / "store.db")
    one.apply(batch_of(outputs_of("P1")))
    before = content(one.engine)
    with pytest.raises(Overtaken):
        other.apply(batch_of(outputs_of("P2"), 5))
    assert content(one.engine) == before
    other.positions()
    other.apply(batch_of(outputs_of("P2"), 5))
    assert content(one.engine) != before


def test_tables_made_anew_are_not_written_to_by_who_knows_the_old_ones(tmp_path: Path) -> None:
    """Though as many changes may have come since."""
    one, other = open_store(tmp_path / "store.db"), open_store(tmp_path / "store.db")
    one.apply(batch_of(outputs_of("P1")))
    other.positions()
    other.rebuild()
    other.positions()
    other.apply(batch_of(outputs_of("P2")))
    with pytest.raises(Overtaken):
        one.apply(batch_of(outputs_of("P3"), 9))


def test_who_was_overtaken_throws_nothing_away(tmp_path: Path) -> None:
    one, other = open_store(tmp_path / "store.db"), open_store(tmp_path / "store.db")
    one.apply(batch_of(outputs_of("P1")))
    before = content(one.engine)
    with pytest.raises(Overtaken):
        other.rebuild()
    assert content(one.engine) == before


def test_history_beyond_the_retention_goes(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db", retention_ms=10 * DAY_MS)
    outputs = outputs_of(moves=20)
    store.apply(batch_of(outputs))
    kept = [output.transition for output in outputs if output.at_ms >= outputs[-1].at_ms - 10 * DAY_MS]
    with store.reading() as connection:
        assert list_transitions(connection, "P1", 100) == kept[::-1]
    assert 0 < len(kept) < 20


@pytest.mark.parametrize("change", ["source", "version", "gone"])
def test_another_database_is_made_anew(tmp_path: Path, change: str) -> None:
    path = tmp_path / "store.db"
    store = open_store(path)
    store.apply(batch_of(outputs_of()))
    if change == "version":
        with store.engine.begin() as connection:
            connection.execute(text("UPDATE read_model SET schema_version = 0"))
    store.engine.dispose()
    if change == "gone":
        path.unlink()
    again = open_store(path, "other topics" if change == "source" else "topics")
    assert again.positions() == {}
    assert not any(content(again.engine).values())


def test_the_same_database_is_left_as_it_is(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db")
    store.apply(batch_of(outputs_of()))
    assert not open_store(tmp_path / "store.db").open()
    assert store.positions() == {SNAPSHOTS: 1}


@pytest.mark.parametrize(
    "url", ["mysql://host/db", "nonsense", "postgresql+nothing://host/db", "postgresql+psycopg://host:hunter2/db"]
)
def test_a_url_that_cant_be_used_is_told_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match="postgresql") as caught:
        open_engine(url.replace("://", "://user:hunter2hunter2@"), tmp_path, "x.db")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(tmp_path: Path, url: str) -> None:
    """Each thread would have one of its own, without any tables."""
    with pytest.raises(UserError, match=r"sqlite:///file\.db"):
        open_engine(url, tmp_path, "x.db")


def test_an_unescaped_at_sign_in_the_password_is_told_without_it(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        open_engine("postgresql+psycopg://user:p@hunter2:hunter2@host/db", tmp_path, "x.db")
    assert "hunter2" not in str(caught.value)


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_CONNECT_TIMEOUT_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://u:p@127.0.0.1:{silent.getsockname()[1]}/db"
        store = Store(open_engine(url, tmp_path, ""), "topics", DAY_MS)
        with pytest.raises(UserError, match="FLAGGED_SERVE_DATABASE"):
            store.open()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("this is not a database, and long enough to be seen as none " * 100)
    with pytest.raises(UserError, match="FLAGGED_SERVE_DATABASE"):
        open_store(path)


@given(text_of=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
@settings(max_examples=50)
def test_any_id_comes_back_as_it_was(text_of: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = open_store(tmp_path_factory.mktemp("store") / "store.db")
    outputs = outputs_of(text_of, moves=1)
    store.apply(batch_of(outputs))
    with store.reading() as connection:
        assert get_product(connection, text_of) == outputs[0].snapshot
        assert [change.product_id for change in list_changes(connection, 0, 1, 10) or []] == [text_of] * 2
    store.engine.dispose()


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_however_records_are_batched_the_content_is_the_same(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outputs = [output for number in range(4) for output in outputs_of(f"P{number}", moves=5, seed=2)]
    outputs = data.draw(st.permutations(outputs).map(lambda items: sorted(items, key=lambda item: item.sequence)))
    directory = tmp_path_factory.mktemp("stores")
    whole, parts = open_store(directory / "whole.db"), open_store(directory / "parts.db")
    whole.apply(batch_of(outputs, len(outputs)))
    done = 0
    while done < len(outputs):
        size = data.draw(st.integers(1, 8))
        parts.apply(batch_of(outputs[done : done + size], min(done + size, len(outputs))))
        done += size
    assert content(parts.engine) == content(whole.engine)
    for store in (whole, parts):
        store.engine.dispose()


def test_changes_are_told_in_order_and_bounded(store: Store) -> None:
    store.apply(batch_of(outputs_of("P1", moves=1)))
    store.apply(batch_of(outputs_of("P2", moves=1)))
    with store.reading() as connection:
        changes = list_changes(connection, 0, 2, 10)
        assert changes is not None
        assert [(change.number, change.product_id) for change in changes] == [(1, "P1")] * 2 + [(2, "P2")] * 2
        assert {change.previous_status for change in changes} == {"clear", None}
        assert [change.number for change in list_changes(connection, 1, 2, 10) or []] == [2, 2]
        assert list_changes(connection, 0, 2, 3) is None
