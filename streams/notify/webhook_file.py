"""The file of webhooks: TOML to `Webhook`s, refused whole if anything in it is wrong, and never told a secret of."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from yarl import URL

from streams.clients.webhooks import Secret
from streams.codecs.durations import UNIT_MS, format_duration, parse_duration
from streams.codecs.output_views import TransitionView
from streams.codecs.policy_values import Refusal, Table
from streams.codecs.toml_file import read_source, syntax_message
from streams.codecs.toml_lines import key_lines
from streams.domain.transitions import STATUS_NAMES
from streams.errors import UserError

LARGEST_FILE_BYTES = 1_000_000
#: Each has a queue, connections and metrics of its own; one with thousands of receivers wants a topic, not webhooks.
WEBHOOKS_MAX = 100
# A receiver that needs a minute has gone; and at least as long as a packet needs to be sent again.
_TIMEOUT_MS_MIN, _TIMEOUT_MS_MAX, _TIMEOUT_MS = 100, 60 * UNIT_MS["s"], 10 * UNIT_MS["s"]
# So many bodies are in memory at once, at the most some 50 KB each.
_IN_FLIGHT_MAX, _IN_FLIGHT = 64, 8
_LONGEST_URL = 2048
_LARGEST_SECRET_FILE_BYTES = 4096

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_KEYS = (
    *("name", "url", "secret", "secret_file", "previous_secret", "previous_secret_file"),
    *("sellers", "statuses", "regions", "timeout", "max_in_flight"),
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where transitions go, and which; a filter that is None lets all pass. Neither URL nor secrets show in the repr.

    `secrets`: the present one, and while it is changed the previous one; each signs.
    """

    name: str
    url: str = field(repr=False)
    secrets: tuple[Secret, ...] = field(repr=False)
    sellers: frozenset[str] | None = None
    statuses: frozenset[str] | None = None
    regions: frozenset[str] | None = None
    timeout_ms: int = _TIMEOUT_MS
    max_in_flight: int = _IN_FLIGHT

    def wants(self, transition: TransitionView) -> bool:
        """Whether the filters let it pass."""
        return (
            (self.sellers is None or transition.seller_id in self.sellers)
            and (self.statuses is None or transition.current_status in self.statuses)
            and (self.regions is None or transition.region in self.regions)
        )

    @property
    def place(self) -> str:
        """Scheme, host and port, for logs: a URL's user, path and query may hold secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port is not None else "")


def load_webhooks(path: Path | None) -> tuple[Webhook, ...]:
    """The webhooks of a file. Raises UserError for none, or anything wrong: `FILE:LINE: FIELD: what is wrong`."""
    if path is None:
        raise UserError("webhooks_file: there is none; set FLAGGED_WEBHOOKS_FILE to a TOML file of [[webhook]] tables")
    source = read_source(path, "webhooks file", "webhooks_file", LARGEST_FILE_BYTES)
    try:
        document = tomllib.loads(source)
    except (ValueError, RecursionError) as error:  # a ValueError of its own, or of an integer without end
        raise UserError(syntax_message(str(path), source, str(error))) from None
    try:
        return tuple(_read_all(Table(document, (), key_lines(source)), path.parent))
    except Refusal as refusal:
        raise UserError(f"{path}:{refusal.line}: {refusal}") from None


def _read_all(root: Table, directory: Path) -> list[Webhook]:
    root.refuse_unknown(("webhook",))
    tables = root.tables("webhook")
    if len(tables) > WEBHOOKS_MAX:
        root.refuse("webhook", f"{len(tables)} of them; there may be {WEBHOOKS_MAX}")
    webhooks: list[Webhook] = []
    for table in tables:
        webhook = _read_one(table, directory)
        if any(webhook.name == other.name for other in webhooks):
            table.refuse("name", f'"{webhook.name}" is the name of another webhook')
        webhooks.append(webhook)
    return webhooks


def _read_one(table: Table, directory: Path) -> Webhook:
    table.refuse_unknown(_KEYS)
    table.require("name")
    table.require("url")
    secrets = [_secret(table, name, directory) for name in ("secret", "previous_secret")]
    if secrets[0] is None:
        table.refuse("secret", "is missing; give it, or secret_file")
    return Webhook(
        name=table.read("name", _name, ""),
        url=_hidden(table, "url", _url),
        secrets=tuple(secret for secret in secrets if secret is not None),
        sellers=table.read("sellers", _names(), None),
        statuses=table.read("statuses", _names(STATUS_NAMES), None),
        regions=table.read("regions", _names(), None),
        timeout_ms=table.read("timeout", _timeout, _TIMEOUT_MS),
        max_in_flight=table.read("max_in_flight", _in_flight, _IN_FLIGHT),
    )


def _secret(table: Table, name: str, directory: Path) -> Secret | None:
    """The secret of the key `name`, or of the file that `name`_file names; None without either."""
    file_key = f"{name}_file"
    if name in table and file_key in table:
        table.refuse(file_key, f"{name} is given too; give one of the two")
    if name in table:
        secret: Secret = _hidden(table, name, _parse_secret)
        return secret
    if file_key not in table:
        return None
    path = directory / table.read(file_key, _path, "")
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_SECRET_FILE_BYTES).decode()
    except OSError as error:
        table.refuse(file_key, f"can't read {path} ({error.strerror})")
    except UnicodeDecodeError:
        table.refuse(file_key, f"{path} is not UTF-8 text")
    try:
        return Secret.parse(content.strip())
    except ValueError as error:
        table.refuse(file_key, f"{path} holds no secret: {error}")


def _hidden(table: Table, key: str, reader: Callable[[Any], Any]) -> Any:
    """A value that no message may show."""
    try:
        return reader(table.read(key, lambda value: value, None))
    except ValueError as error:
        table.refuse(key, f"is not valid: {error}")


def _parse_secret(value: object) -> Secret:
    return Secret.parse(value if isinstance(value, str) else "")


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("give 1 to 64 of the characters a-z A-Z 0-9 . _ -")
    return value


def _path(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("give a path")
    return value


def _url(value: object) -> str:
    valid = f"give an http or https URL of at most {_LONGEST_URL} printable ASCII characters, without a fragment"
    if not isinstance(value, str) or not re.fullmatch(rf"[!-~]{{1,{_LONGEST_URL}}}", value):
        raise ValueError(valid)
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.fragment
        URL(value)  # as it will be sent to
    except ValueError:  # a port, an address or a name that is none
        good = False
    if not good:
        raise ValueError(valid)
    return value


def _names(known: tuple[str, ...] | None = None) -> Callable[[object], frozenset[str]]:
    """A list of strings, of those in `known` if given."""

    def read(value: object) -> frozenset[str]:
        if (
            not isinstance(value, list)
            or not value
            or not all(isinstance(one, str) and (known is None or one in known) for one in value)
        ):
            raise ValueError("give a list of " + ("one string or more" if known is None else ", ".join(known)))
        return frozenset(value)

    return read


def _timeout(value: object) -> int:
    valid = f'give a duration such as "10s", from {_TIMEOUT_MS_MIN}ms to {format_duration(_TIMEOUT_MS_MAX)}'
    try:
        timeout_ms = parse_duration(value) if isinstance(value, str) else -1
    except ValueError:
        timeout_ms = -1
    if not _TIMEOUT_MS_MIN <= timeout_ms <= _TIMEOUT_MS_MAX:
        raise ValueError(valid)
    return timeout_ms


def _in_flight(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _IN_FLIGHT_MAX:
        raise ValueError(f"give a whole number from 1 to {_IN_FLIGHT_MAX}")
    return value
