"""The queue in its database: what is queued when, in which order it comes out, and that it is safe to repeat."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.errors import UserError
from streams.notify import queue
from streams.notify.database import Database
from streams.notify.queue import Delivery, Event

TOPIC = "t"


def event(event_id: str, seller: str = "S1", webhooks: tuple[str, ...] = ("a",), body: bytes | None = None) -> Event:
    body = event_id.encode() if body is None else body
    digest = hashlib.blake2b(event_id.encode() + body, digest_size=16).digest()
    return Event(digest, event_id, seller, {"ce-id": event_id}, body, webhooks)


def take(database: Database, *events: Event, offset: int = 1, now_ms: int = 0) -> int:
    return database.now(queue.take_in, TOPIC, {0: offset}, events, now_ms)


def due(
    database: Database, webhook: str = "a", now_ms: int = 0, busy: tuple[str, ...] = (), limit: int = 10
) -> list[Delivery]:
    return database.now(queue.due, webhook, now_ms, busy, limit)[0]


def ids(found: list[Delivery]) -> list[str]:
    return [delivery.event_id for delivery in found]


def test_each_webhook_gets_the_first_of_each_seller(database: Database) -> None:
    assert take(database, event("P1:1", "S1", ("a", "b")), event("P2:1", "S1"), event("P3:1", "S2")) == 3
    assert sorted(ids(due(database))) == ["P1:1", "P3:1"]
    assert ids(due(database, "b")) == ["P1:1"]
    assert ids(due(database, busy=("S1",))) == ["P3:1"]
    assert len(due(database, limit=1)) == 1
    [first] = due(database, "b")
    assert (first.headers, first.body, first.queued_ms, first.attempts) == ({"ce-id": "P1:1"}, b"P1:1", 0, 0)


def test_the_next_comes_when_the_first_has_gone(database: Database) -> None:
    take(database, event("P1:1"), event("P2:1"))
    [first] = due(database)
    for _ in range(2):  # a transaction may be repeated
        database.now(queue.delivered, first, 5)
    assert ids(due(database, now_ms=5)) == ["P2:1"]
    database.now(queue.delivered, due(database, now_ms=5)[0], 6)
    assert due(database, now_ms=10**12) == []
    assert database.now(queue.lengths) == []


def test_a_failure_holds_up_its_seller_and_nobody_else(database: Database) -> None:
    take(database, event("P1:1", "S1"), event("P1:2", "S1"), event("P2:1", "S2"))
    first = next(delivery for delivery in due(database) if delivery.seller == "S1")
    for _ in range(2):
        database.now(queue.postpone, first, 1_000)
    assert ids(due(database, now_ms=999)) == ["P2:1"]
    assert database.now(queue.due, "a", 999, ("S2",), 10) == ([], 1_000)
    [again] = due(database, now_ms=1_000, busy=("S2",))
    assert (again.event_id, again.attempts) == ("P1:1", 1)
    database.now(queue.revive, "a", 500)
    assert sorted(ids(due(database, now_ms=500))) == ["P1:1", "P2:1"]


def test_copies_are_queued_once_and_other_bytes_are_no_copy(database: Database) -> None:
    assert take(database, event("P1:1"), event("P1:1"), offset=2) == 1
    [first] = due(database)
    database.now(queue.delivered, first, 0)
    assert take(database, event("P1:1"), event("P1:2"), offset=4) == 1
    assert take(database, event("P1:1", body=b"another application's"), offset=5) == 1
    assert database.now(queue.read_offsets, TOPIC) == {0: 5}
    assert database.now(queue.lengths) == [queue.Length("a", 2, 0)]


def test_nothing_is_queued_without_its_offset(database: Database) -> None:
    def broken(connection: object) -> None:
        queue.take_in(connection, TOPIC, {0: 7}, [event("P1:1")], 0)  # type: ignore[arg-type]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.now(broken)
    assert (due(database), database.now(queue.read_offsets, TOPIC)) == ([], {})
    assert take(database, event("P1:1")) == 1


def test_what_is_given_up_is_kept_and_can_be_sent_again(database: Database) -> None:
    take(database, event("P1:1"), event("P1:2"), event("P2:1", webhooks=("b",)))
    [first] = due(database)
    for _ in range(2):  # a transaction may be repeated
        database.now(queue.give_up, first, "HTTP 400", 50)
    assert ids(due(database, now_ms=50)) == ["P1:2"]
    [row] = database.now(queue.list_failed, None, 0, 10)
    assert (row.webhook, row.event_id, row.failed_ms, row.error) == ("a", "P1:1", 50, "HTTP 400")
    assert database.now(queue.list_failed, "b", 0, 10) == []
    assert database.now(queue.failed_counts) == {"a": 1}
    assert database.now(queue.retry_failed, "b", 60) == 0
    assert database.now(queue.retry_failed, "a", 60) == 1
    assert database.now(queue.retry_failed, None, 60) == 0
    database.now(queue.delivered, due(database, now_ms=60)[0], 60)
    [again] = due(database, now_ms=60)
    assert (again.event_id, again.body, again.headers) == ("P1:1", b"P1:1", {"ce-id": "P1:1"})


def test_the_old_are_given_up_together(database: Database) -> None:
    take(database, *(event(f"P{number}:1", f"S{number % 3}") for number in range(1_500)), now_ms=10)
    take(database, event("new:1", "S0"), now_ms=99)
    assert database.now(queue.give_up_older, "a", 50, ["S1"], "gone", 100) == 1_000
    assert database.now(queue.give_up_older, "a", 50, ["S1"], "gone", 100) == 0
    assert database.now(queue.lengths) == [queue.Length("a", 501, 10)]
    assert ids(due(database, now_ms=100, busy=("S1",))) == ["new:1"]


def test_what_was_seen_long_ago_is_forgotten(database: Database) -> None:
    take(database, event("P1:1"), now_ms=10)
    take(database, event("P1:2"), now_ms=20)
    assert database.now(queue.prune_seen, 15) == 1
    assert database.now(queue.prune_seen, 15) == 0
    assert take(database, event("P1:1"), event("P1:2"), now_ms=30) == 1


def test_a_database_has_one_notifier(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.notify.database._LOCK_WAIT_S", 0.1)
    second = Database(database_url)
    with pytest.raises(UserError, match="another notifier uses"):
        second.open()
    second.close()
    looking = Database(database_url, lock=False)
    looking.open()
    assert looking.now(queue.lengths) == []
    looking.close()


def test_the_next_notifier_finds_what_the_last_one_left(database_url: str) -> None:
    for turn in range(2):
        database = Database(database_url)
        database.open()
        if turn == 0:
            take(database, event("P1:1"), offset=9)
        else:
            assert (ids(due(database)), database.now(queue.read_offsets, TOPIC)) == (["P1:1"], {0: 9})
        database.close()


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.db", "postgresql://u:hush-hush@127.0.0.1:1/x"])
def test_a_database_that_cannot_be_used_is_told_without_its_password(url: str) -> None:
    database = Database(url)
    with pytest.raises(UserError, match="is FLAGGED_NOTIFY_DATABASE right") as refusal:
        database.open()
    assert "hush-hush" not in str(refusal.value)
    database.close()


def test_to_look_at_a_file_does_not_make_it(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db", lock=False)
    with pytest.raises(UserError, match="there is no file"):
        database.open()
    database.close()
    assert not list(tmp_path.iterdir())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.sampled_from(["delivered", "postpone", "give_up"]), st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.just("copy"), st.integers(0, 30), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_is_kept_and_nothing_is_lost_or_doubled_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    """Against a model: a list per webhook and seller, of which only the head can go."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('model')}/notify.db")
    database.open()
    try:
        model: dict[tuple[str, str], list[str]] = defaultdict(list)
        taken: list[Event] = []
        gone: list[tuple[str, str]] = []
        for now_ms, (step, which, many) in enumerate(steps):
            webhook, seller = "ab"[many % 2], f"S{which}"
            if step == "take":
                new = [event(f"P:{len(taken) + number}", seller, ("a", "b")) for number in range(many)]
                taken += new
                assert take(database, *new, now_ms=now_ms) == many
                for name in "ab":
                    model[name, seller] += [one.event_id for one in new]
            elif step == "copy":
                if taken:
                    assert take(database, taken[which % len(taken)]) == 0
            else:
                found = [one for one in due(database, webhook, now_ms=10**9) if one.seller == seller]
                assert ids(found) == model[webhook, seller][:1]
                for head in found:
                    if step == "postpone":
                        database.now(queue.postpone, head, 10**8)
                        continue
                    model[webhook, seller].pop(0)
                    gone.append((webhook, head.event_id))
                    if step == "delivered":
                        database.now(queue.delivered, head, now_ms)
                    else:
                        database.now(queue.give_up, head, "x", now_ms)
        assert len(gone) == len(set(gone))
        left = {length.webhook: length.waiting for length in database.now(queue.lengths)}
        for name in "ab":
            assert left.get(name, 0) == sum(len(found) for (webhook, _), found in model.items() if webhook == name)
    finally:
        database.close()
