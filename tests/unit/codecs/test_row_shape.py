"""What a damaged row may not say: each value by itself is one that a row may hold (DESIGN decision 2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.codecs.row import RowError, decode_product
from streams.codecs.row_shape import Header
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.rulebook import Rulebook

GOLDEN = json.loads((Path(__file__).parent / "golden" / "rows-v1.json").read_text())
CLEAR, FLAGGED, RESOLVED = GOLDEN["products"][:3]
BOOK = Rulebook(PolicySet((DEFAULT_POLICY,)))
LATER = 2**50
LINE = ["O", "1", [[0, 1, "e", 2]]]
COUNTS = [82056, 3, 1, 2, 3, 2, 1, 1, 1]
NONE, AT_RISK = [0, None, None, None], [1, 1, None, None]


def refusal(entry: dict[str, Any], **changes: Any) -> str:
    """What is said of the entry's row with these of its values changed; none if it is read."""
    ((_, row),) = entry["rows"].items()
    values = msgspec.msgpack.decode(bytes.fromhex(row)[1:])
    for name, value in changes.items():
        values[Header.__struct_fields__.index(name)] = value
    try:
        decode_product("P", b"\x01" + msgspec.msgpack.encode(values), {}, BOOK, entry["clock"])
    except RowError as error:
        return str(error)
    return "none"


def test_they_are_read_without_a_change_and_with_one_that_fits() -> None:
    assert [refusal(entry) for entry in (CLEAR, FLAGGED, RESOLVED)] == ["none"] * 3
    assert refusal(CLEAR, buckets=COUNTS) == "none"
    assert refusal(CLEAR, items=[[LINE], [], []]) == "none"
    assert refusal(FLAGGED, status=1, states=[AT_RISK, NONE, NONE, NONE, NONE]) == "none"


@pytest.mark.parametrize(
    ("entry", "changes", "message"),
    [
        (CLEAR, {"as_of": LATER}, "ahead of its partition's clock"),
        (CLEAR, {"held_from": LATER}, "ahead of its partition's clock"),
        (FLAGGED, {"effective_at": LATER}, "a time is ahead"),
        (FLAGGED, {"snapshot_at": LATER}, "a time is ahead"),
        (RESOLVED, {"resolved_at": LATER}, "a time is ahead"),
        (FLAGGED, {"snapshot_at": None, "snapshot_pending": True}, "a snapshot is pending"),
        (RESOLVED, {"resolved_at": None}, "does not fit resolved_at"),
        (FLAGGED, {"resolved_at": 1}, "does not fit resolved_at"),
        (FLAGGED, {"sequence": 0}, "a status without a transition"),
        (FLAGGED, {"effective_at": None}, "a status without a transition"),
        (FLAGGED, {"states": None}, "does not fit its levels"),
        (CLEAR, {"states": [NONE] * 5}, "does not fit its levels"),
        (CLEAR, {"states": [AT_RISK] * 5}, "does not fit its levels"),
        (FLAGGED, {"states": [[2, None, None, None]] * 5}, "the times of a level"),
        (FLAGGED, {"states": [[2, 1, 1, None]] * 5}, "the times of a level"),
        (FLAGGED, {"states": [[0, None, None, 1]] * 5}, "the times of a level"),
        (FLAGGED, {"states": [[2, LATER, None, None]] * 5}, "the time of a level is ahead"),
        (FLAGGED, {"states": [AT_RISK] * 4}, "of length 5"),
        (CLEAR, {"pages": 2}, "it has 2 pages, and 0 are there"),
        (CLEAR, {"items": None}, "it has 0 pages"),
        (CLEAR, {"buckets": [0, *COUNTS[1:]]}, "a bucket is there that was dropped"),
        (CLEAR, {"buckets": COUNTS + COUNTS}, "or twice"),
        (CLEAR, {"buckets": COUNTS[:-1]}, "not enough values"),
        (CLEAR, {"buckets": [82056, *[0] * 8]}, "contradict each other"),
        (CLEAR, {"buckets": [82056, 1, 2, 2, 0, 0, 0, 0, 0]}, "contradict each other"),
        (CLEAR, {"buckets": [82056, 2**32, 0, 0, 0, 0, 0, 0, 0]}, "a counter is too large"),
        (CLEAR, {"impressions": [82056]}, "shorter"),
        (CLEAR, {"items": [[LINE, LINE], [], []]}, "a line is there twice"),
        (CLEAR, {"items": [[["O", "1", []]], [], []]}, "length >= 1"),
        (CLEAR, {"items": [[["O", "1", [[0, 1, "e", None]]]], [], []]}, "not what its kind asks for"),
        (CLEAR, {"items": [[["O", "1", [[1, 1, "e", 5]]]], [], []]}, "not what its kind asks for"),
        (CLEAR, {"items": [[["O", "1", [[3, 1, "e", 5]]]], [], []]}, "not what its kind asks for"),
        (CLEAR, {"items": [[["O", "1", [[6, 1, "e", None]]]], [], []]}, "<= 5"),
        (CLEAR, {"region": ["US", "now", "e"]}, "Expected `int`, got `str`"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(entry: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    assert message in refusal(entry, **changes)
