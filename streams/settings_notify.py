"""The settings of `flagged-products notify`, which sends transitions to webhooks. `streams.settings` takes them in."""

# ruff: noqa: RUF009 - setting calls dataclasses.field, which is what belongs there
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streams import settings_values as values
from streams.codecs.durations import UNIT_MS
from streams.settings_field import setting


@dataclass(frozen=True, kw_only=True)
class NotifySettings:
    """What the notifier was told to do. Durations are milliseconds."""

    webhooks_file: Path | None = setting(
        None, values.path, "TOML file of the webhooks that `notify` sends transitions to."
    )
    notify_database: str = setting(
        "sqlite:///flagged-products-notify.db",
        values.database_url,
        "Where `notify` keeps what is still to be sent: a SQLite file (from the working directory, or with four "
        "slashes an absolute path), or a PostgreSQL database of its own or shared.",
        secret=True,
    )
    notify_give_up_after_ms: int = setting(
        3 * UNIT_MS["d"],
        values.duration(UNIT_MS["s"], 30 * UNIT_MS["d"]),
        "How long `notify` tries to deliver a transition before it puts it with the failed ones.",
    )
    notify_host: str = setting(
        "127.0.0.1",
        values.text(255),
        "Address where `notify` serves /metrics, /livez and /readyz; `0.0.0.0` in a container.",
    )
    notify_port: int = setting(6067, values.whole(0, 65_535), "Port of the same; 0 takes a free one.")
