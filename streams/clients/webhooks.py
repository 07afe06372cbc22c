"""A transition as a signed HTTP request, and the check of such a request by whoever receives it.

CloudEvents 1.0 in the HTTP binding's binary mode, signed as Standard Webhooks has it (https://www.standardwebhooks.com).
Needs the standard library only, so that a receiver may copy this file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

SECRET_PREFIX = "whsec_"
#: What Standard Webhooks allows: fewer bytes can be guessed, and more add nothing.
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64
#: How far a request's timestamp may be from the receiver's clock, s: an older one is somebody's recording.
TOLERANCE_S = 300
#: More than any rotation needs; each costs the receiver a comparison.
_SIGNATURES_MAX = 16

_CE_RECORD_PREFIX = "ce_"  # as Kafka's binding names the attributes
_CE_HTTP_PREFIX = "ce-"
_ATTRIBUTE_NAME = re.compile(r"[a-z0-9]{1,64}", re.ASCII)
_MUST_BE_ENCODED = re.compile(r'[^!#$&-~]|["%]')
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class BadSignature(ValueError):
    """A webhook request that is not to be trusted; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What sender and receiver share. Never shows in the repr."""

    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Secret:
        """From `whsec_` and the base64 of 24 to 64 bytes. Raises ValueError, whose message does not tell the text."""
        valid = f"give {SECRET_PREFIX} and the base64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} random bytes"
        if not text.startswith(SECRET_PREFIX):
            raise ValueError(valid)
        try:
            key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(valid) from None
        if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
            raise ValueError(valid)
        return cls(key)

    def text(self) -> str:
        """As `parse` reads it: a secret, not for logs."""
        return SECRET_PREFIX + base64.b64encode(self.key).decode()


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """The headers and body of a POST."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good signature vouches for besides the body: the event's id, and when it was sent (s since the epoch)."""

    event_id: str
    timestamp_s: int


def encode_header(text: str) -> str:
    """An attribute as an HTTP header's value: percent-encoded as the CloudEvents HTTP binding says (section 3.1.3.2).

    Raises ValueError for a lone surrogate, which no UTF-8 can carry.
    """
    return _MUST_BE_ENCODED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)


def decode_header(value: str) -> str:
    """The attribute in an HTTP header's value, also one in double quotes. Raises ValueError if it isn't UTF-8."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return unquote_to_bytes(value).decode()


def ce_headers(record_headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """The HTTP headers of a transition's record: its `ce_` headers, encoded, and the content type of its value.

    Headers that aren't CloudEvents attributes, or no UTF-8, are left out.
    """
    found = {}
    for name, value in record_headers:
        attribute = name.removeprefix(_CE_RECORD_PREFIX)
        if value is None or attribute == name or not _ATTRIBUTE_NAME.fullmatch(attribute):
            continue
        try:
            found[_CE_HTTP_PREFIX + attribute] = encode_header(value.decode())
        except UnicodeDecodeError:
            continue
    found["content-type"] = "application/json"
    return found


def ce_attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """For a receiver: the CloudEvents attributes by name (`id`, `type`, `subject`). Raises ValueError for no UTF-8."""
    lowered = {name.lower(): value for name, value in headers.items()}
    return {
        name.removeprefix(_CE_HTTP_PREFIX): decode_header(value)
        for name, value in lowered.items()
        if name.startswith(_CE_HTTP_PREFIX)
    }


def sign(secret: Secret, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """The signature `v1,...`; `webhook_id` is the header as it is sent, that is encoded."""
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret.key, signed, hashlib.sha256)).decode()


def signed_request(
    event_id: str, headers: Mapping[str, str], body: bytes, secrets: Sequence[Secret], now_s: int
) -> WebhookRequest:
    """The request of a transition: its `ce_headers`, its record's value unchanged, and a signature of each secret.

    `now_s`: seconds since the epoch; a repeat is to be signed anew. Raises ValueError without a secret.
    """
    if not secrets:
        raise ValueError("a webhook needs a secret to sign with")
    webhook_id = encode_header(event_id)
    signatures = " ".join(sign(secret, webhook_id, now_s, body) for secret in secrets)
    own = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": signatures,
        "idempotency-key": webhook_id,
    }
    return WebhookRequest({**headers, **own}, body)


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secret: str | Secret | Sequence[str | Secret],
    now_s: float,
    tolerance_s: float = TOLERANCE_S,
) -> Verified:
    """For a receiver: check that whoever sent this request knows the secret, and sent it just now.

    `body` as it came, before any parsing; `secret` the text `whsec_...`, or several while they are changed; `now_s` is
    `time.time()`. Raises BadSignature. A secret that is none raises ValueError: that is the receiver's own mistake.
    """
    secrets = _secrets(secret)
    lowered = {name.lower(): value for name, value in headers.items()}
    webhook_id, stamp, given = (lowered.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not webhook_id or not stamp or not given:
        raise BadSignature("a header is missing: webhook-id, webhook-timestamp and webhook-signature are needed")
    if not _TIMESTAMP.fullmatch(stamp):
        raise BadSignature("webhook-timestamp is no number of seconds")
    if abs(now_s - int(stamp)) > tolerance_s:
        raise BadSignature("webhook-timestamp is too far from the present time")
    if not webhook_id.isascii() or not given.isascii():
        raise BadSignature("a header is not ASCII")
    if not _any_fits(given, [sign(one, webhook_id, int(stamp), body) for one in secrets]):
        raise BadSignature("no signature fits")
    try:
        return Verified(decode_header(webhook_id), int(stamp))
    except ValueError:
        raise BadSignature("webhook-id is no UTF-8") from None


def _secrets(secret: str | Secret | Sequence[str | Secret]) -> list[Secret]:
    several = [secret] if isinstance(secret, str | Secret) else secret
    if not several:
        raise ValueError("no secret to verify with")
    return [one if isinstance(one, Secret) else Secret.parse(one) for one in several]


def _any_fits(given: str, expected: Sequence[str]) -> bool:
    """Whether a signature is one of those expected; those of other versions than `v1` never are."""
    fits = False
    for one in given.split(" ")[:_SIGNATURES_MAX]:
        for candidate in expected:
            # Every pair is compared, and each as a whole, so that the time tells nothing of what would fit.
            fits |= hmac.compare_digest(one.encode(), candidate.encode())
    return fits
