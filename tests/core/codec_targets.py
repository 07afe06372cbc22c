"""What is fuzzed: functions of bytes that fail if a codec does what it may not, and good inputs to begin with.

The first byte of each input says what to do with the rest. Used with Hypothesis (tests/property/test_codec_fuzz.py)
and with a fuzzer that is led by coverage (tests/fuzz).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streams.domain.events import TOPIC_OF_TYPE
from tests.core import codec_checks

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "schemas" / "examples"
GOLDEN = json.loads((ROOT / "tests" / "unit" / "codecs" / "golden" / "rows-v1.json").read_text())

KEY = b"P123"  # of the examples
NOW = 1_772_477_970_000
HEADERS: tuple[list[tuple[str, bytes | None]], ...] = (
    [],
    [("content-type", b"application/cloudevents+json")],
    [("ce_type", b"order.shipped"), ("ce_id", b"e1")],
    [("ce_type", b"\xff"), ("ce_id", None), ("Content-Type", b" Application/CloudEvents+JSON;x")],
)
CLOCK_MS = max(entry["clock"] for entry in GOLDEN["products"])  # none of them is ahead of it
PAGED = next(entry["rows"] for entry in GOLDEN["products"] if len(entry["rows"]) > 1)
HEADER = next(bytes.fromhex(value) for key, value in PAGED.items() if not key.startswith("ff"))
PAGES = {int(key[2:10], 16): bytes.fromhex(value) for key, value in PAGED.items() if key.startswith("ff")}


@dataclass(frozen=True)
class Target:
    """`run` gives what the input was read as, None or a `Refused` if it was refused; `seeds` are inputs for it."""

    run: Callable[[bytes], object]
    seeds: Callable[[], Iterator[bytes]]


def _run_inputs(data: bytes) -> object:
    """First byte: bits 0-1 the topic, 2-3 the headers, 4 a null key, 5 whether it is a line of a file instead."""
    how, value = data[0], data[1:]
    if how & 0x20:
        return codec_checks.check_line(value)
    return codec_checks.check_record(how & 3, None if how & 0x10 else KEY, value, NOW, HEADERS[how >> 2 & 3])


def _seed_inputs() -> Iterator[bytes]:
    for path in sorted(EXAMPLES.glob("*/*.json")):
        name = path.name.partition("--")[0]
        if name not in TOPIC_OF_TYPE:
            continue  # an output
        topic, body = TOPIC_OF_TYPE[name], json.loads(path.read_text())
        compact = json.dumps(body, separators=(",", ":")).encode()
        yield bytes((topic,)) + compact
        yield bytes((topic | 1 << 2,)) + b'{"id":"e1","type":"order.shipped","data":' + compact + b"}"
        yield bytes((topic | 2 << 2,)) + compact.replace(b'"type"', b'"note"')
        yield b"\x20" + compact[:-1] + b',"_ts":1,"_key":"P123","_topic":"marketplace.orders.v1"}'
        yield b"\x20" + json.dumps({"_raw": base64.b64encode(compact).decode()}).encode()
    yield b"\x00" + b"[" * 1500 + b"]" * 1500


def _run_rows(data: bytes) -> object:
    """First byte: 0 a product's only row, 1 a header that has pages, 2-5 one of its pages, 6 a key."""
    how, row = data[0] % 7, data[1:]
    if how == 0:
        return codec_checks.check_product(row, {}, CLOCK_MS)
    if how == 1:
        return codec_checks.check_product(row, PAGES, CLOCK_MS)
    if how == 6:
        return codec_checks.check_key(row)
    return codec_checks.check_product(HEADER, {**PAGES, how - 2: row}, CLOCK_MS)


def _seed_rows() -> Iterator[bytes]:
    for entry in GOLDEN["products"]:
        for key, value in entry["rows"].items():
            how = int(key[2:10], 16) + 2 if key.startswith("ff") else int(len(entry["rows"]) > 1)
            yield bytes((how,)) + bytes.fromhex(value)
            yield b"\x06" + bytes.fromhex(key)


def _run_meta(data: bytes) -> object:
    """First byte: 0 a meta row, 1 an outbox row, 2 two outbox rows, 3 an epoch."""
    how, row = data[0] & 3, data[1:]
    half = len(row) // 2
    if how == 0:
        return codec_checks.check_meta(row)
    if how == 3:
        return codec_checks.check_epoch(row) or None
    return codec_checks.check_outbox([row] if how == 1 else [row[:half], row[half:]])


def _seed_meta() -> Iterator[bytes]:
    yield b"\x00" + bytes.fromhex(GOLDEN["meta"]["row"])
    for value in GOLDEN["outbox"]["rows"]:
        yield b"\x01" + bytes.fromhex(value)
        yield b"\x02" + 2 * bytes.fromhex(value)
    yield b"\x0312"


TARGETS = {
    "inputs": Target(_run_inputs, _seed_inputs),
    "rows": Target(_run_rows, _seed_rows),
    "meta": Target(_run_meta, _seed_meta),
}
