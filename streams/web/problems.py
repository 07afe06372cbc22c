"""Errors as RFC 9457 problems, whatever raised them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from streams.observability.logging import get_logger

MEDIA_TYPE = "application/problem+json"

log = get_logger(__name__)


class ProblemError(Exception):
    """A request that can't be answered: its status, what is wrong with it, and how long to wait (s) if that helps.

    `members` are added to the problem, as RFC 9457 allows.
    """

    def __init__(self, status: int, detail: str, *, retry_after_s: int | None = None, kind: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers: dict[str, str] = {}
        self.kind = kind
        self.members: dict[str, Any] = {}
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)
        if status == HTTPStatus.UNAUTHORIZED:
            self.headers["WWW-Authenticate"] = "Bearer"


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses, as an operation's `responses` has them."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def add_handlers(app: FastAPI) -> None:
    """Let the app answer with problems wherever it does not answer as asked."""
    app.add_exception_handler(ProblemError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(SQLAlchemyError, _of_database)
    app.add_exception_handler(Exception, _of_anything)


def _problem(
    request: Request,
    status: int,
    detail: str | None,
    headers: Any = None,
    kind: str | None = None,
    members: dict[str, Any] | None = None,
) -> JSONResponse:
    body: dict[str, Any] = {
        "type": "about:blank" if kind is None else f"/problems/{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        **(members or {}),
    }
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


async def _of_ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    return _problem(request, error.status, error.detail, error.headers, error.kind, error.members)


async def _of_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
    return _problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, wrong)


async def _of_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = None if error.detail == HTTPStatus(error.status_code).phrase else error.detail
    return _problem(request, error.status_code, detail, error.headers)


async def _of_database(request: Request, error: Exception) -> JSONResponse:
    log.warning("the database can't be asked", reason=str(error).strip().splitlines()[0])
    detail = "The database does not answer. Try again in a while."
    return _problem(request, HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "5"})


async def _of_anything(request: Request, error: Exception) -> JSONResponse:
    # Starlette logs the error itself, once it is answered.
    return _problem(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "Something is wrong with the server, not with the request."
    )
