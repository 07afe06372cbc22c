"""Why a record goes to the dead letters (SPEC section 3)."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

Stage: TypeAlias = Literal["decode", "validate"]


class Reason(StrEnum):
    """The closed set of reasons; each value is fit for a metric label.

    `CODEC_ERROR` is a fault of this program, not of the record; it is there so that such a fault costs one
    dead letter, which can be sent again, and not a worker that restarts for ever (SPEC 9.7).
    """

    NULL_VALUE = "null_value"
    TOO_LARGE = "too_large"
    BYTE_ORDER_MARK = "byte_order_mark"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    LONE_SURROGATE = "lone_surrogate"
    NOT_OBJECT = "not_object"
    NO_TYPE = "no_type"
    WRONG_TOPIC = "wrong_topic"
    MISSING_FIELD = "missing_field"
    BAD_FIELD = "bad_field"
    BAD_NUMBER = "bad_number"
    BAD_TIME = "bad_time"
    TOO_LONG = "too_long"
    TOO_FAR_AHEAD = "too_far_ahead"
    SHIP_BY_TOO_FAR = "ship_by_too_far"
    KEY_MISMATCH = "key_mismatch"
    CODEC_ERROR = "codec_error"


_DECODE_REASONS = frozenset(
    {
        Reason.NULL_VALUE,
        Reason.TOO_LARGE,
        Reason.BYTE_ORDER_MARK,
        Reason.NOT_UTF8,
        Reason.NOT_JSON,
        Reason.LONE_SURROGATE,
        Reason.NOT_OBJECT,
        Reason.CODEC_ERROR,
    }
)


class Refused(Exception):
    """A record that is not an input event of SPEC section 3.

    `reason` is one of `Reason`, `message` a sentence that names the field (never the field's value, which may be
    anything), `stage` tells whether the bytes could not be read (`decode`) or say something wrong (`validate`).
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def stage(self) -> Stage:
        """`decode` or `validate`."""
        return "decode" if self.reason in _DECODE_REASONS else "validate"
