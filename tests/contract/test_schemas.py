"""The schemas and the codecs say the same (SPEC sections 3 and 8)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource

from streams.codecs.dead_letters import ERROR_HEADERS, dead_letter, error_fields
from streams.codecs.fields import AHEAD_MAX_MS, SHIP_BY_MAX_MS
from streams.codecs.inputs import decode
from streams.codecs.outputs import encode_snapshot, encode_transition
from streams.codecs.refusals import Reason, Refused
from streams.codecs.times import time_ms
from streams.domain import transitions
from streams.domain.events import INTEGER_MAX, TOPIC_OF_TYPE, InputEvent

SCHEMAS = Path(__file__).parents[2] / "schemas"
NAMES = sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.schema.json"))
VALID = sorted((SCHEMAS / "examples" / "valid").iterdir())
INVALID = sorted((SCHEMAS / "examples" / "invalid").iterdir())
RECORD_MS = time_ms("2026-03-02T19:00:00Z")

# Invalid examples that their schema lets through, and why it has to; the codec refuses them for the reason given.
BEYOND_SCHEMA: dict[str, tuple[str, Reason]] = {
    "order.placed--quantity-written-with-a-fraction": ("to JSON Schema 2.0 is an integer", Reason.BAD_FIELD),
    "order.placed--item-price-is-not-finite": ("JSON's numbers have no bound", Reason.BAD_NUMBER),
    "order.placed--item-price-is-an-integer-beyond-2-53": (
        "1e16 is allowed where 10000000000000000 is not, and a schema does not see how a number is written",
        Reason.BAD_NUMBER,
    ),
    "order.placed--lone-surrogate": ("it is in an unknown field, and below the level of values", Reason.LONE_SURROGATE),
    "order.placed--ship-by-too-far": ("it compares two fields", Reason.SHIP_BY_TOO_FAR),
    "order.deadline_extended--ship-by-too-far": ("it compares two fields", Reason.SHIP_BY_TOO_FAR),
    "order.shipped--occurred-at-too-far-ahead": ("it compares with the record's timestamp", Reason.TOO_FAR_AHEAD),
    "order.shipped--occurred-at-of-1969": ("with an offset the year 1969 may be 1970 in UTC", Reason.BAD_TIME),
    "order.shipped--occurred-at-on-february-30": ("a pattern does not know the calendar", Reason.BAD_TIME),
    "impressions.counted--from-is-not-before-to": ("it compares two fields", Reason.BAD_FIELD),
    "impressions.counted--to-is-not-occurred-at": ("it compares two fields", Reason.BAD_FIELD),
}


def load(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return schema


REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in map(load, NAMES)
)


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(load(name), registry=REGISTRY)


VALIDATORS = {name: validator(name) for name in NAMES}


def values_of(text: str) -> Any:
    """The JSON as a validator with exact numbers sees it; but 2.0 stays a float, which JSON Schema calls an integer."""
    return json.loads(text, parse_float=lambda token: float(token) if float(token).is_integer() else Decimal(token))


def schema_of(path: Path) -> str:
    return path.name.partition("--")[0]


def decoded(event: dict[str, Any] | str, topic: int, product_id: str, timestamp: int = RECORD_MS) -> InputEvent | str:
    text = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
    return decode(topic, product_id.encode(), text.encode(), timestamp, ())


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_valid_and_its_references_resolve(name: str) -> None:
    schema = load(name)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert schema["$id"].endswith(f"/{name}.schema.json")
    Draft202012Validator.check_schema(schema)
    resolver = REGISTRY.resolver(schema["$id"])
    for reference in references(schema):
        resolver.lookup(reference)


def test_there_is_a_schema_for_every_event() -> None:
    assert set(NAMES) == set(TOPIC_OF_TYPE) | {"common", "flag-status-changed", "flag-status", "dead-letter"}


def test_every_schema_has_examples_of_both_kinds() -> None:
    for examples in (VALID, INVALID):
        assert {schema_of(path) for path in examples} == set(NAMES) - {"common"}


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_examples_are_valid_and_decode(path: Path) -> None:
    text, name = path.read_text(), schema_of(path)
    VALIDATORS[name].validate(values_of(text))
    if name in TOPIC_OF_TYPE:
        event = decoded(text, TOPIC_OF_TYPE[name], json.loads(text)["product_id"])
        assert event.__struct_config__.tag == name  # type: ignore[union-attr]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid_examples_are_refused(path: Path) -> None:
    text, name = path.read_text(), schema_of(path)
    valid = VALIDATORS[name].is_valid(values_of(text))
    assert valid is (path.stem in BEYOND_SCHEMA)
    if name in TOPIC_OF_TYPE:
        with pytest.raises(Refused) as refused:
            decoded(text, TOPIC_OF_TYPE[name], json.loads(text)["product_id"] or "")
        if valid:
            assert refused.value.reason == BEYOND_SCHEMA[path.stem][1]


def test_the_list_of_what_a_schema_cannot_say_is_of_examples() -> None:
    assert set(BEYOND_SCHEMA) <= {path.stem for path in INVALID}


# From the schema to the codec: whatever the schema describes, the codec accepts, but for the rules listed above.


def strategy_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of one property's schema; of the keywords in use, none is passed over."""
    known = {"$ref", "description", "default", "const", "enum", "oneOf", "type", "minLength", "maxLength", "pattern"}
    assert schema.keys() <= known | {"minimum", "maximum", "exclusiveMinimum"}, schema
    if "$ref" in schema:
        target = REGISTRY.resolver(load("common")["$id"]).lookup(schema["$ref"]).contents
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        assert "$ref" not in schema
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "oneOf" in schema:
        return st.one_of([strategy_of(one) for one in schema["oneOf"]])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([strategy_of_type(kind, schema) for kind in types])


def strategy_of_type(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "null":
        return st.none()
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    if kind == "number":
        above = "exclusiveMinimum" in schema
        floats = st.floats(0, exclude_min=above, allow_infinity=False, allow_nan=False)
        return floats | st.integers(1 if above else 0, INTEGER_MAX)
    assert kind == "string"
    if "pattern" in schema:
        return st.from_regex(schema["pattern"].removesuffix("$").removeprefix("^"), fullmatch=True)
    alphabet = st.characters(exclude_categories=["Cs"])
    return st.text(alphabet, min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 300), 300))


@st.composite
def described(draw: st.DrawFn, name: str) -> dict[str, Any]:
    schema = load(name)
    event = {key: draw(strategy_of(part)) for key, part in schema["properties"].items()}
    for key in set(event) - set(schema["required"]):
        if draw(st.booleans()):
            del event[key]
    return event


def as_ms(event: dict[str, Any], name: str) -> int:
    """The time in a field; where the calendar or the year 1970 rules it out, which a pattern cannot, begin anew."""
    try:
        return event[name] if isinstance(event[name], int) else time_ms(event[name])
    except ValueError:
        assume(False)
        raise


@pytest.mark.parametrize("name", sorted(TOPIC_OF_TYPE))
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_what_the_schema_describes_decodes(name: str, data: st.DataObject) -> None:
    event = data.draw(described(name))
    assert VALIDATORS[name].is_valid(event)
    at = as_ms(event, "occurred_at")
    if "ship_by" in event and as_ms(event, "ship_by") > at + SHIP_BY_MAX_MS:
        event["ship_by"] = at
    if "to" in event:
        event["to"] = event["occurred_at"]
        if as_ms(event, "from") >= at:
            assume(at > 0)
            event["from"] = at - 1
    result = decoded(event, TOPIC_OF_TYPE[name], event["product_id"], at - AHEAD_MAX_MS)
    assert not isinstance(result, str)
    assert result.occurred_at == at


# From the codec to the schema: whatever the codec accepts, the schema describes.

EDGES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 3),
    st.sampled_from([INTEGER_MAX, INTEGER_MAX + 1, RECORD_MS, RECORD_MS + AHEAD_MAX_MS, 1.5, -0.5, 1e300, 5e-324, 2.0]),
    st.sampled_from(["", "x", "x" * 256, "x" * 257, "é" * 256, "seller", "platform", "SELLER", "out_of_stock"]),
    st.sampled_from(["2026-03-02T18:59:30Z", "2026-03-02t19:59:30.12345+01:00", "1969-12-31T23:30:00-01:00"]),
    st.sampled_from(
        ["2026-03-02 18:59:30Z", "2026-03-02T18:59:60Z", "2026-03-02T18:59:30", "9999-12-31T23:59:59-23:59"]
    ),
    st.sampled_from([[], {}, [1], {"a": 1}]),
)
EXAMPLES = [json.loads(path.read_text()) for path in VALID if schema_of(path) in TOPIC_OF_TYPE]


@given(data=st.data())
@settings(max_examples=800, deadline=None)
def test_what_the_codec_accepts_is_described(data: st.DataObject) -> None:
    event = dict(data.draw(st.sampled_from(EXAMPLES)))
    for name in data.draw(st.lists(st.sampled_from(sorted(event)), max_size=2, unique=True)):
        if data.draw(st.integers(0, 4)):
            event[name] = data.draw(EDGES)
        else:
            del event[name]
    kind, product_id = event.get("type"), event.get("product_id")
    assume(kind in TOPIC_OF_TYPE and isinstance(product_id, str)) if isinstance(kind, str) else assume(False)
    try:
        decoded(event, TOPIC_OF_TYPE[str(kind)], str(product_id))
    except Refused:
        return
    VALIDATORS[str(kind)].validate(values_of(json.dumps(event)))


@pytest.mark.parametrize("reason", Reason)
def test_the_headers_of_dead_letters_are_described(reason: Reason) -> None:
    _, _, headers = dead_letter("marketplace.orders.v1", 0, 2**40, None, None, [("x", None)], Refused(reason, "why"))
    VALIDATORS["dead-letter"].validate(error_fields(headers))
    schema = load("dead-letter")
    assert tuple(schema["required"]) == ERROR_HEADERS
    assert schema["properties"]["fp-error-class"]["enum"] == [one.value for one in Reason]


# Outputs: what their codec writes is described. The values come from the valid examples.


def reasons_of(value: dict[str, Any]) -> tuple[transitions.Reason, ...]:
    def one(reason: dict[str, Any]) -> transitions.Reason:
        times = {name: time_ms(reason[name]) for name in ("since", "window_from", "window_to")}
        evidence = tuple(transitions.Evidence(**{**item, "at": time_ms(item["at"])}) for item in reason["evidence"])
        return transitions.Reason(**{**reason, **times, "evidence": evidence})

    return tuple(one(reason) for reason in value["reasons"])


def arguments(value: dict[str, Any]) -> dict[str, Any]:
    rest = {name: item for name, item in value.items() if name not in ("event_id", "type")}
    return {**rest, "effective_at": time_ms(value["effective_at"]), "reasons": reasons_of(value)}


@pytest.mark.parametrize("path", [path for path in VALID if schema_of(path).startswith("flag-")], ids=lambda p: p.stem)
def test_the_output_codec_writes_the_examples_to_the_byte(path: Path) -> None:
    value = json.loads(path.read_text())
    fields = arguments(value)
    if schema_of(path) == "flag-status-changed":
        fields["previous_reasons"] = tuple((one["metric"], one["level"]) for one in value["previous_reasons"])
        written = encode_transition(transitions.Transition(**fields))
    else:
        fields["metrics"] = tuple(
            transitions.MetricNumbers(metric=name, **numbers) for name, numbers in value["metrics"].items()
        )
        fields["impressions"] = tuple(
            (time_ms(f"{day['date']}T00:00:00Z"), day["count"]) for day in value["impressions"]
        )
        fields["updated_at"] = time_ms(value["updated_at"])
        written = encode_snapshot(transitions.Snapshot(**fields))
    assert written.decode() == json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    assert list(json.loads(written)) == list(load(schema_of(path))["properties"])
