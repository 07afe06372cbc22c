"""The AsyncAPI document says what SPEC section 2 says of the topics, and refers to what is there."""

from __future__ import annotations

import json
from typing import Any

import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from streams.codecs.outputs import transition_headers
from streams.codecs.times import DAY_MS
from streams.domain.events import TOPIC_OF_TYPE
from streams.settings import Settings
from tests.contract.test_schemas import NAMES, RECORD_MS, SCHEMAS, references

DOCUMENT: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text())
# SPEC section 2: topic, whether it is read or written, its clean-up, its retention in ms.
TOPICS: dict[str, tuple[str, str, int | None]] = {
    "marketplace.orders.v1": ("receive", "delete", None),
    "marketplace.cancellations.v1": ("receive", "delete", None),
    "marketplace.shipping-fees.v1": ("receive", "delete", None),
    "marketplace.impressions.v1": ("receive", "delete", None),
    "flagged-products.flag-status-changed.v1": ("send", "delete", 30 * DAY_MS),
    "flagged-products.flag-status.v1": ("send", "compact", None),
    "flagged-products.dead-letters.v1": ("send", "delete", 14 * DAY_MS),
}


def resolved(reference: str) -> Any:
    path, _, pointer = reference.partition("#")
    node: Any = json.loads((SCHEMAS / path).read_text()) if path else DOCUMENT
    for part in pointer.split("/")[1:]:
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def test_asyncapi_references_resolve() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    found = list(references(DOCUMENT))
    for reference in found:
        assert resolved(reference) is not None
    payloads = {
        reference.removeprefix("./").removesuffix(".schema.json") for reference in found if "#" not in reference
    }
    assert payloads == set(NAMES) - {"common"}


def test_asyncapi_topics_are_those_of_the_contract() -> None:
    actions = {
        resolved(operation["channel"]["$ref"])["address"]: operation["action"]
        for operation in DOCUMENT["operations"].values()
    }
    told = {}
    for channel in DOCUMENT["channels"].values():
        config = channel["bindings"]["kafka"]["topicConfiguration"]
        (policy,) = config["cleanup.policy"]
        told[channel["address"]] = (actions[channel["address"]], policy, config.get("retention.ms"))
    assert told == TOPICS


def test_asyncapi_operations_name_all_messages_of_their_channels() -> None:
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"]
        named = {message["$ref"] for message in operation["messages"]}
        assert named == {f"{channel}/messages/{name}" for name in resolved(channel)["messages"]}


def test_asyncapi_puts_every_input_type_on_its_topic() -> None:
    inputs = [channel for channel in DOCUMENT["channels"].values() if TOPICS[channel["address"]][0] == "receive"]
    told = {
        resolved(message["$ref"])["name"]: topic
        for topic, channel in enumerate(inputs)
        for message in channel["messages"].values()
    }
    assert told == TOPIC_OF_TYPE


def test_asyncapi_messages_have_keys_content_types_and_payloads() -> None:
    for message in DOCUMENT["components"]["messages"].values():
        parts = [message, *(resolved(trait["$ref"]) for trait in message.get("traits", ()))]
        assert any("key" in part.get("bindings", {}).get("kafka", {}) for part in parts)
        assert "payload" in message
        assert "contentType" in message or message["name"] == "tombstone"
        if message["name"] in TOPIC_OF_TYPE:
            assert message["payload"]["schema"]["$ref"] == f"./{message['name']}.schema.json"


def test_asyncapi_topics_are_the_defaults_of_the_settings() -> None:
    settings_text = repr(Settings())
    assert all(repr(topic) in settings_text for topic in TOPICS)


def test_the_headers_of_transitions_are_described() -> None:
    headers = {name: value.decode() for name, value in transition_headers("P1", 1, RECORD_MS, "here")}
    schema = DOCUMENT["components"]["schemas"]["transitionHeaders"]
    Draft202012Validator(schema).validate(headers)
    assert list(headers) == schema["required"]
