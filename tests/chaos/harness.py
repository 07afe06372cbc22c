"""A pipeline that is fed in parts while things go wrong, and is then held to all promises of SPEC section 9."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from faust.types import TP

from streams.broker import EmbeddedBroker
from streams.codecs.event_lines import InputRecord
from streams.codecs.outputs import encode_transition
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.rulebook import Rulebook
from streams.engine.backtest import BacktestResult, backtest
from streams.engine.restore import restore_partition
from streams.engine.sender import send
from streams.engine.waiting import wait_until_applied
from tests.integration.pipeline import REPLAY_S, Pipeline, Worker, check_copies, wait_for
from tests.integration.waiting import LONG_S

PARTITIONS = 4
#: For workers that a test suspends and wakes: nobody takes their partitions meanwhile.
LONG_SESSION = {"FLAGGED_SESSION_TIMEOUT": "5m"}
POLICIES = PolicySet((DEFAULT_POLICY,))


@dataclass(frozen=True)
class Story:
    """A closed log in parts, each later than the one before, and what a backtest makes of it."""

    parts: Sequence[Sequence[InputRecord]]
    until_ms: int
    reference: BacktestResult

    @property
    def expected(self) -> list[bytes]:
        """All transitions, by partition and in order of emission."""
        return [encode_transition(t) for emitted in self.reference.transitions for t in emitted]


def story(records: Sequence[InputRecord], until_ms: int, parts: int) -> Story:
    """Cut a log into parts between two timestamps."""
    ordered = sorted(records, key=lambda record: record.timestamp_ms)
    cuts = [0]
    for number in range(1, parts):
        at = len(ordered) * number // parts
        while ordered[at].timestamp_ms == ordered[at - 1].timestamp_ms:
            at += 1
        cuts.append(at)
    cuts.append(len(ordered))
    reference = backtest(ordered, POLICIES, partitions=PARTITIONS, until_ms=until_ms)
    return Story([ordered[a:b] for a, b in itertools.pairwise(cuts)], until_ms, reference)


@dataclass
class Outcome:
    """One line of the table."""

    fault: str
    survived: int = 0
    events: int = 0
    transitions: int = 0
    duplicates: int = 0
    wrong: int = 0
    lost: int = 0
    progress_s: list[float] = field(default_factory=list)

    def line(self) -> str:
        """As it is printed."""
        seconds = ", ".join(f"{s:.1f}" for s in self.progress_s) or "-"
        return (
            f"{self.fault:<52} {self.survived:>5} {self.events:>7} {self.transitions:>6} {self.duplicates:>6} "
            f"{self.wrong:>5} {self.lost:>4}  {seconds}"
        )


HEADING = (
    f"{'fault':<52} {'times':>5} {'events':>7} {'trans.':>6} {'dupl.':>6} {'wrong':>5} {'lost':>4}  s until progress"
)


class Chaos(Pipeline):
    """See the module."""

    def __init__(self, broker: EmbeddedBroker, directory: Path, told: Story, fault: str, **environment: str) -> None:
        # Small batches and short flushes, so that faults fall into the midst of everything.
        environment = {
            "FLAGGED_PARTITIONS": str(PARTITIONS),
            "FLAGGED_BATCH_MAX_RECORDS": "200",
            "FLAGGED_FLUSH_INTERVAL": "50ms",
            **environment,
        }
        super().__init__(broker, directory, **environment)
        self.outcome = Outcome(fault)
        self._story = told
        self._fed = 0
        self.ends: dict[TP, int] = {}

    def start(self, count: int = 1, **environment: str) -> list[Worker]:
        """Start workers and wait until each has taken something over."""
        started = [self.start_worker(**environment) for _ in range(count)]
        for worker in started:
            wait_for(lambda w=worker: w.says("partitions taken over") or w.process.poll() is not None, "a worker")
            assert worker.process.poll() is None, self.logs()
        return started

    def feed(self, parts: int = 1) -> None:
        """Send the next parts."""
        for _ in range(parts):
            part = self._story.parts[self._fed]
            self._fed += 1
            last = self._fed == len(self._story.parts)
            self.feed_records(part, self._story.until_ms if last else None)

    def feed_records(self, records: Sequence[InputRecord], until_ms: int | None = None) -> None:
        """Send these records, which may be none of the story."""
        ends = asyncio.run(send(self.settings, records, lambda _count: None, until_ms=until_ms))
        self.ends.update(ends)
        self.outcome.events += len(records)

    def wait_applied(self) -> None:
        """Wait until all that was fed is durable and committed: lag 0."""

        async def wait() -> None:
            async with asyncio.timeout(REPLAY_S):
                await wait_until_applied(self.settings, self.ends, lambda _done, _all: None)

        try:
            asyncio.run(wait())
        except TimeoutError:
            pytest.fail(f"lag is left after {REPLAY_S} s\n{self.logs()}")

    def survive(self, fault: Callable[[], object]) -> None:
        """Let a fault happen, feed a part, and measure how long every partition that has input takes to move on."""
        began = time.monotonic()
        fault()
        self.outcome.survived += 1
        before = self.committed()
        self.feed()
        waiting = {tp for tp, end in self.ends.items() if end != before.get(tp, 0)}
        while waiting:
            if time.monotonic() - began > REPLAY_S:
                pytest.fail(f"no progress on {sorted(waiting)}\n{self.logs()}")
            time.sleep(0.1)
            now = self.committed()
            waiting = {tp for tp in waiting if now.get(tp, 0) == before.get(tp, 0)}
        self.outcome.progress_s.append(time.monotonic() - began)

    def committed(self) -> dict[TP, int]:
        """What the group has committed."""

        async def ask() -> dict[TP, int]:
            async with self._admin() as admin:
                try:
                    found = await admin.list_consumer_group_offsets(self.settings.app_id)
                except GroupCoordinatorNotAvailableError:  # of a broker so new that no group was there yet
                    return {}
                return {TP(*tp): meta.offset for tp, meta in found.items()}

        return asyncio.run(ask())

    def is_applied(self) -> bool:
        """Whether the group has committed all that was fed."""
        committed = self.committed()
        return all(committed.get(tp, 0) >= end for tp, end in self.ends.items())

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Meanwhile the workers are suspended: what is fed or broken, they find when they wake."""
        workers = [worker.process for worker in self.workers if worker.process.poll() is None]
        for process in workers:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in workers:
                process.send_signal(signal.SIGCONT)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self.settings.kafka_kwargs())
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()

    def delete(self, topic: str) -> None:
        """Delete a topic."""

        async def delete_topic() -> None:
            async with self._admin() as admin:
                await admin.delete_topics([topic])
                # It is gone once the broker knows it no more.
                async with asyncio.timeout(LONG_S):
                    while topic in await admin.list_topics():
                        await asyncio.sleep(0.1)

        asyncio.run(delete_topic())

    def spoil_offsets(self, offset: int) -> None:
        """Commit this offset for all of the input in the group's name, as soon as the group has no members."""

        async def commit() -> None:
            consumer = AIOKafkaConsumer(
                **self.settings.kafka_kwargs(), group_id=self.settings.app_id, enable_auto_commit=False
            )
            tps = [TopicPartition(t, p) for t in self.settings.input_topics for p in range(PARTITIONS)]
            try:
                await consumer.start()
                consumer.assign(tps)
                async with asyncio.timeout(LONG_S):
                    while True:
                        try:
                            await consumer.commit(dict.fromkeys(tps, offset))
                            return
                        except KafkaError:  # a killed member counts until its session ends
                            await asyncio.sleep(0.5)
            finally:
                await consumer.stop()

        asyncio.run(commit())

    def alter(self, topic: str, **config: str) -> None:
        """Set a topic's configuration to exactly this."""

        async def set_config() -> None:
            async with self._admin() as admin:
                await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])

        asyncio.run(set_config())

    def finish(self) -> None:
        """Feed what is left, wait for lag 0, and check state, transitions, copies and sequences."""
        self.feed(len(self._story.parts) - self._fed)
        self.wait_applied()
        self.check_published()
        assert list(self.state().rates()) == list(self._story.reference.rates())

    def check_published(self) -> None:
        """All transitions of the story were published, first copies in order, and nothing else was."""
        expected = self._story.expected
        records = self.read(self.settings.flag_status_changed_topic)
        outcome, seen = self.outcome, set[Any]()
        first = [r.value for r in records if not (r.value in seen or seen.add(r.value))]
        outcome.transitions, outcome.duplicates = len(expected), len(records) - len(first)
        outcome.wrong, outcome.lost = len(seen - set(expected)), len(set(expected) - seen)
        assert (outcome.wrong, outcome.lost) == (0, 0), self.logs()
        check_copies(records)
        assert first == expected

    def state(self) -> BacktestResult:
        """The state as the changelog has it."""
        states = [self.log_state(partition) for partition in range(PARTITIONS)]
        return BacktestResult([restore_partition(state, Rulebook(POLICIES)).partition for state in states])


@contextmanager
def chaos(
    broker: EmbeddedBroker, directory: Path, told: Story, table: list[str], fault: str, **environment: str
) -> Iterator[Chaos]:
    """A pipeline under faults; its line goes into the table, and its workers end, also when the test fails."""
    made = Chaos(broker, directory, told, fault, **environment)
    try:
        yield made
        table.append(made.outcome.line())
    finally:
        made.end()


@contextmanager
def frozen(broker: EmbeddedBroker) -> Iterator[None]:
    """Meanwhile the broker is suspended: connections stay, and nothing is answered."""
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


def exit_code(worker: Worker) -> int:
    """Wait until a worker has ended by itself."""
    return worker.process.wait(LONG_S)
