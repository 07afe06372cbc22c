"""One product: its numbers against their targets, what to do, and how it came to be where it is."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection

from streams.codecs.output_views import SnapshotView, TransitionView, decode_snapshot, decode_transition
from streams.readmodel.queries import get_product, list_transitions
from streams.web.access import CursorText, Limit, Parts, ProductId, Ready, Who
from streams.web.auth import Viewer
from streams.web.cursors import make_cursor, read_cursor
from streams.web.models import ProductDetails, TransitionPage
from streams.web.problems import ProblemError, documented
from streams.web.views import daily_impressions, metric_details, status_periods, transition_summary

_FIRST_PAGE = 50
# The graph's four weeks: with a dwell of days nothing moves more often than this.
_OF_THE_GRAPH = 200

router = APIRouter(tags=["products"])

# The id goes into the query: it may hold any character, and of a path many would not arrive (`/`, `..`).


@router.get("/product", responses=documented(401, 403, 404, 422, 429, 503))
def get_details(parts: Ready, viewer: Who, product_id: ProductId) -> ProductDetails:
    """All that is known of a product that is flagged, or was."""
    with parts.store.reading() as connection:
        body = get_product(connection, product_id)
        snapshot = None if body is None else decode_snapshot(body)
        if snapshot is not None and not viewer.may_see(snapshot.seller_id):
            raise _not_found(product_id)
        history = _history(connection, viewer, product_id, _OF_THE_GRAPH)
    if snapshot is None:
        if not history:
            raise _not_found(product_id)
        return _without_snapshot(history)
    return _flagged(parts, snapshot, history)


@router.get("/transitions", responses=documented(400, 401, 403, 422, 429, 503))
def get_transitions(
    parts: Ready, viewer: Who, product_id: ProductId, limit: Limit = _FIRST_PAGE, cursor: CursorText = None
) -> TransitionPage:
    """A product's transitions, the latest first; none of a product that never had one."""
    before = None if cursor is None else read_cursor(("transitions", product_id), cursor, int)[0]
    with parts.store.reading() as connection:
        body = get_product(connection, product_id)
        snapshot = None if body is None else decode_snapshot(body)
        if snapshot is not None and not viewer.may_see(snapshot.seller_id):
            return TransitionPage(items=[], next_cursor=None)
        history = _history(connection, viewer, product_id, limit + 1, before)
    items = [transition_summary(transition) for transition in history[:limit]]
    return TransitionPage(items=items, next_cursor=_following(product_id, history, limit))


def _not_found(product_id: str) -> ProblemError:
    """For another seller's product as well: that it exists is not to be told."""
    return ProblemError(HTTPStatus.NOT_FOUND, "There is no such product among those that are flagged or were.")


def _history(
    connection: Connection, viewer: Viewer, product_id: str, limit: int, before: int | None = None
) -> list[TransitionView]:
    """Those that the viewer may see: a product's seller can change, and orders of another are not to be shown."""
    seller_id = viewer.bound_to(None)
    bodies = list_transitions(connection, product_id, limit, before=before, seller_id=seller_id)
    return [transition for body in bodies if (transition := decode_transition(body)) is not None]


def _following(product_id: str, history: list[TransitionView], limit: int) -> str | None:
    if len(history) <= limit:
        return None
    return make_cursor(("transitions", product_id), [history[limit - 1].sequence])


def _flagged(parts: Parts, snapshot: SnapshotView, history: list[TransitionView]) -> ProductDetails:
    impressions = daily_impressions(snapshot)
    since = impressions[0].date if impressions else None
    return ProductDetails(
        **_common(snapshot, history),
        updated_at=snapshot.updated_at,
        metrics=list(metric_details(snapshot, parts.policies, parts.settings.bucket_ms)),
        impressions=impressions,
        status_periods=status_periods(history, since, (snapshot.current_status, snapshot.effective_at)),
    )


def _without_snapshot(history: list[TransitionView]) -> ProductDetails:
    """What its transitions tell of a product that has no snapshot: it is clear, or for a moment not read yet."""
    latest = history[0]
    return ProductDetails(
        **_common(latest, history),
        updated_at=latest.effective_at,
        metrics=[],
        impressions=[],
        status_periods=status_periods(history, None),
    )


def _common(latest: SnapshotView | TransitionView, history: list[TransitionView]) -> dict[str, Any]:
    """What a snapshot and a transition both tell, and the first page of the history."""
    return {
        "product_id": latest.product_id,
        "seller_id": latest.seller_id,
        "region": latest.region,
        "category": latest.category,
        "current_status": latest.current_status,
        "sequence": latest.sequence,
        "effective_at": latest.effective_at,
        "policy_version": latest.policy_version,
        "relapse_count": latest.relapse_count,
        "transitions": [transition_summary(transition) for transition in history[:_FIRST_PAGE]],
        "transitions_cursor": _following(latest.product_id, history, _FIRST_PAGE),
    }
