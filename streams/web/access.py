"""What every request of the API goes through first: who asks, how often, and whether there is an answer yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from streams.domain.events import TEXT_LENGTH_MAX
from streams.domain.policy import PolicySet
from streams.readmodel.store import Store
from streams.settings import Settings
from streams.web.auth import DEMO_VIEWER, Authenticator, Viewer
from streams.web.hub import ChangeHub
from streams.web.problems import ProblemError

# An address that sends bad tokens is guessing, or misconfigured; good ones behind the same address still get in.
_BAD_TOKENS_PER_MINUTE = 60
_NOT_READY_RETRY_S = 2


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes work with."""

    settings: Settings
    policies: PolicySet
    store: Store
    is_ready: Callable[[], bool]
    """Whether the store holds all that was in the topics at our start."""
    hub: ChangeHub
    authenticator: Authenticator | None
    """None in a demo: whoever asks sees all."""
    limiter: Limiter


class Limiter:
    """How many requests a holder may make; and how many bad tokens an address may send."""

    def __init__(self, requests_per_minute: int) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(requests_per_minute)
        self._bad_tokens = RateLimitItemPerMinute(_BAD_TOKENS_PER_MINUTE)

    def count(self, holder: str) -> None:
        """One more request. Raises ProblemError if it is one too many."""
        if not self._limiter.hit(self._requests, holder):
            raise _too_many(f"More than {self._requests.amount} requests a minute.")

    def count_bad_token(self, address: str) -> None:
        """One more request that was not let in. Raises ProblemError if it is one too many."""
        if not self._limiter.hit(self._bad_tokens, "address", address):
            raise _too_many("Too many requests without a good token.")


def _too_many(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.TOO_MANY_REQUESTS, f"{detail} Try again in a minute.", retry_after_s=60)


def parts_of(request: Request) -> Parts:
    """The parts that the app was made of."""
    parts: Parts = request.app.state.parts
    return parts


_bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    description="A JWT whose claim `seller_id` names the seller, or whose `scope` has `operator`. It must have `exp`.",
)


def viewer_of(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Viewer:
    """Who asks. Raises ProblemError for a bad token, or too many requests."""
    parts = parts_of(request)
    address = request.client.host if request.client is not None else "?"
    if parts.authenticator is None:
        parts.limiter.count(address)
        return DEMO_VIEWER
    try:
        viewer = parts.authenticator.viewer(credentials.credentials if credentials is not None else None)
    except ProblemError as error:
        parts.limiter.count_bad_token(address)
        if parts.settings.sign_in_url is not None and error.status == HTTPStatus.UNAUTHORIZED:
            error.members["sign_in_url"] = parts.settings.sign_in_url
        raise
    parts.limiter.count(viewer.holder)
    return viewer


Who = Annotated[Viewer, Depends(viewer_of)]


def ready_parts(request: Request, _viewer: Who) -> Parts:
    """The parts, once the read model holds all that was in the topics; until then a seller would miss products.

    Who asks is looked at first: to a bad token nothing is told, and it is counted.
    """
    parts = parts_of(request)
    if not parts.is_ready():
        detail = "The products are being read from the topics. Try again in a moment."
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after_s=_NOT_READY_RETRY_S, kind="not-ready")
    return parts


Ready = Annotated[Parts, Depends(ready_parts)]
ProductId = Annotated[str, Query(min_length=1, max_length=TEXT_LENGTH_MAX, description="As in the events.")]
SellerId = Annotated[
    str | None,
    Query(min_length=1, max_length=TEXT_LENGTH_MAX, description="Of this seller only; for operators."),
]
CursorText = Annotated[str | None, Query(max_length=4_096, description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Most items of the page.")]
