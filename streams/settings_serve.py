"""Settings of `serve`: the seller's page and the API behind it."""

# ruff: noqa: RUF009 - setting calls dataclasses.field, which is what belongs there
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streams import settings_values as values
from streams.codecs.durations import UNIT_MS
from streams.settings_field import setting

_DAY_MS = UNIT_MS["d"]


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """What `serve` was told to do. Durations are milliseconds. Secrets never show in the repr."""

    serve_host: str = setting(
        "127.0.0.1", values.text(255), "`serve`: address of the seller's page and the API; `0.0.0.0` in a container."
    )
    serve_port: int = setting(8080, values.whole(0, 65_535), "`serve`: port of the same; 0 takes a free one.")
    serve_database: str | None = setting(
        None,
        values.database_url,
        "`serve`: SQLAlchemy URL of its database, such as `postgresql+psycopg://user:password@host/db`; else the file "
        "`serve.db` of SQLite in `data_dir`. It is made anew from the topics whenever it is gone.",
        secret=True,
    )
    history_retention_ms: int = setting(
        400 * _DAY_MS,
        values.duration(_DAY_MS, 36_500 * _DAY_MS),
        "`serve`: how long transitions are kept in its database. The topic itself keeps 30 d by default.",
    )
    jwt_algorithm: str = setting(
        "HS256",
        values.choice("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"),
        "`serve`: how the bearer tokens are signed. Tokens that are signed otherwise are refused.",
    )
    jwt_key: str | None = setting(
        None,
        values.text(16_384),
        "`serve`: the secret that tokens are signed with (HS...). Never shown; better kept in a file.",
        secret=True,
    )
    jwt_key_file: Path | None = setting(
        None,
        values.path,
        "`serve`: a file that holds it, or the PEM of the public key that verifies tokens (RS..., ES..., EdDSA).",
    )
    jwt_audience: str | None = setting(
        None, values.text(), "`serve`: the `aud` that tokens must have; without it none is asked for."
    )
    jwt_issuer: str | None = setting(
        None, values.text(), "`serve`: the `iss` that tokens must have; without it none is asked for."
    )
    sign_in_url: str | None = setting(
        None, values.uri_reference, "`serve`: where the page sends a seller whose token has ended."
    )
    requests_per_minute: int = setting(
        600,
        values.whole(1, 1_000_000),
        "`serve`: most requests a minute of one token's holder, or of one address without.",
    )
    change_streams_max: int = setting(
        2_000, values.whole(1, 100_000), "`serve`: most streams of changes at once; of one holder, a hundredth of it."
    )
    frame_ancestors: str = setting(
        "'none'",
        values.text(),
        "`serve`: who may show the page in a frame, as in CSP's `frame-ancestors`: `https://seller.example`.",
    )
