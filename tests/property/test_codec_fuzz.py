"""No bytes make a codec crash, hang or allocate without bound: each is read, or refused with a reason (SPEC 9.7).

What is asserted of a single input is in `tests.core.codec_checks`; `tests/fuzz` looks for such inputs by coverage.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.codecs.inputs import VALUE_SIZE_MAX, Refused
from streams.codecs.meta import VERSION
from tests.core import codec_checks
from tests.core.codec_targets import CLOCK_MS, KEY, NOW, TARGETS
from tests.core.effort import peak_of, steps_of

SEEDS = {name: list(target.seeds()) for name, target in TARGETS.items()}
HUGE_DIGITS, DEEP = b"9" * 5000, 1200

JSON_PIECES = [
    *(b'{ } [ ] , : " \\ 0 - . e9 null true NaN -Infinity 1e400 "" {} -1 1.0 9007199254740993'.split()),
    *(b'\xff \xed\xa0\x80 \xc3 \x00 \xef\xbb\xbf \\ud800 "\\udc00\\ud800" \\u0000'.split()),
    b"1e-99999999999999999999",
    b'"1970-01-01T00:00:00Z"',
    b',"type":"order.shipped"',
    b',"event_id":null',
    b'"' + b"x" * 257 + b'"',
    b'"' + b"i" * 20_000 + b'"',
    HUGE_DIGITS,
    b"0." + HUGE_DIGITS + b"e" + HUGE_DIGITS,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b"[" * DEEP,
    b',"event_id":"e"' * 500,
    b" " * 3000,
    b"x" * VALUE_SIZE_MAX,
]
ROW_PIECES = [
    *(bytes((first,)) for first in b"\x00\x01\x7f\x80\x90\x91\xa0\xc0\xc1\xc2\xc3\xff"),
    b"\xdd\xff\xff\xff\xff",  # how arrays, maps and strings begin that are said to be very long
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdc\x00\x10",
    b"\xcf" + b"\xff" * 8,  # 2^64 - 1
    b"\xd3\x80" + b"\x00" * 7,  # -2^63
    b"\xcb\x7f\xf8" + b"\x00" * 6,  # NaN
    b"\xd4\x01\x00",  # an extension
    b"\xa1\xff",  # a string that is not UTF-8
    b"\x91" * DEEP,
    b"9" * 4301,
]


@st.composite
def broken(draw: st.DrawFn, seeds: list[bytes], pieces: list[bytes]) -> bytes:
    """A good input in which some bytes were replaced, doubled, left out or put in."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        at, cut = draw(st.integers(0, len(data))), draw(st.sampled_from([0, 0, 1, 1, 2, 5, 40, 100_000]))
        form = draw(st.integers(0, 3))
        if form == 0:
            patch = draw(st.binary(max_size=4))
        elif form == 1:
            start = draw(st.integers(0, len(data)))
            patch = data[start : start + draw(st.integers(0, 60))]
        else:
            patch = draw(st.sampled_from(pieces))
        data = data[:at] + patch + data[at + cut :]
    return data


BROKEN = {
    "inputs": broken(SEEDS["inputs"], JSON_PIECES),
    "rows": broken(SEEDS["rows"], ROW_PIECES),
    "meta": broken(SEEDS["meta"], ROW_PIECES),
}


def is_refused(outcome: object) -> bool:
    return outcome is None or isinstance(outcome, Refused)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_broken_begins_as_what_is_read(name: str) -> None:
    """Else the tests below would prove nothing."""
    outcomes = [is_refused(TARGETS[name].run(seed)) for seed in SEEDS[name]]
    assert outcomes.count(False) > len(outcomes) // 3
    assert name != "rows" or not any(outcomes)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=600, deadline=None)
def test_bytes_are_read_or_refused(name: str, data: st.DataObject) -> None:
    found = data.draw(BROKEN[name] | st.binary(min_size=1, max_size=60))
    if found:
        TARGETS[name].run(found)


@given(
    topic=st.integers(0, 3),
    key=st.none() | st.just(KEY) | st.binary(max_size=300),
    value=st.none()
    | BROKEN["inputs"].map(lambda data: data[1:])
    | st.sampled_from(SEEDS["inputs"]).map(lambda s: s[1:]),
    timestamp=st.just(NOW) | st.integers(-(2**63), 2**63 - 1),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["content-type", "CONTENT-TYPE", "ce_type", "ce_id"]) | st.text(max_size=5),
            st.none() | st.sampled_from([b"application/cloudevents+json", b"order.placed"]) | st.binary(max_size=300),
        ),
        max_size=4,
    ),
)
@settings(max_examples=500, deadline=None)
def test_records_with_any_key_timestamp_and_headers(
    topic: int, key: bytes | None, value: bytes | None, timestamp: int, headers: Any
) -> None:
    codec_checks.check_record(topic, key, value, timestamp, headers)


# -- rows whose msgpack is good, and what it says is not

NUMBERS = [-1, 0, 1, 2, 3, 6, 255, 2**32 - 1, 2**32, 2**53, 2**53 + 1, 2**60, 2**63 - 1, 2**63, 2**64 - 1, CLOCK_MS]
OTHERS: list[Any] = [
    None,
    True,
    False,
    1.5,
    float("nan"),
    "",
    "x",
    "e" * 300,
    b"\x00",
    [],
    [[]],
    {},
    [None] * 4,
    [0] * 4,
    [0] * 9,
]
LEAVES = (st.sampled_from(NUMBERS) | st.sampled_from(OTHERS)).map(deepcopy)  # lists are changed further


@st.composite
def wrong(draw: st.DrawFn, row: bytes, prefix: int) -> bytes:
    """A row with values replaced, doubled, left out or swapped, somewhere in it."""
    root: list[Any] = [msgspec.msgpack.decode(row[prefix:])]
    for _ in range(draw(st.integers(1, 3))):
        into = root
        at = 0
        while isinstance(into[at], list) and into[at] and (into is root or draw(st.integers(0, 3))):
            into = into[at]
            at = draw(st.integers(0, len(into) - 1))
        form = draw(st.integers(0, 5))
        if form == 0 and into is not root:
            into.insert(at, deepcopy(into[at]))
        elif form == 1 and into is not root:
            del into[at]
        elif form == 2:
            other = draw(st.integers(0, len(into) - 1))
            into[at], into[other] = into[other], into[at]
        elif form == 3 and type(into[at]) is int:
            into[at] = min(max(0, into[at] + draw(st.integers(-2, 2))), 2**64 - 1)
        else:
            into[at] = draw(LEAVES)
    return row[:prefix] + msgspec.msgpack.encode(root[0])


@given(data=st.data())
@settings(max_examples=1000, deadline=None)
def test_rows_that_say_what_cannot_be_are_refused_or_can_be_written_again(data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from([seed for seed in SEEDS["rows"] if seed[0] != 6]))
    TARGETS["rows"].run(seed[:1] + data.draw(wrong(seed[1:], 1)))


@given(data=st.data())
@settings(max_examples=500, deadline=None)
def test_meta_and_outbox_rows_that_say_what_cannot_be(data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from([seed for seed in SEEDS["meta"] if seed[0] < 2]))
    TARGETS["meta"].run(seed[:1] + data.draw(wrong(seed[1:], 1 + seed[0])))


@pytest.mark.parametrize("name", ["rows", "meta"])
def test_no_row_is_read_in_part(name: str) -> None:
    """Of every row, all that it could be cut off to, and what has more bytes than it should."""
    run = TARGETS[name].run
    for seed in SEEDS[name]:
        if (name, seed[0]) in (("rows", 6), ("meta", 2), ("meta", 3)):
            continue  # keys and epochs, of which a part may be another; and two rows in one
        for length in range(1, len(seed)):
            assert run(seed[:length]) is None
        assert run(seed + b"\x00") is None


@pytest.mark.parametrize("name", ["rows", "meta"])
def test_each_byte_of_each_row_turned(name: str) -> None:
    outcomes = set()
    for seed in SEEDS[name]:
        for at in range(1, min(len(seed), 400)):
            for mask in (0x01, 0x10, 0x80, 0xFF):
                outcomes.add(is_refused(TARGETS[name].run(seed[:at] + bytes((seed[at] ^ mask,)) + seed[at + 1 :])))
    assert outcomes == {True, False}


# -- effort and memory


def hostile_json(size: int) -> dict[str, bytes]:
    """Values of about so many bytes that are all of one thing."""
    half = size // 2
    body = SEEDS["inputs"][0][1:]
    return {
        "lists": b"[" * half + b"]" * half,
        "unclosed lists": b"[" * size,
        "objects": b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6),
        "deep, then many": b"[" * DEEP + b"1," * half,
        "deep, then blanks": b"[" * DEEP + b" " * size,
        "deep, then an open string": b"[" * DEEP + b'"' + b"\\\\" * half,
        "deep, then digits": b"[" * DEEP + b"1" * size,
        "digits in a field": body[:-1] + b',"quantity":' + b"9" * size + b"}",
        "digits of an exponent": body[:-1] + b',"item_price":1e' + b"9" * size + b"}",
        "digits of a fraction": body[:-1] + b',"item_price":0.' + b"0" * size + b"}",
        "a long id": body[:-1] + b',"event_id":"' + b"i" * size + b'"}',
        "a long time": body[:-1] + b',"occurred_at":"2026-03-02T18:59:30.' + b"1" * size + b'Z"}',
        "the same key": body[:-1] + b',"event_id":"e"' * (size // 15) + b"}",
        "many keys": body[:-1] + b"".join(b',"%d":0' % number for number in range(size // 10)) + b"}",
        "escapes": body[:-1] + b',"note":"' + b"\\ud83d\\ude00" * (size // 12) + b'"}',
        "lone surrogates": body[:-1] + b',"note":"' + b"\\ud83d" * (size // 6) + b'"}',
        "backslashes": body[:-1] + b',"note":"\\ud83d\\ude00' + b"\\\\" * half + b'"}',
        "not UTF-8": b"\xff" * size,
        "blanks": b" " * size,
    }


def hostile_rows(size: int) -> dict[str, bytes]:
    """Inputs of the target `rows` of about so many bytes."""
    header, fact = msgspec.msgpack.decode(SEEDS["rows"][0][2:]), [2, 1, "x", 2]
    items = header[-1]
    count = size // 8

    def with_items(*parts: list[Any]) -> bytes:
        return b"\x00\x01" + msgspec.msgpack.encode([*header[:-1], list(parts)])

    return {
        "arrays in arrays": b"\x00\x01" + b"\x91" * size,
        "arrays in place of the items": SEEDS["rows"][0][:40] + b"\x91" * size,
        "lines": with_items([[str(n), "1", [fact]] for n in range(count)], items[1], items[2]),
        "one line": with_items([["o", "1", [[2, n, str(n), n + 9] for n in range(count)]]], items[1], items[2]),
        "ids": with_items(items[0], [[str(n), 2**40] for n in range(count)], items[2]),
        "buckets": b"\x00\x01" + msgspec.msgpack.encode([*header[:10], [2**40] * size, *header[11:]]),
        "pages that are not there": b"\x01\x01" + msgspec.msgpack.encode([*header[:-2], 2**32 - 1, None]),
        "a key": b"\x06" + b"\xff" * size,
    }


def hostile_meta(size: int) -> dict[str, bytes]:
    """Inputs of the target `meta` of about so many bytes."""
    meta = msgspec.msgpack.decode(SEEDS["meta"][0][2:])
    return {
        "positions": b"\x00\x01" + msgspec.msgpack.encode([meta[0], [0] * size, *meta[2:]]),
        "more fields": b"\x00\x01" + msgspec.msgpack.encode([*meta, None, None, *[[]] * size]),
        "arrays in an unknown field": b"\x00\x01\x9c" + SEEDS["meta"][0][3:] + b"\x00\xc0" + b"\x91" * size,
        "ids": bytes((1, VERSION, 1)) + msgspec.msgpack.encode([str(n) for n in range(size // 5)]),
        "an outbox row": bytes((1, VERSION, 0)) + msgspec.msgpack.encode(["P", 1, 1, b"\x00" * size]),
        "digits of an epoch": b"\x03" + b"9" * size,
    }


HOSTILE: dict[str, Callable[[int], dict[str, bytes]]] = {
    "inputs": lambda size: {form: b"\x00" + value for form, value in hostile_json(size).items()},
    "lines": lambda size: {form: b"\x20" + value for form, value in hostile_json(size).items()},
    "rows": hostile_rows,
    "meta": hostile_meta,
}
FORMS = [(name, form) for name, forms in HOSTILE.items() for form in forms(100)]
SIZE = 12_000
# Of one byte of input, all that is checked of it included: it is read two times, and written once, too.
STEPS_PER_BYTE, BYTES_PER_BYTE = 80, 400
STEPS_AT_LEAST, BYTES_AT_LEAST = 20_000, 1 << 17


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_effort_and_memory_are_bounded_by_the_length(name: str, form: str) -> None:
    """Steps are counted and so are bytes: seconds would be those of the machine."""
    target = TARGETS["inputs" if name == "lines" else name]
    data = HOSTILE[name](SIZE)[form]
    target.run(data)  # what is made once and kept is not counted
    assert steps_of(lambda: target.run(data)) < STEPS_AT_LEAST + STEPS_PER_BYTE * len(data)
    assert peak_of(lambda: target.run(data)) < BYTES_AT_LEAST + BYTES_PER_BYTE * len(data)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_effort_and_memory_are_bounded_whatever_comes(name: str, data: st.DataObject) -> None:
    found = data.draw(BROKEN[name].filter(bool))
    TARGETS[name].run(found)
    assert steps_of(lambda: TARGETS[name].run(found)) < STEPS_AT_LEAST + STEPS_PER_BYTE * len(found)
    assert peak_of(lambda: TARGETS[name].run(found)) < BYTES_AT_LEAST + BYTES_PER_BYTE * len(found)
