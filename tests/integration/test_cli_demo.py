"""The demo as a user starts it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streams.broker import EmbeddedBroker
from streams.cli.demo import BAD_RATE, DAYS
from streams.cli.demo_page import demo_policy
from streams.cli.demo_settings import PARTITIONS
from streams.codecs.event_lines import InputRecord
from streams.codecs.outputs import encode_transition
from streams.codecs.policy_file import load_policies
from streams.domain.policy import PolicySet
from streams.domain.rulebook import BUCKET_MS
from streams.engine.backtest import BacktestResult, backtest
from streams.engine.waiting import published_transitions
from streams.settings import Settings
from streams.testing.market import Market

pytestmark = pytest.mark.integration

PROGRAM = [sys.executable, "-m", "streams"]
TRANSITION = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  P\d+ ", re.MULTILINE)
# Nobody waits for so long; it bounds a test that would else never end.
PATIENCE_S = 300


def environment(temporary: Path, **variables: str) -> dict[str, str]:
    """Ours without settings; temporary files go where the test can look for them."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FLAGGED_")}
    kept = {name: os.environ[name] for name in ("FLAGGED_CACHE_DIR", "FLAGGED_MAVEN_URL") if name in os.environ}
    return plain | kept | {"TMPDIR": str(temporary)} | variables


def run(arguments: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def expected(products: int, policies: PolicySet, seed: int = 1) -> BacktestResult:
    market = Market(seed, products=products, days=DAYS, bad_rate=BAD_RATE)
    records = [InputRecord(record.topic, record.timestamp_ms, record.key, record.value) for record in market]
    return backtest(records, policies, partitions=PARTITIONS, until_ms=market.end_ms)


def policies_of_the_demo(told: str, directory: Path) -> PolicySet:
    """As the demo had them: their Review links lead to its page, whose address it has told."""
    address = re.search(r"What their sellers see, as it changes: (\S+)", told)
    assert address is not None
    path = directory / "policy.toml"
    path.write_text(demo_policy(address[1]))
    try:
        return load_policies(path, BUCKET_MS)
    finally:
        path.unlink()


def topics_of(broker: EmbeddedBroker) -> set[str]:
    async def ask() -> set[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        try:
            return {topic for topic in await admin.list_topics() if not topic.startswith("__")}
        finally:
            await admin.close()

    return asyncio.run(ask())


def test_from_nothing_it_ends_by_itself_with_products_in_all_statuses(tmp_path: Path) -> None:
    result = run(["demo"], environment(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    backtested = expected(120, policies_of_the_demo(result.stdout, tmp_path))
    statuses = backtested.statuses()
    assert all(statuses.values())
    assert ", ".join(f"{count} {status}" for status, count in statuses.items()) in result.stdout
    assert len(TRANSITION.findall(result.stdout)) == sum(map(len, backtested.transitions))
    assert "One story: P" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_on_a_broker_of_ones_own_it_publishes_what_a_backtest_says(broker: EmbeddedBroker, tmp_path: Path) -> None:
    before = topics_of(broker)
    result = run(["demo", "--broker", broker.bootstrap_servers, "--products", "60"], environment(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
    name = re.search(r"The topics (demo-\w+)\* are kept", result.stdout)
    assert name is not None
    made = topics_of(broker) - before
    assert len(made) == 8
    assert all(topic.startswith(name[1]) for topic in made)

    # Byte for byte, by partition and in order, though the market was sent a day at a time.
    backtested = expected(60, policies_of_the_demo(result.stdout, tmp_path))
    topic = f"{name[1]}.flag-status-changed"
    settings = Settings(broker=broker.bootstrap_servers, flag_status_changed_topic=topic)
    assert asyncio.run(_published(settings)) == [
        encode_transition(item) for emitted in backtested.transitions for item in emitted
    ]
    _follow_the_next_steps(result.stdout, environment(tmp_path), backtested)


async def _published(settings: Settings) -> list[bytes]:
    return [value async for value in published_transitions(settings, dict.fromkeys(range(PARTITIONS), 0))]


def _follow_the_next_steps(summary: str, environ: dict[str, str], backtested: BacktestResult) -> None:
    """What the summary says to do next can be done."""
    environ |= dict(re.findall(r"(FLAGGED_\w+)=(\S+)", summary))
    tail = run(["tail", "--until-end"], environ)
    assert (tail.returncode, tail.stderr) == (0, "")
    assert len(tail.stdout.splitlines()) == sum(map(len, backtested.transitions))
    shown = re.search(r" show (P\d+) --history", summary)
    assert shown is not None
    product = next(product for product in backtested.products() if product.id == shown[1])
    show = run(["show", shown[1], "--history"], environ)
    assert (show.returncode, show.stderr) == (0, "")
    status = ("clear", "at_risk", "impacted", "resolved")[product.status]
    assert show.stdout.startswith(f"{shown[1]} is {status}")
    assert len(re.findall(r"^  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  P", show.stdout, re.MULTILINE)) == product.sequence


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(broker: EmbeddedBroker, tmp_path: Path, number: signal.Signals) -> None:
    before = topics_of(broker)
    process = subprocess.Popen(
        [*PROGRAM, "demo", "--broker", broker.bootstrap_servers, "--speed", "1"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        # It plays by now, with a worker that has come to work.
        assert any(TRANSITION.match(line) for line in process.stdout)
        process.send_signal(number)
        _, told = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []
    assert topics_of(broker) == before


def test_on_a_terminal_the_page_stays_until_ctrl_c(broker: EmbeddedBroker, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = ["demo", "--broker", broker.bootstrap_servers, "--products", "60", "--speed", "1000"]
    process = subprocess.Popen(
        [*PROGRAM, *arguments], env=environment(tmp_path, TERM="xterm"), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        told = _read_until(ours, "The page is still there")
        address = re.search(r"The page is still there: (http://\S+)", told)
        assert address is not None
        with urllib.request.urlopen(f"{address[1]}api/v1/counts", timeout=PATIENCE_S) as answer:
            assert sum(json.load(answer).values()) > 0
        process.send_signal(signal.SIGINT)
        _read_until(ours, None)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert list(tmp_path.iterdir()) == []


def _read_until(terminal: int, text: str | None) -> str:
    """What is written to a terminal until this line is whole, or until nobody writes to it any more."""
    told = ""
    while text is None or text not in told or not told.endswith("\n"):
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # Linux says so at the end
            return told
        if not part:
            return told
        told += part.decode("utf-8", "replace")
    return told
