"""The stream of changes, as server-sent events."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from streams.readmodel.queries import Change
from streams.readmodel.store import Moment
from streams.web.access import Ready, Who
from streams.web.hub import Subscription
from streams.web.models import ChangeEvent
from streams.web.problems import documented

# How often to look whether the token has ended, s. FastAPI itself keeps the connection alive meanwhile.
_LOOK_S = 15.0

_ID = re.compile(r"([0-9]{1,19})-([0-9]{1,18})")

router = APIRouter(tags=["changes"])

LastEventId = Annotated[
    str | None, Header(max_length=100, description="`id` of the last event received: what came since is told first.")
]


async def _subscribed(parts: Ready, viewer: Who, last_event_id: LastEventId = None) -> AsyncIterator[Subscription]:
    """A subscription for as long as the response lasts: whether there is one is known before that begins."""
    subscription = await parts.hub.subscribe(viewer, _read_id(last_event_id))
    try:
        yield subscription
    finally:
        parts.hub.unsubscribe(subscription)


@router.get("/changes", response_class=EventSourceResponse, responses=documented(401, 403, 422, 429, 503))
async def get_changes(
    subscription: Annotated[Subscription, Depends(_subscribed)],
) -> AsyncIterator[ServerSentEvent]:
    """What changes of the viewer's products, until the token ends.

    `ready`: the stream has begun. `change`: data as in ChangeEvent. `reset`: too much has happened to tell; load
    everything anew.
    """
    yield ServerSentEvent(event="ready", data={}, id=_id(subscription.begun_at))
    while not subscription.ended and not _is_over(subscription.viewer.expires_at):
        missed, changes = await subscription.take(_LOOK_S)
        if missed:
            yield ServerSentEvent(event="reset", data={}, id=_id(subscription.moment))
        for event in _events(changes, subscription.moment.generation):
            yield event


def _is_over(expires_at: float | None) -> bool:
    return expires_at is not None and expires_at < time.time()


def _id(moment: Moment) -> str:
    return f"{moment.generation}-{moment.change}"


def _read_id(text: str | None) -> Moment | None:
    """The moment that an id names; None for what is no id of ours."""
    found = _ID.fullmatch(text or "")
    return None if found is None else Moment(int(found[1]), int(found[2]))


def _events(changes: list[Change], generation: int) -> Iterator[ServerSentEvent]:
    """An id only where all of a number have been told: who comes back with it must not miss the others."""
    for index, change in enumerate(changes):
        is_last = index + 1 == len(changes) or changes[index + 1].number != change.number
        data = ChangeEvent(
            product_id=change.product_id,
            seller_id=change.seller_id,
            current_status=change.current_status,
            previous_status=change.previous_status,
            sequence=change.sequence,
            kind="numbers" if change.previous_status is None else "transition",
        )
        yield ServerSentEvent(event="change", data=data, id=_id(Moment(generation, change.number)) if is_last else None)
