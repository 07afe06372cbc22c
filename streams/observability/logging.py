"""Logs as JSON, one object a line, or for people to read; our own and those of Faust, aiokafka and the rest.

Everything goes through one handler of the standard library's root logger, so that one place decides on the format
and hides secrets. `configure_logging` is to be the only one: give Faust's worker `override_logging=False` and
`redirect_stdouts=False`, else it replaces the handler by its own.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from streams.errors import UserError
from streams.settings import HIDDEN

_SECRET_NAME = re.compile(r"passw|secret|token|credential|authorization|api_?key", re.IGNORECASE)

# Shorter ones would blot out ordinary words everywhere; a field named as a secret is hidden whatever its length.
_SHORTEST_SECRET = 4

_ESCAPE_LETTERS = {"\t": "t", "\n": "n", "\r": "r", "\b": "b", "\f": "f"}

# The same words of one of these are logged once in so many seconds; so many of them are remembered.
_LIBRARIES = ("aiokafka", "faust", "mode", "kafka")
_REPEAT_S = 10.0
_SAID_MAX = 1_000

_DEEPEST = 5  # containers within containers that are shown as such; a field that holds itself comes to an end


def configure_logging(
    level: str, log_format: str, *, secrets: Iterable[str | None] = (), stream: TextIO | None = None
) -> None:
    """Sends all logs of the process to `stream` (standard error by default).

    `level` is the least severe to show (`info`), `log_format` is `json` or `console`. No text of `secrets` is ever
    written, wherever it appears. May be called again; the last call counts.
    """
    stream = sys.stderr if stream is None else stream
    shared = _shared_processors()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        # Loggers made at import must follow a later call, as tests and the command line make it.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Tracebacks as plain text, without local variables: those would hold connection arguments and events.
                structlog.processors.format_exc_info,
                _SecretHider(secrets),
                *_renderers(log_format, colors=stream.isatty()),
            ],
        )
    )
    handler.addFilter(_Tidy(level))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose calls take fields: `log.warning("stalled", lag=3)`."""
    return structlog.stdlib.get_logger(name)


def record_context(topic: str, partition: int, offset: int | None = None) -> AbstractContextManager[None]:
    """Within it every log of this task, of libraries too, has the fields topic, partition and offset (if given)."""
    fields: dict[str, Any] = {"topic": topic, "partition": partition}
    if offset is not None:
        fields["offset"] = offset
    return cast(AbstractContextManager[None], structlog.contextvars.bound_contextvars(**fields))


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _renderers(log_format: str, *, colors: bool) -> list[Processor]:
    if log_format == "console":
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    return [structlog.processors.EventRenamer("message"), _render_json]


def _render_json(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    # ASCII: what can't be encoded as UTF-8 comes with refused input, and must not break the log that tells of it.
    return json.dumps(fields, ensure_ascii=True)


class _Tidy(logging.Filter):
    """Leaves out what says nothing: mode's starting and stopping of services, tracebacks of a user's own mistake, and
    what a library has just said.

    Mode logs under the name of the module that subclasses a service, so a logger's level can't tell it from ours.
    """

    def __init__(self, level: str) -> None:
        super().__init__()
        self._chatter = level == "debug"
        self._said: dict[tuple[str, int, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the record."""
        if record.exc_info and isinstance(record.exc_info[1], UserError):
            record.exc_info = None
        service = isinstance(record.msg, str) and record.msg.startswith("[^")
        if not self._chatter and service and record.levelno <= logging.INFO:
            return False
        return self._chatter or not record.name.startswith(_LIBRARIES) or self._is_news(record)

    def _is_news(self, record: logging.LogRecord) -> bool:
        """Libraries repeat themselves several times a second for as long as a broker is away."""
        what, now = (record.name, record.levelno, str(record.msg)), monotonic()
        said = self._said.get(what)
        if said is not None and now - said < _REPEAT_S:
            return False
        if len(self._said) >= _SAID_MAX:
            self._said.clear()
        self._said[what] = now
        return True


class _SecretHider:
    """Hides known secrets wherever they appear, and all that is named as one; what JSON lacks becomes its repr."""

    def __init__(self, secrets: Iterable[str | None]) -> None:
        known = {secret for secret in secrets if secret is not None and len(secret) >= _SHORTEST_SECRET}
        # The longest first, or of two where one begins the other the rest would stay.
        forms = (_escaped_form(secret) for secret in sorted(known, key=len, reverse=True))
        self._pattern = re.compile("|".join(forms)) if known else None

    def __call__(self, _logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
        return {name: self._hidden(name, value, _DEEPEST) for name, value in fields.items()}

    def _hidden(self, name: str, value: Any, depth: int) -> Any:
        """The value without secrets; below `depth` containers of it are written as text."""
        if value is None or (isinstance(value, (bool, int, float)) and math.isfinite(value)):
            return HIDDEN if value is not None and _SECRET_NAME.search(name) else value
        if _SECRET_NAME.search(name):
            return HIDDEN
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping) and depth:
            return {self._text(str(key)): self._hidden(str(key), inner, depth - 1) for key, inner in value.items()}
        if isinstance(value, (list, tuple)) and depth:
            return [self._hidden("", inner, depth - 1) for inner in value]
        return self._text(repr(value))

    def _text(self, text: str) -> str:
        return self._pattern.sub(HIDDEN, text) if self._pattern is not None else text


def _escaped_form(secret: str) -> str:
    """A pattern for `secret` as it is, or as a repr or JSON writes it, however often one is within another."""
    return "".join(rf"\\*{_escaped_character(character)}" for character in secret)


def _escaped_character(character: str) -> str:
    """A pattern for one character, less the backslashes before it."""
    if character == "\\":
        return r"\\"
    if character.isascii() and character.isprintable():
        return re.escape(character)
    units = character.encode("utf-16-be", "surrogatepass").hex()
    json_form = r"\\+u".join(units[at : at + 4] for at in range(0, len(units), 4))
    letter = _ESCAPE_LETTERS.get(character, "(?!)")
    return rf"(?:{re.escape(character)}|{letter}|(?i:u{json_form}|[xu]0*{ord(character):x}))"
