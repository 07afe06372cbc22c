"""The fast reading of input records never differs from the definitive one (SPEC section 3), whatever comes in."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.codecs.inputs import decode, decode_batch
from streams.codecs.refusals import Refused
from streams.domain.events import TOPIC_OF_TYPE, InputEvent

NOW = 1_772_477_970_123

Record = tuple[int, bytes | None, bytes | None, int, list[tuple[str, bytes | None]]]

# JSON tokens that sit on an edge of some rule.
EDGES = """
    0 -0 1 -1 1.0 0.0 -0.0 1e0 1E+2 1e-400 -1e-400 1e308 1e309 1e400 4.50 19.99
    0e99999999999999999999 1e-99999999999999999999 1e99999999999999999999
    9007199254740992 9007199254740993 9007199254740992.0 9007199254740993.5
    18446744073709551615 18446744073709551616 -9223372036854775809
    1772477970122 1772477970123 1772478270123 1772478270124 1780253970123 1780253970124
    01 1. .5 - +1 0x1 NaN Infinity -Infinity
"""
NUMBER_TOKENS = st.sampled_from(EDGES.split())
TIME_TEXTS = st.sampled_from(
    [
        "2026-03-02T18:59:30.123Z",
        "2026-03-02t18:59:30.123z",
        "2026-03-02T18:59:30Z",
        "2026-03-02T19:59:30.1239+01:00",
        "2026-03-02T18:59:30.123-00:00",
        "2026-03-02 18:59:30.123Z",
        "2026-03-02T18:59:60Z",
        "2026-03-02T18:59:30.123",
        "2026-02-30T18:59:30Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-23:59",
        "2026-03-02T18:59:30.Z",
        "2026-03-02T18:59:3\u0660Z",
    ]
)
STRING_TOKENS = st.one_of(
    TIME_TEXTS,
    st.sampled_from(["", "P1", "1", "x" * 256, "x" * 257, "é" * 256, "😀" * 257, "seller", "platform", "out_of_stock"]),
    st.sampled_from(sorted(TOPIC_OF_TYPE)),
    st.text(max_size=5),
).map(lambda text: json.dumps(text, ensure_ascii=False))
ESCAPED_TOKENS = st.sampled_from(
    [
        r'"\ud800"',
        r'"\ud83d\ude00"',
        r'"\udc00\ud800"',
        r'"\\ud800"',
        r'"\u0050\u0031"',
        r'"\q"',
        r'"\u12"',
        '"\t"',
        '"',
    ]
)
OTHER_TOKENS = st.sampled_from(
    ["null", "true", "false", "[]", "{}", "[[[]]]", '{"a": [1e999]}', "nul", "[1,]", "{1}", ""]
)
DEEP_TOKENS = st.integers(900, 3000).map(lambda depth: "[" * depth + "]" * depth)
TOKENS = st.one_of(NUMBER_TOKENS, STRING_TOKENS, ESCAPED_TOKENS, OTHER_TOKENS, DEEP_TOKENS)

FIELDS = """
    event_id type product_id occurred_at order_id line_id seller_id region category quantity item_price currency
    ship_by fulfilled_by sample reason fee reference_fee count from to id data other
"""
NAMES = st.sampled_from(FIELDS.split()) | st.text(max_size=3)

GOOD: dict[str, str] = {
    "event_id": '"e1"',
    "product_id": '"P1"',
    "occurred_at": str(NOW),
    "order_id": '"O1"',
    "line_id": '"2"',
    "seller_id": '"S1"',
    "region": '"US"',
    "category": '"books"',
    "quantity": "2",
    "item_price": "19.99",
    "currency": '"USD"',
    "ship_by": str(NOW + 1000),
    "fulfilled_by": '"seller"',
    "sample": "false",
    "reason": '"out_of_stock"',
    "fee": "4.50",
    "reference_fee": "4.25",
    "count": "3",
    "from": str(NOW - 1000),
    "to": str(NOW),
}


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """An event that may be good, with a few fields replaced, doubled, added or left out, in any order."""
    fields = [("type", json.dumps(draw(st.sampled_from([*sorted(TOPIC_OF_TYPE), "order.lost"])))), *GOOD.items()]
    if draw(st.booleans()):
        fields = [
            (name, draw(TIME_TEXTS.map(json.dumps)) if name in ("occurred_at", "to") else token)
            for name, token in fields
        ]
    for _ in range(draw(st.integers(0, 3))):
        name, token = draw(st.one_of(st.sampled_from(sorted(GOOD)), NAMES)), draw(TOKENS)
        action = draw(st.sampled_from(["replace", "add", "drop"]))
        if action == "add":
            fields.insert(draw(st.integers(0, len(fields))), (name, token))
        else:
            new = [(name, token)] if action == "replace" else []
            fields = [pair for pair in fields if pair[0] != name] + new
    if draw(st.booleans()):
        fields = draw(st.permutations(fields))
    blank = draw(st.sampled_from(["", " ", "\n\t", "\r"]))
    pairs = (f"{json.dumps(name, ensure_ascii=False)}{blank}:{blank}{token}" for name, token in fields)
    return blank + "{" + blank + f"{blank},{blank}".join(pairs) + "}" + blank


@st.composite
def values(draw: st.DrawFn) -> bytes | None:
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.none() | st.binary(max_size=20) | TOKENS.map(lambda token: token.encode(errors="replace")))
    text = draw(bodies())
    if kind == 1:
        text = f'{{"id":"e9","type":"order.shipped","data":{text}}}'
    value = text.encode()
    if kind <= 3:  # break bytes anywhere
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(value)))
            cut = draw(st.integers(0, 3))
            patch = draw(
                st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b"\xff", b"\xed\xa0\x80", b"{", b",", b"-"])
            )
            value = value[:at] + patch + value[at + cut :]
    return value


HEADERS = st.lists(
    st.sampled_from(
        [
            ("content-type", b"application/cloudevents+json"),
            ("Content-Type", b"application/CloudEvents+json; charset=utf-8"),
            ("content-type", b"application/json"),
            ("content-type", None),
            ("ce_type", b"order.shipped"),
            ("ce_type", b"order.lost"),
            ("ce_type", b"\xff"),
            ("ce_id", b"e8"),
            ("ce_id", b""),
            ("ce_id", None),
            ("traceparent", b"00"),
        ]
    ),
    max_size=3,
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    topic = draw(st.integers(0, 3))
    key = draw(st.sampled_from([b"P1"] * 8 + [None, b"P2", b"\xff"]))
    timestamp = draw(st.sampled_from([NOW, NOW - 300_000, NOW - 300_001, 2**53, -1]))
    return topic, key, draw(values()), timestamp, draw(st.just([]) | HEADERS)


def told(outcome: InputEvent | str | Refused) -> Any:
    """All of an outcome that anyone can see; events by their repr, which tells 1.0 from 1.00 and True from 1."""
    if isinstance(outcome, Refused):
        return outcome.stage, outcome.reason, outcome.message
    return type(outcome), repr(outcome)


def definitive(record: Record) -> Any:
    try:
        return told(decode(*record))
    except Refused as refused:
        return told(refused)


@given(st.lists(records(), min_size=1, max_size=6), st.booleans())
@settings(max_examples=800, deadline=None)
def test_a_batch_gives_what_each_record_gives_by_itself(batch: list[Record], bare_headers: bool) -> None:
    topic = batch[0][0]
    _, keys, contents, timestamps, headers = (list(column) for column in zip(*batch, strict=True))
    around: Any = [beside or None for beside in headers] if bare_headers else headers
    results = decode_batch(topic, keys, contents, timestamps, around)
    expected = [definitive((topic, *record[1:])) for record in batch]
    assert [told(result) for result in results] == expected


@given(bodies())
@settings(max_examples=500, deadline=None)
def test_a_batch_without_headers(body: str) -> None:
    value = body.encode()
    for topic in range(4):
        (result,) = decode_batch(topic, [b"P1"], [value], [NOW], None)
        assert told(result) == definitive((topic, b"P1", value, NOW, []))
