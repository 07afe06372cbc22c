"""Which records become rows: what is none of ours is passed over, for it would stop all behind it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.readmodel.rows import product_row, transition_row
from streams.testing.outputs import Output, product_outputs


def output() -> Output:
    return next(output for output in product_outputs("P", "S1", 1, 9) if output.snapshot is not None)


def spoiled(value: bytes | None, **values: Any) -> bytes:
    assert value is not None
    # As text: an integer beyond 64 bits is JSON all the same.
    text = orjson.dumps(orjson.loads(value) | {name: f"<{name}>" for name in values}).decode()
    for name, given in values.items():
        text = text.replace(f'"<{name}>"', str(given) if isinstance(given, int) else orjson.dumps(given).decode())
    return text.encode()


@pytest.mark.parametrize(
    "values",
    [
        {"sequence": 2**63},
        {"sequence": 10**30},
        {"sequence": -1},
        {"seller_id": "S" * 257},
        {"region": "x" * 3_000},
        {"category": "x" * 257},
        {"effective_at": "yesterday"},
        {"current_status": "lost"},
    ],
)
def test_what_no_worker_writes_becomes_no_row(values: dict[str, Any]) -> None:
    made = output()
    assert product_row(b"P", spoiled(made.snapshot, **values)) is None
    assert transition_row(b"P", spoiled(made.transition, **values)) is None


@pytest.mark.parametrize("values", [{"sequence": 2**63 - 1}, {"seller_id": None}, {"region": "x" * 256}])
def test_what_a_worker_may_write_does(values: dict[str, Any]) -> None:
    made = output()
    assert product_row(b"P", spoiled(made.snapshot, **values)) is not None
    assert transition_row(b"P", spoiled(made.transition, **values)) is not None


def test_a_key_and_an_id_that_differ_are_no_row() -> None:
    assert product_row(b"Q", output().snapshot or b"") is None
    assert transition_row(b"Q", output().transition) is None
    long = "x" * 257
    made = next(output for output in product_outputs(long, "S1", 1, 9) if output.snapshot is not None)
    assert product_row(long.encode(), made.snapshot or b"") is None
