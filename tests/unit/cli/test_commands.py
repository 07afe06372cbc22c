"""The commands as a user calls them, as far as no broker is needed."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from streams.cli import program
from streams.cli.tail import Choice
from streams.errors import UserError
from tests.unit.cli.examples import transition

# Nothing listens there, and nothing will: it is a privileged port.
NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize("name", ["demo", "tail", "show"])
def test_help(name: str) -> None:
    result = CliRunner().invoke(program, [name, "--help"])
    assert result.exit_code == 0
    assert "--broker HOST:PORT" in result.output
    assert all(len(line) <= 110 for line in result.output.splitlines())


@pytest.mark.parametrize("name", ["demo", "tail", "show"])
def test_help_does_not_wait_for_kafka_and_faust(name: str) -> None:
    heavy = "{'faust', 'aiokafka', 'rich'} & set(sys.modules)"
    script = f"import sys; from streams.cli import {name}; assert not ({heavy})"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr.strip()) == (0, "")


@pytest.mark.parametrize(
    "arguments", [["tail"], ["tail", "--until-end"], ["show", "P1"], ["show", "P1", "--json"], ["demo"]]
)
def test_no_broker(arguments: list[str]) -> None:
    began = time.monotonic()
    result = CliRunner().invoke(program, [*arguments, "--broker", NOWHERE])
    assert isinstance(result.exception, UserError)
    assert NOWHERE in str(result.exception)
    assert time.monotonic() - began < 60  # it is bounded; on an idle machine this takes a second


@pytest.mark.parametrize(
    "arguments",
    [["show"], ["tail", "--status", "bad"], ["demo", "--products", "3"], ["demo", "--speed", "0"], ["demo", "x"]],
)
def test_bad_arguments(arguments: list[str]) -> None:
    assert CliRunner().invoke(program, arguments).exit_code == 2


def test_choice() -> None:
    item = transition("clear", "at_risk", seller_id="S1")
    assert item in Choice(None, frozenset())
    assert item in Choice("S1", frozenset({"at_risk", "impacted"}))
    assert item not in Choice("S2", frozenset())
    assert item not in Choice(None, frozenset({"clear"}))
