"""The fast reading of input records never differs from the definitive one (SPEC section 3), whatever comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest
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
NUMBERS = [*EDGES.split(), "9" * 5000]
TIMES = [
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
WORDS = ["", "P1", "1", "4.50", "x" * 256, "x" * 257, "é" * 256, "😀" * 257, "seller", "platform", "drone", "other"]
STRINGS = [json.dumps(text, ensure_ascii=False) for text in (*TIMES, *WORDS, *sorted(TOPIC_OF_TYPE), "out_of_stock")]
SURROGATES = [r'"\ud800"', r'"\ud83d\ude00"', r'"\udc00\ud800"', r'"\\ud800"']
ESCAPED = [*SURROGATES, r'"\u0050\u0031"', r'"\q"', r'"\u12"', r'"\u00zz"', r'"\/"', '"']
OTHERS = [*ESCAPED, '"\t"', "null", "true", "false", "[]", "{}", "[[[]]]", '{"a": [1e999]}', "nul", "[1,]", "{1}", ""]
TOKENS = [*NUMBERS, *STRINGS, *OTHERS]

NUMBER_TOKENS = st.sampled_from(NUMBERS)
TIME_TEXTS = st.sampled_from(TIMES)
STRING_TOKENS = st.sampled_from(STRINGS) | st.text(max_size=5).map(json.dumps)
DEEP_TOKENS = st.integers(900, 3000).map(lambda depth: "[" * depth + "]" * depth)
ANY_TOKENS = st.sampled_from(TOKENS) | STRING_TOKENS | DEEP_TOKENS

# By the field's kind: a good token, and others that are likely to matter to its rules.
TEXT = ('"P1"', STRING_TOKENS)
AMOUNT = ("4.50", NUMBER_TOKENS | st.just('"4.50"'))
INTEGER = ("3", NUMBER_TOKENS | st.just('"3"'))
TIME = (str(NOW), NUMBER_TOKENS | TIME_TEXTS.map(json.dumps))
EARLIER = (str(NOW - 1000), TIME[1])
FULFILLER = ('"seller"', STRING_TOKENS)
REASON = ('"out_of_stock"', STRING_TOKENS)
FLAG = ("false", st.sampled_from(["true", "null", "0", '"true"']))
Kind = tuple[str, st.SearchStrategy[str]]
COMMON: dict[str, Kind] = {"event_id": TEXT, "product_id": TEXT, "occurred_at": TIME}
LINE: dict[str, Kind] = {**COMMON, "order_id": TEXT, "line_id": TEXT}
PLACED: dict[str, Kind] = {
    **LINE,
    "seller_id": TEXT,
    "region": TEXT,
    "category": TEXT,
    "quantity": INTEGER,
    "item_price": AMOUNT,
    "currency": TEXT,
    "ship_by": TIME,
    "fulfilled_by": FULFILLER,
    "sample": FLAG,
}
FEE: dict[str, Kind] = {
    **COMMON,
    "fee": AMOUNT,
    "currency": TEXT,
    "reference_fee": AMOUNT,
    "seller_id": TEXT,
    "region": TEXT,
    "order_id": TEXT,
}
FIELDS_OF_TYPE: dict[str, dict[str, Kind]] = {
    "order.placed": PLACED,
    "order.shipped": LINE,
    "order.deadline_extended": {**LINE, "ship_by": TIME},
    "order.cancelled": {**LINE, "reason": REASON},
    "order.cancellation_reverted": LINE,
    "shipping_fee.charged": FEE,
    "impressions.counted": {**COMMON, "count": INTEGER, "from": EARLIER, "to": TIME},
}


@st.composite
def bodies(draw: st.DrawFn, kind: str) -> str:
    """An event of that type, good but for a few fields that are replaced, doubled, added or left out, in any order."""
    kinds = FIELDS_OF_TYPE[kind]
    fields = [("type", json.dumps(kind)), *((name, good) for name, (good, _) in kinds.items())]
    if draw(st.booleans()):
        text = json.dumps(draw(TIME_TEXTS))
        fields = [(name, text if name in ("occurred_at", "to") else token) for name, token in fields]
    for _ in range(draw(st.integers(0, 2))):
        name = draw(
            st.sampled_from(sorted(kinds)) | st.sampled_from(["type", "other", "id", "data"]) | st.text(max_size=3)
        )
        likely = kinds[name][1] if name in kinds else st.sampled_from(sorted(TOPIC_OF_TYPE)).map(json.dumps)
        token = draw(st.one_of(likely, likely, likely, ANY_TOKENS))
        action = draw(st.sampled_from(["replace", "replace", "replace", "add", "drop"]))
        if action == "add":
            fields.insert(draw(st.integers(0, len(fields))), (name, token))
        else:
            new = [(name, token)] if action == "replace" else []
            fields = [pair for pair in fields if pair[0] != name] + new
    if draw(st.booleans()):
        fields = draw(st.permutations(fields))
    blank = draw(st.sampled_from(["", "", " ", "\n\t", "\r"]))
    pairs = (f"{json.dumps(name, ensure_ascii=False)}{blank}:{blank}{token}" for name, token in fields)
    return blank + "{" + blank + f"{blank},{blank}".join(pairs) + "}" + blank


@st.composite
def values(draw: st.DrawFn, kind: str) -> bytes | None:
    form = draw(st.integers(0, 9))
    if form == 0:
        return draw(st.none() | st.binary(max_size=20) | ANY_TOKENS.map(lambda token: token.encode(errors="replace")))
    text = draw(bodies(kind))
    if form == 1:
        text = f'{{"id":"e9","type":"order.shipped","data":{text}}}'
    value = text.encode()
    if form == 2:  # text that is not UTF-8, in a field that is not known
        bad = draw(st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", "é".encode()]))
        value = value.rstrip().removesuffix(b"}") + b',"note":"' + bad + b'"}'
    if form == 3:  # break bytes anywhere
        for _ in range(draw(st.integers(1, 3))):
            at, cut = draw(st.integers(0, len(value))), draw(st.integers(0, 3))
            patch = draw(st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b"\xff", b"{", b",", b"-"]))
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
def records(draw: st.DrawFn, topic: int) -> Record:
    kind = draw(st.sampled_from([kind for kind, home in TOPIC_OF_TYPE.items() if home == topic]))
    if not draw(st.integers(0, 19)):
        kind = draw(st.sampled_from(sorted(TOPIC_OF_TYPE)))
    key = draw(st.sampled_from([b"P1"] * 15 + [None, b"P2", b"\xff"]))
    timestamp = draw(st.sampled_from([NOW] * 3 + [NOW - 300_000, NOW - 300_001, 2**53, -1]))
    return topic, key, draw(values(kind)), timestamp, draw(st.just([]) | HEADERS)


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


@pytest.mark.parametrize("topic", range(4))
@given(data=st.data(), bare_headers=st.booleans())
@settings(max_examples=400, deadline=None)
def test_a_batch_gives_what_each_record_gives_by_itself(topic: int, data: st.DataObject, bare_headers: bool) -> None:
    batch = data.draw(st.lists(records(topic), min_size=1, max_size=4))
    _, keys, contents, timestamps, headers = (list(column) for column in zip(*batch, strict=True))
    around: Any = [beside or None for beside in headers] if bare_headers else headers
    results = decode_batch(topic, keys, contents, timestamps, around)
    assert [told(result) for result in results] == [definitive(record) for record in batch]


@pytest.mark.parametrize("kind", sorted(TOPIC_OF_TYPE))
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_batch_without_headers(kind: str, data: st.DataObject) -> None:
    value = data.draw(bodies(kind)).encode()
    (result,) = decode_batch(TOPIC_OF_TYPE[kind], [b"P1"], [value], [NOW], None)
    assert told(result) == definitive((TOPIC_OF_TYPE[kind], b"P1", value, NOW, []))


@pytest.mark.parametrize("kind", sorted(TOPIC_OF_TYPE))
def test_every_field_with_every_edge_case(kind: str) -> None:
    """Each token in the place of each field, before it as a duplicate, and after it."""
    good = {
        "type": json.dumps(kind),
        **{name: token for name, (token, _) in FIELDS_OF_TYPE[kind].items()},
        "other": "0",
    }
    whole = ",".join(f'"{name}":{token}' for name, token in good.items())
    bodies_ = []
    for name in good:
        others = ",".join(f'"{other}":{token}' for other, token in good.items() if other != name)
        for token in TOKENS:
            pair = f'"{name}":{token}'
            bodies_ += [f"{{{others},{pair}}}", f"{{{pair},{whole}}}", f"{{{whole},{pair}}}"]
    contents, topic = [body.encode() for body in bodies_], TOPIC_OF_TYPE[kind]
    results = decode_batch(topic, [b"P1"] * len(contents), contents, [NOW] * len(contents), None)
    expected = [definitive((topic, b"P1", value, NOW, [])) for value in contents]
    assert [told(result) for result in results] == expected
    events = sum(not isinstance(result, (str, Refused)) for result in results)
    assert 0 < events < len(results)
