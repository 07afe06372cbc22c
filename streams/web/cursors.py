"""Where a page ends, as a word that the next request gives back. It means nothing to anybody else."""

from __future__ import annotations

import base64
import binascii
import hashlib
from http import HTTPStatus
from typing import Any

import orjson

from streams.web.problems import ProblemError

_LONGEST = 4_096
_GREATEST = 2**63 - 1


def make_cursor(request: tuple[Any, ...], place: list[Any]) -> str:
    """A cursor to this place in the answer to `request`."""
    return base64.urlsafe_b64encode(orjson.dumps([_mark(request), *place])).decode().rstrip("=")


def read_cursor(request: tuple[Any, ...], cursor: str, *kinds: type) -> list[Any]:
    """The place, whose parts are of these kinds. Raises ProblemError for a cursor that is none of this request's."""
    try:
        if len(cursor) > _LONGEST:
            raise ValueError
        mark, *place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if mark != _mark(request) or len(place) != len(kinds) or not all(map(_is_of, place, kinds)):
            raise ValueError
    except (ValueError, TypeError, binascii.Error):
        detail = "The cursor is not of an answer to this request. Ask for the first page again, without one."
        raise ProblemError(HTTPStatus.BAD_REQUEST, detail) from None
    return list(place)


def _is_of(value: object, kind: type) -> bool:
    # What no column can hold was not made here, nor a truth value for a number, which SQLAlchemy refuses.
    return type(value) is kind and not (isinstance(value, int) and abs(value) > _GREATEST)


def _mark(request: tuple[Any, ...]) -> str:
    """Tells requests apart: a page must not go on in the middle of another list."""
    return hashlib.blake2b(repr(request).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
