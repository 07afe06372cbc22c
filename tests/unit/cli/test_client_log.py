from __future__ import annotations

import logging

import pytest

from streams.cli import client_log as module
from streams.cli.client_log import client_log


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def test_trouble_that_lasts_is_told_now_and_then(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with client_log(told=True):
        for second in range(200):
            clock[0] = 100.0 + second
            logging.getLogger("aiokafka.client").error("no node %d", 1)
    told = capsys.readouterr().err.splitlines()
    assert told == ["Kafka does not answer, trying on: no node 1"] * 4  # after 2, 62, 122 and 182 s


def test_trouble_that_passes_is_not_told(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with client_log(told=True):
        for spell in range(5):
            clock[0] = 100.0 + 20 * spell
            logging.getLogger("aiokafka").warning("a leader moves")
            clock[0] += 1
            logging.getLogger("aiokafka").warning("a leader moves")
    assert capsys.readouterr().err == ""


def test_quiet(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with client_log(told=False):
        logging.getLogger("aiokafka").error("no node")
        clock[0] += 5
        logging.getLogger("aiokafka").error("no node")
    assert capsys.readouterr().err == ""
    assert logging.getLogger("aiokafka").propagate
