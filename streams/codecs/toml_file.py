"""Files that people write in TOML, as text; whatever is wrong is told with the file and the line."""

from __future__ import annotations

import re
from pathlib import Path

from streams.errors import UserError

_TOML_ERROR_PLACE = re.compile(r"(.*) \(at (?:line ([0-9]+), column [0-9]+|end of document)\)", re.DOTALL)


def read_source(path: str | Path, what: str, setting: str, largest_bytes: int) -> str:
    """The text of a file; `what` it is (`policy file`) and the `setting` that names it stand in messages.

    Raises UserError if it can't be read, is larger than `largest_bytes`, or isn't UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(largest_bytes + 1)
    except OSError as error:
        raise UserError(f"{path}: can't read the {what} ({error.strerror}); check {setting}") from None
    if len(content) > largest_bytes:
        raise UserError(f"{path}: the {what} has more than {largest_bytes} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: the {what} is not UTF-8") from None


def syntax_message(name: str, source: str, message: str) -> str:
    """tomllib's message with the line in front, where all our messages have it."""
    match = _TOML_ERROR_PLACE.fullmatch(message)
    if match is None:
        return f"{name}: not valid TOML: {message}"
    line = match[2] or source.rstrip("\r\n").count("\n") + 1
    return f"{name}:{line}: not valid TOML: {match[1]}"
