"""Refused input as it is sent to the dead-letter topic (SPEC sections 2, 3 and 9.7).

The original key, value and headers are kept as they came, so that a dead letter can be sent again as it is once its
cause is mended. Only a header's name that is not UTF-8 (the broker takes any bytes, but a name is written as text) has
a backslash escape in place of each byte that isn't: `\\xff`. Six headers are appended, all of them UTF-8 text:

- `fp-error-topic`, `fp-error-partition`, `fp-error-offset`: where the record was read;
- `fp-error-stage`: `decode` (the bytes could not be read) or `validate` (what they say is refused);
- `fp-error-class`: the reason, one of `streams.codecs.refusals.Reason`;
- `fp-error-message`: a sentence that names the field.

A record whose value no batch takes (it came compressed) has a null value in its dead letter, and two headers more:
`fp-error-value-bytes`, its size, and `fp-error-value-sha256`, its digest; it is still where it was read.

A record that was refused, sent again and refused again carries the six twice: as Kafka has it, the last of a name
counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from streams.codecs.refusals import Refused

Header: TypeAlias = tuple[str, bytes | None]

TOPIC_HEADER = "fp-error-topic"
PARTITION_HEADER = "fp-error-partition"
OFFSET_HEADER = "fp-error-offset"
STAGE_HEADER = "fp-error-stage"
CLASS_HEADER = "fp-error-class"
MESSAGE_HEADER = "fp-error-message"
VALUE_BYTES_HEADER = "fp-error-value-bytes"
VALUE_SHA256_HEADER = "fp-error-value-sha256"
ERROR_HEADERS = (TOPIC_HEADER, PARTITION_HEADER, OFFSET_HEADER, STAGE_HEADER, CLASS_HEADER, MESSAGE_HEADER)


def dead_letter(
    topic_name: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[Header] | None,
    refused: Refused,
) -> tuple[bytes | None, bytes | None, list[Header]]:
    """Return key, value and headers of the dead letter for the record at `offset` of `topic_name`'s `partition`."""
    ours = (topic_name, str(partition), str(offset), refused.stage, refused.reason.value, refused.message)
    kept = [(_readable(name), content) for name, content in headers or ()]
    return key, value, [*kept, *((name, text.encode()) for name, text in zip(ERROR_HEADERS, ours, strict=True))]


def _readable(name: str) -> str:
    """A header's name as read with `surrogateescape`, fit to be written as UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def error_fields(headers: Sequence[Header]) -> dict[str, str]:
    """Return what a dead letter's own headers say, by header name: the object of `schemas/dead-letter.schema.json`.

    Of headers of one name the last counts; those that are missing, null or not UTF-8 are left out.
    """
    found: dict[str, str] = {}
    for name, content in headers:
        if name in ERROR_HEADERS and content is not None:
            try:
                found[name] = content.decode()
            except UnicodeDecodeError:
                found.pop(name, None)
    return found
