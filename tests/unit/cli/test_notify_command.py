"""The options of `notify`, and its listing; what it delivers is in tests/integration/test_notify.py."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli import program
from streams.errors import UserError
from streams.notify import queue
from streams.notify.database import Database
from streams.notify.queue import Event


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(program, ["notify", *arguments], env={"FLAGGED_NOTIFY_DATABASE": url})


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database where two deliveries were given up."""
    url = f"sqlite:///{tmp_path}/notify.db"
    database = Database(url)
    database.open()
    for webhook in ("a", "b"):
        body = webhook.encode()
        digest = hashlib.blake2b(body, digest_size=16).digest()
        database.now(queue.take_in, "t", {0: 1}, [Event(digest, "P1:1", "S1", {}, body, (webhook,))], 0)
        [delivery] = database.now(queue.due, webhook, 0, (), 1)[0]
        database.now(queue.give_up, delivery, "HTTP 500", 1_767_571_200_000)
    database.close()
    return url


def test_what_was_given_up_is_listed_and_put_back(url: str) -> None:
    line = "2026-01-05T00:00:00.000Z  a  P1:1  HTTP 500"
    listed = run(url, "--list-failed")
    assert listed.stdout.splitlines() == [line, line.replace("  a  ", "  b  ")]
    assert listed.stderr == "2 deliveries were given up.\n"
    assert run(url, "--list-failed", "--webhook", "a").stdout.splitlines() == [line]
    assert run(url, "--retry-failed", "--webhook", "a").stdout.startswith("1 deliveries are queued again")
    assert run(url, "--list-failed", "--webhook", "a").stdout == ""
    assert run(url, "--retry-failed").stdout.startswith("1 deliveries are queued again")
    database = Database(url)
    database.open()
    assert [length.webhook for length in database.now(queue.lengths)] == ["a", "b"]
    database.close()


@pytest.mark.parametrize("arguments", [["--list-failed", "--retry-failed"], ["--webhook", "a"]])
def test_options_that_do_not_go_together_are_refused(url: str, arguments: list[str]) -> None:
    refused = run(url, *arguments)
    assert refused.exit_code == 2
    assert arguments[0] in refused.stderr


def test_without_webhooks_there_is_nothing_to_do(url: str) -> None:
    refused = run(url)
    assert isinstance(refused.exception, UserError)
    assert "set FLAGGED_WEBHOOKS_FILE" in str(refused.exception)
