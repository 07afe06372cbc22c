"""Who is asking, and what they may see: bearer tokens (JWT) whose claim `seller_id` bounds what is visible."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jwt

from streams.domain.events import TEXT_LENGTH_MAX
from streams.errors import UserError
from streams.settings import Settings
from streams.web.problems import ProblemError

OPERATOR_SCOPE = "operator"
# What the clocks of two machines may differ by.
_LEEWAY_S = 30
# As RFC 7518 asks of HS256; who guesses a shorter one sees every seller.
_SHORTEST_SECRET_BYTES = 32
_LARGEST_KEY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is asking: a seller, or an operator, who sees all. `expires_at`: when the token ends, s since the epoch.

    `subject`: the token's own name for whom it was given to.
    """

    seller_id: str | None
    operator: bool
    expires_at: float | None = None
    subject: str = ""

    @property
    def holder(self) -> str:
        """Whom limits are counted for."""
        return f"operator {self.subject}" if self.operator else f"seller {self.seller_id}"

    def bound_to(self, seller_id: str | None) -> str | None:
        """Whose products are meant, if those of this seller are asked for (None: all that may be seen).

        None: those of all sellers. Raises ProblemError for another seller's.
        """
        if self.operator:
            return seller_id
        if seller_id not in (None, self.seller_id):
            raise ProblemError(HTTPStatus.FORBIDDEN, "This token is for another seller than the one asked for.")
        return self.seller_id

    def may_see(self, seller_id: str | None) -> bool:
        """Whether a product of this seller is visible; one of no known seller is to operators only."""
        return self.operator or (seller_id is not None and seller_id == self.seller_id)


DEMO_VIEWER = Viewer(None, operator=True)
"""Whoever looks at a demo."""


class Authenticator:
    """Tells from a bearer token who is asking."""

    def __init__(self, settings: Settings) -> None:
        """Raises UserError if there is no key, or none that goes with the algorithm."""
        self._algorithm = settings.jwt_algorithm
        self._audience = settings.jwt_audience
        self._issuer = settings.jwt_issuer
        self._key = _key(settings)

    def viewer(self, token: str | None) -> Viewer:
        """Who is asking. Raises ProblemError without a token, or with one that is not good."""
        if token is None:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "A bearer token is needed.")
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp"], "verify_aud": self._audience is not None},
            )
            # Numbers beyond all bounds, and half characters, are JSON as well.
            expires_at = float(claims["exp"])
            str(claims.get("seller_id")).encode()
        except jwt.ExpiredSignatureError:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "The token has expired.") from None
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "The token is not valid here.") from None
        return _viewer(claims, expires_at)


def _viewer(claims: dict[str, Any], expires_at: float) -> Viewer:
    scope = claims.get("scope")
    scopes = scope.split() if isinstance(scope, str) else scope if isinstance(scope, list) else []
    seller_id = claims.get("seller_id")
    if OPERATOR_SCOPE in scopes:
        subject = str(claims.get("sub", ""))[:TEXT_LENGTH_MAX]
        return Viewer(None, operator=True, expires_at=expires_at, subject=subject)
    if not isinstance(seller_id, str) or not 0 < len(seller_id) <= TEXT_LENGTH_MAX:
        raise ProblemError(
            HTTPStatus.FORBIDDEN, f"The token names no seller_id, and has not the scope {OPERATOR_SCOPE!r}."
        )
    return Viewer(seller_id, operator=False, expires_at=expires_at)


def _key(settings: Settings) -> Any:
    if settings.jwt_key is not None and settings.jwt_key_file is not None:
        raise UserError("jwt_key, jwt_key_file: both are given; give one")
    if settings.jwt_key_file is not None:
        text = _read(settings.jwt_key_file)
    elif settings.jwt_key is not None:
        text = settings.jwt_key
    else:
        raise UserError(
            "jwt_key: nobody could be let in without the key that tokens are signed with; set FLAGGED_JWT_KEY_FILE or "
            "FLAGGED_JWT_KEY, or try it out with --demo"
        )
    if settings.jwt_algorithm.startswith("HS") and len(text.encode()) < _SHORTEST_SECRET_BYTES:
        raise UserError(
            f"jwt_key: a secret of less than {_SHORTEST_SECRET_BYTES} bytes can be guessed; give a longer one"
        )
    algorithm = jwt.get_algorithm_by_name(settings.jwt_algorithm)
    try:
        return algorithm.prepare_key(text)
    except (jwt.InvalidKeyError, ValueError, TypeError):
        raise UserError(
            f"jwt_key: it is no key for {settings.jwt_algorithm}; give the PEM of a public key for RS, ES and EdDSA, a "
            "secret for HS, or set FLAGGED_JWT_ALGORITHM"
        ) from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_KEY_BYTES).decode().strip()
    except OSError as error:
        raise UserError(f"jwt_key_file: can't read {path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"jwt_key_file: {path} is not text") from None
