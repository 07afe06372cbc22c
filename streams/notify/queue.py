"""What is done to the notifier's tables. Each function is part of one transaction, and may be repeated: see `Database`.

Order is kept per webhook and seller: only the first delivery of each is ever given out, and the next one only when that
is gone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, exists, func, insert, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from streams.notify.schema import deliveries, failed, offsets, queues, seen

# Below what SQLite and PostgreSQL take of bound values in a statement.
_CHUNK = 1_000


class Event(NamedTuple):
    """A transition that some webhooks want: `digest` tells its copies, `headers` are the HTTP ones, body its bytes.

    `event_id` and `seller` are encoded as in a header: PostgreSQL's text takes no NUL, which an id may contain.
    """

    digest: bytes
    event_id: str
    seller: str
    headers: Mapping[str, str]
    body: bytes
    webhooks: Sequence[str]


class Delivery(NamedTuple):
    """The first of a webhook's deliveries for a seller; `attempts` were made in vain."""

    id: int
    webhook: str
    seller: str
    event_id: str
    headers: dict[str, str]
    body: bytes
    queued_ms: int
    attempts: int


class Length(NamedTuple):
    """How many deliveries of a webhook wait, and since when (ms since the epoch) the oldest does."""

    webhook: str
    waiting: int
    oldest_ms: int


def read_offsets(connection: Connection, topic: str) -> dict[int, int]:
    """The next offset by partition; {} if the topic was never read."""
    found = connection.execute(select(offsets.c.partition, offsets.c.next_offset).where(offsets.c.topic == topic))
    return {row.partition: row.next_offset for row in found}


def store_offsets(connection: Connection, topic: str, next_offsets: Mapping[int, int]) -> None:
    """Where to go on."""
    rows = [{"topic": topic, "partition": number, "next_offset": offset} for number, offset in next_offsets.items()]
    for row in rows:
        written = _insert(connection, offsets).values(row)
        connection.execute(
            written.on_conflict_do_update(
                index_elements=[offsets.c.topic, offsets.c.partition], set_={"next_offset": row["next_offset"]}
            )
        )


def forget_offsets(connection: Connection, topic: str) -> None:
    """The topic is another one than that which was read."""
    connection.execute(delete(offsets).where(offsets.c.topic == topic))


def take_in(
    connection: Connection, topic: str, next_offsets: Mapping[int, int], events: Sequence[Event], now_ms: int
) -> int:
    """Queue the events that are no copies, and store where to go on; how many were new."""
    by_digest = {event.digest: event for event in reversed(events)}  # of copies the first counts
    digests = list(by_digest)
    for at in range(0, len(digests), _CHUNK):
        known = select(seen.c.digest).where(seen.c.digest.in_(digests[at : at + _CHUNK]))
        for digest in connection.scalars(known).all():
            del by_digest[bytes(digest)]
    fresh = [event for event in events if by_digest.pop(event.digest, None) is not None]
    if fresh:
        connection.execute(insert(seen), [{"digest": event.digest, "seen_ms": now_ms} for event in fresh])
        connection.execute(
            insert(deliveries), [_row(event, name, now_ms) for event in fresh for name in event.webhooks]
        )
        _awaken(connection, {(name, event.seller) for event in fresh for name in event.webhooks}, now_ms)
    store_offsets(connection, topic, next_offsets)
    return len(fresh)


def due(
    connection: Connection, webhook: str, now_ms: int, busy: Collection[str], limit: int
) -> tuple[list[Delivery], int | None]:
    """Up to `limit` deliveries to try now, of sellers that are not `busy`; when (ms) the next one is due, or None."""
    waiting = queues.c.webhook == webhook, queues.c.seller.not_in(busy)
    its = deliveries.alias("its")
    first = (
        select(func.min(its.c.id))
        .where(its.c.webhook == queues.c.webhook, its.c.seller == queues.c.seller)
        .scalar_subquery()
    )
    found = connection.execute(
        select(deliveries, queues.c.attempts)
        .select_from(queues.join(deliveries, deliveries.c.id == first))
        .where(*waiting, queues.c.due_ms <= now_ms)
        .order_by(queues.c.due_ms)
        .limit(limit)
    )
    ready = [
        Delivery(
            id=row.id,
            webhook=row.webhook,
            seller=row.seller,
            event_id=row.event_id,
            headers=json.loads(row.headers),
            body=bytes(row.body),
            queued_ms=row.queued_ms,
            attempts=row.attempts,
        )
        for row in found
    ]
    next_ms = connection.scalar(select(func.min(queues.c.due_ms)).where(*waiting, queues.c.due_ms > now_ms))
    return ready, next_ms


def delivered(connection: Connection, delivery: Delivery, now_ms: int) -> None:
    """It has arrived; the seller's next one is due."""
    connection.execute(delete(deliveries).where(deliveries.c.id == delivery.id))
    _go_on(connection, delivery.webhook, delivery.seller, now_ms)


def postpone(connection: Connection, delivery: Delivery, due_ms: int) -> None:
    """One more attempt was in vain; the next is at `due_ms`."""
    connection.execute(
        update(queues)
        .where(queues.c.webhook == delivery.webhook, queues.c.seller == delivery.seller)
        .values(attempts=delivery.attempts + 1, due_ms=due_ms)
    )


def give_up(connection: Connection, delivery: Delivery, error: str, now_ms: int) -> None:
    """Put it with the failed ones; the seller's next one is due."""
    _move_to_failed(connection, [delivery.id], error, now_ms)
    _go_on(connection, delivery.webhook, delivery.seller, now_ms)


def give_up_older(
    connection: Connection, webhook: str, before_ms: int, busy: Collection[str], error: str, now_ms: int
) -> int:
    """Put some of a webhook's deliveries that were queued before `before_ms` with the failed ones; how many.

    Those of `busy` sellers are left; 0 means that there are no more.
    """
    old = (
        select(deliveries.c.id, deliveries.c.seller)
        .where(deliveries.c.webhook == webhook, deliveries.c.queued_ms < before_ms, deliveries.c.seller.not_in(busy))
        .order_by(deliveries.c.queued_ms)
        .limit(_CHUNK)
    )
    found = connection.execute(old).all()
    if found:
        _move_to_failed(connection, [row.id for row in found], error, now_ms)
        for seller in {row.seller for row in found}:
            _go_on(connection, webhook, seller, now_ms)
    return len(found)


def revive(connection: Connection, webhook: str, now_ms: int) -> None:
    """The endpoint is well again: whatever waits for another attempt is due."""
    connection.execute(
        update(queues).where(queues.c.webhook == webhook, queues.c.due_ms > now_ms).values(due_ms=now_ms)
    )


def lengths(connection: Connection) -> list[Length]:
    """All queues that aren't empty, also those of webhooks that are no longer in the file."""
    found = connection.execute(
        select(deliveries.c.webhook, func.count(), func.min(deliveries.c.queued_ms)).group_by(deliveries.c.webhook)
    )
    return [Length(*row) for row in found]


def failed_counts(connection: Connection) -> dict[str, int]:
    """How many deliveries were given up, by webhook."""
    found = connection.execute(select(failed.c.webhook, func.count().label("number")).group_by(failed.c.webhook))
    return {row.webhook: row.number for row in found}


def prune_seen(connection: Connection, before_ms: int) -> int:
    """Forget some of the transitions seen before; how many."""
    old = select(seen.c.digest).where(seen.c.seen_ms < before_ms).limit(_CHUNK)
    return connection.execute(delete(seen).where(seen.c.digest.in_(old))).rowcount


def list_failed(connection: Connection, webhook: str | None, after_id: int, limit: int) -> Sequence[Any]:
    """Rows (id, webhook, event_id, queued_ms, failed_ms, error) of what was given up, beginning after an id."""
    columns = failed.c
    chosen = select(
        columns.id, columns.webhook, columns.event_id, columns.queued_ms, columns.failed_ms, columns.error
    ).where(columns.id > after_id)
    if webhook is not None:
        chosen = chosen.where(columns.webhook == webhook)
    return connection.execute(chosen.order_by(columns.id).limit(limit)).all()


def retry_failed(connection: Connection, webhook: str | None, now_ms: int) -> int:
    """Queue some of what was given up again, behind what waits, in its old order; how many."""
    if connection.dialect.name == "postgresql":
        # The notifier may be about to remove a queue that it found empty: one of us must come first.
        connection.execute(text(f"lock table {queues.name} in exclusive mode"))
    chosen = select(failed).order_by(failed.c.id).limit(_CHUNK)
    if webhook is not None:
        chosen = chosen.where(failed.c.webhook == webhook)
    rows = connection.execute(chosen).all()
    if not rows:
        return 0
    kept = ("webhook", "seller", "event_id", "headers", "body")
    again = [{**{name: getattr(row, name) for name in kept}, "queued_ms": now_ms} for row in rows]
    connection.execute(insert(deliveries), again)
    connection.execute(delete(failed).where(failed.c.id.in_([row.id for row in rows])))
    _awaken(connection, {(row.webhook, row.seller) for row in rows}, now_ms)
    return len(rows)


def _row(event: Event, webhook: str, now_ms: int) -> dict[str, Any]:
    return {
        "webhook": webhook,
        "seller": event.seller,
        "event_id": event.event_id,
        "headers": json.dumps(dict(event.headers)),
        "body": event.body,
        "queued_ms": now_ms,
    }


def _awaken(connection: Connection, names: Collection[tuple[str, str]], now_ms: int) -> None:
    """See that these webhooks and sellers have a queue; one that is there keeps its time."""
    rows = [
        {"webhook": webhook, "seller": seller, "due_ms": now_ms, "attempts": 0} for webhook, seller in sorted(names)
    ]
    connection.execute(_insert(connection, queues).on_conflict_do_nothing(), rows)


def _go_on(connection: Connection, webhook: str, seller: str, now_ms: int) -> None:
    """The first delivery of a queue is gone: the next is due, or the queue is."""
    queue = queues.c.webhook == webhook, queues.c.seller == seller
    rest = exists().where(deliveries.c.webhook == webhook, deliveries.c.seller == seller)
    if connection.scalar(select(rest)):
        connection.execute(update(queues).where(*queue).values(due_ms=now_ms, attempts=0))
    else:
        connection.execute(delete(queues).where(*queue))


def _move_to_failed(connection: Connection, ids: Sequence[int], error: str, now_ms: int) -> None:
    kept = ("webhook", "seller", "event_id", "headers", "body", "queued_ms")
    rows = select(*(deliveries.c[name] for name in kept), literal(now_ms), literal(error))
    chosen = deliveries.c.id.in_(ids)
    moved = rows.where(chosen).order_by(deliveries.c.id)
    connection.execute(insert(failed).from_select([*kept, "failed_ms", "error"], moved))
    connection.execute(delete(deliveries).where(chosen))


def _insert(connection: Connection, table: Any) -> Any:
    """An insert that knows ON CONFLICT, which both databases have and SQL has not."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
