"""The list of flagged products: pages of it, counts, and all of it as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from streams.codecs.output_views import SnapshotView, decode_snapshot
from streams.readmodel.queries import SORTS, Filter, count_products, list_products, product_pages
from streams.readmodel.store import Store
from streams.web.access import CursorText, Limit, Ready, SellerId, Who
from streams.web.cursors import make_cursor, read_cursor
from streams.web.models import Counts, FlaggedStatus, Metric, ProductPage, SortName
from streams.web.problems import ProblemError, documented
from streams.web.views import product_summary

EXPORT_MAX = 100_000
"""Products in one CSV file; spreadsheets end at a million rows."""

_CSV_COLUMNS = (
    *("product_id", "seller_id", "region", "category", "status", "since", "metric", "level", "numerator"),
    *("denominator", "rate", "at_risk_threshold", "impacted_threshold", "other_reasons", "relapse_count", "updated_at"),
    "review_url",
)
# A spreadsheet takes what begins like this for a formula; ids come from strangers.
_FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")

router = APIRouter(tags=["products"])


def _filter(
    viewer: Who,
    status: Annotated[list[FlaggedStatus] | None, Query(max_length=3, description="May be repeated.")] = None,
    reason: Annotated[Metric | None, Query(description="Those that this metric is a reason of.")] = None,
    region: Annotated[str | None, Query(max_length=256)] = None,
    q: Annotated[str | None, Query(max_length=100, description="Part of the product's or the seller's id.")] = None,
    seller_id: SellerId = None,
) -> Filter:
    return Filter(viewer.bound_to(seller_id), frozenset(status or ()), reason, region, q)


Chosen = Annotated[Filter, Depends(_filter)]


@router.get("/products", responses=documented(400, 401, 403, 422, 429, 503))
def get_products(
    parts: Ready, chosen: Chosen, sort: SortName = "severity", limit: Limit = 50, cursor: CursorText = None
) -> ProductPage:
    """Flagged products, page by page."""
    order = SORTS[sort]
    request = (chosen.seller_id, sorted(chosen.statuses), chosen.reason, chosen.region, chosen.text, sort)
    after = None
    if cursor is not None:
        value, product_id = read_cursor(request, cursor, order.kind, str)
        after = (value, product_id)
    with parts.store.reading() as connection:
        found = list_products(connection, chosen, order, limit + 1, after)
    following = None
    if len(found) > limit:
        found.pop()
        following = make_cursor(request, [found[-1].value, found[-1].product_id])
    snapshots = (decode_snapshot(item.body) for item in found)
    items = [product_summary(snapshot) for snapshot in snapshots if snapshot is not None]
    return ProductPage.model_construct(items=items, next_cursor=following)


@router.get("/counts", responses=documented(401, 403, 422, 429, 503))
def get_counts(parts: Ready, chosen: Chosen) -> Counts:
    """How many flagged products there are of each status; `status` itself makes no difference."""
    with parts.store.reading() as connection:
        return Counts(**count_products(connection, replace(chosen, statuses=frozenset())))


@router.get(
    "/export.csv",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "One product a line."},
        **documented(400, 401, 403, 422, 429, 503),
    },
)
def get_export(parts: Ready, chosen: Chosen) -> StreamingResponse:
    """A seller's flagged products as CSV, by product_id. An operator has to say of which seller."""
    if chosen.seller_id is None:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "Give the seller_id: the export is of one seller.")
    headers = {"Content-Disposition": 'attachment; filename="flagged-products.csv"'}
    text = _csv(parts.store, chosen)
    # The first part is made before the answer begins: a database that is away is a problem, not a short file.
    first = next(text)
    return StreamingResponse(chain((first,), text), media_type="text/csv; charset=utf-8", headers=headers)


def _csv(store: Store, chosen: Filter) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_CSV_COLUMNS)
    for page in product_pages(store.reading, chosen, EXPORT_MAX):
        for body in page:
            snapshot = decode_snapshot(body)
            if snapshot is not None:
                writer.writerow(map(_cell, _csv_row(snapshot)))
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _csv_row(snapshot: SnapshotView) -> list[Any]:
    head = [snapshot.product_id, snapshot.seller_id, snapshot.region, snapshot.category]
    state = [snapshot.current_status, snapshot.effective_at]
    tail = [snapshot.relapse_count, snapshot.updated_at]
    if not snapshot.reasons:
        return [*head, *state, *[None] * 7, None, *tail, None]
    first, *others = snapshot.reasons
    numbers = [first.numerator, first.denominator, first.rate, first.at_risk_threshold, first.impacted_threshold]
    more = " ".join(f"{reason.metric}:{reason.level}" for reason in others)
    return [*head, *state, first.metric, first.level, *numbers, more, *tail, first.review_url]


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA_BEGINNINGS):
        return "'" + value
    return value
