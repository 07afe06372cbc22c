"""What answers mean, how long to wait, and when an endpoint is left in peace."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.notify.circuit import Circuit
from streams.notify.verdict import Answer, Verdict, pause_ms, read_retry_after

NOW_S = 1_767_571_200.0  # Mon, 05 Jan 2026 00:00:00 GMT


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (301, Verdict.TROUBLED),
        (400, Verdict.REFUSED),
        (401, Verdict.TROUBLED),
        (404, Verdict.TROUBLED),
        (408, Verdict.TROUBLED),
        (409, Verdict.TROUBLED),
        (410, Verdict.GONE),
        (413, Verdict.REFUSED),
        (422, Verdict.REFUSED),
        (425, Verdict.TROUBLED),
        (429, Verdict.TROUBLED),
        (500, Verdict.TROUBLED),
        (None, Verdict.TROUBLED),
    ],
)
def test_what_an_answer_means(status: int | None, verdict: Verdict) -> None:
    assert Answer(status, "no answer" if status is None else "").verdict is verdict


@given(st.integers(1, 10_000), st.randoms())
def test_pauses_grow_to_a_bound_and_differ(attempts: int, dice: Random) -> None:
    longest = min(1000 * 2 ** min(attempts - 1, 30), 300_000)
    assert longest // 2 <= pause_ms(attempts, dice) <= longest


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("7", 7_000),
        (" 0 ", 0),
        ("99999999999999", 3_600_000),
        ("Mon, 05 Jan 2026 00:01:30 GMT", 90_000),
        ("Mon, 05 Jan 2026 00:01:30 -0000", 90_000),
        ("Sun, 04 Jan 2026 00:00:00 GMT", 0),
        ("Mon, 05 Jan 2099 00:00:00 GMT", 3_600_000),
        ("Mon, 99 Jan 2026 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_and_bounded(value: str | None, pause: int | None) -> None:
    assert read_retry_after(value, NOW_S) == pause


def test_a_circuit_opens_after_failures_in_a_row_and_lets_one_probe_through() -> None:
    circuit = Circuit(Random(1))
    for _ in range(3):
        for at_ms in range(4):
            assert not circuit.failed(at_ms)
        assert not circuit.succeeded()
    for _ in range(4):
        circuit.failed(10)
    assert circuit.allowed(10, in_flight=7)
    assert circuit.failed(10)
    assert circuit.is_open
    wait_ms = circuit.wait_ms(10)
    assert 500 <= wait_ms <= 1_000
    assert not circuit.allowed(10 + wait_ms - 1, in_flight=0)
    assert circuit.allowed(10 + wait_ms, in_flight=0)
    assert not circuit.allowed(10 + wait_ms, in_flight=1)
    assert circuit.failing_for_ms(5_000) == 4_990
    assert circuit.succeeded()
    assert circuit.allowed(10, in_flight=7)
    assert (circuit.is_open, circuit.failing_for_ms(9_999)) == (False, 0)


@given(st.integers(5, 200))
def test_probes_never_become_seldom(failures: int) -> None:
    circuit = Circuit(Random(failures))
    for _ in range(failures):
        circuit.failed(0)
    assert circuit.wait_ms(0) <= 60_000


def test_an_endpoint_that_asks_for_a_pause_gets_it() -> None:
    circuit = Circuit(Random(1))
    circuit.failed(0, asked_pause_ms=120_000)
    assert not circuit.is_open
    assert circuit.wait_ms(0) == 120_000
    assert not circuit.allowed(119_999, in_flight=0)
