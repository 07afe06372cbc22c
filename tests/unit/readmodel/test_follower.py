"""What the follower says of itself while the database is made anew, is gone, or is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from streams.clients.topic_reader import Part
from streams.errors import BrokerUnreachable, LogCut
from streams.observability.health import Health, Readiness
from streams.readmodel import follower as follower_module
from streams.readmodel.database import open_engine
from streams.readmodel.follower import Follower, source_of
from streams.readmodel.schema import metadata
from streams.readmodel.store import Batch, Store
from streams.settings import Settings

LONG_S = 60.0
SETTINGS = Settings()
PARTITION = TopicPartition(SETTINGS.flag_status_topic, 0)


class Lists:
    """Stands where a TopicReader does, over a topic of records that are no outputs; `gate` lets them be read."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.gate = asyncio.Event()
        self.gate.set()
        self.cut = False
        self.away = False
        self._at = 0

    async def __aenter__(self) -> Lists:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def begin_at(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        self._at = offsets.get(PARTITION, 0)
        if self._at > self.count:
            raise LogCut("made anew")
        return {}

    async def positions(self) -> dict[TopicPartition, int]:
        return {PARTITION: self._at}

    async def read(self) -> list[Part]:
        await asyncio.sleep(0.001)
        if self.cut:
            self.cut = False
            raise LogCut("out of range")
        if self._at == self.count or not self.gate.is_set():
            return []
        self._at = self.count
        return [Part(PARTITION, [], self.count)]

    async def ends(self) -> dict[TopicPartition, int]:
        if self.away:
            raise BrokerUnreachable("away")
        return {PARTITION: self.count}

    async def lag(self) -> int:
        return 0


def store_in(directory: Path, source: str | None = None) -> Store:
    engine = open_engine(None, directory, "serve.db")
    return Store(engine, source_of(SETTINGS) if source is None else source, 86_400_000)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_S):
        while not condition():
            await asyncio.sleep(0.005)


def follow(directory: Path, monkeypatch: pytest.MonkeyPatch, story: Callable[..., Any]) -> None:
    """Let a follower run over three records while the story is told."""
    monkeypatch.setattr(follower_module, "_RETRY_S", 0.01)

    async def run() -> None:
        reader, store, health = Lists(3), store_in(directory), Health()
        monkeypatch.setattr(follower_module, "TopicReader", lambda *_: reader)
        follower = Follower(SETTINGS, store, health, lambda _: None)
        await follower.start()
        try:
            await until(lambda: follower.is_ready)
            assert health.ready
            await story(reader, store, health, follower)
        finally:
            await follower.stop()
            store.engine.dispose()

    asyncio.run(run())


def test_while_it_is_made_anew_it_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(reader: Lists, _store: Store, health: Health, follower: Follower) -> None:
        reader.gate.clear()
        reader.count, reader.cut = 2, True
        await until(lambda: not follower.is_ready)
        assert health.readiness is Readiness.RECOVERING
        reader.gate.set()
        # At once: that we have made the tables anew is no reason to stand by for ourselves.
        await until(lambda: follower.is_ready)
        assert health.ready

    monkeypatch.setattr(follower_module, "_STAND_BY_S", 2 * LONG_S)
    follow(tmp_path, monkeypatch, story)


def test_a_broker_that_is_away_is_told_though_nothing_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(reader: Lists, _store: Store, health: Health, follower: Follower) -> None:
        reader.away = True
        await until(lambda: health.readiness is Readiness.DEGRADED)
        assert follower.is_ready
        reader.away = False
        await until(lambda: health.readiness is Readiness.RUNNING)

    monkeypatch.setattr(follower_module, "_SILENCE_S", 0.01)
    follow(tmp_path, monkeypatch, story)


def test_tables_that_another_has_made_anew_are_not_ready_until_they_are_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(reader: Lists, _store: Store, health: Health, follower: Follower) -> None:
        other = store_in(tmp_path)
        other.positions()
        other.rebuild()
        reader.gate.clear()
        reader.cut = True  # whatever makes us look at the database again
        await until(lambda: not follower.is_ready)
        assert not health.ready
        other.positions()
        other.apply(Batch(positions={PARTITION: 3}))
        reader.cut = True
        await until(lambda: follower.is_ready)
        other.engine.dispose()

    follow(tmp_path, monkeypatch, story)


def test_tables_that_are_gone_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(reader: Lists, store: Store, _health: Health, follower: Follower) -> None:
        metadata.drop_all(store.engine)
        reader.count = 4
        await until(lambda: follower.is_ready and store.positions() == {PARTITION: 4})

    follow(tmp_path, monkeypatch, story)


def test_that_all_connections_are_in_use_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(reader: Lists, store: Store, health: Health, follower: Follower) -> None:
        apply, failures = store.apply, [PoolTimeoutError("QueuePool limit reached")] * 2

        def fails_first(batch: Batch) -> int:
            if failures:
                raise failures.pop()
            return apply(batch)

        monkeypatch.setattr(store, "apply", fails_first)
        reader.count = 4
        await until(lambda: not failures and store.positions() == {PARTITION: 4})
        assert health.live

    follow(tmp_path, monkeypatch, story)


def test_tables_of_another_version_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(reader: Lists, _store: Store, health: Health, follower: Follower) -> None:
        other = store_in(tmp_path, "other topics")
        other.open()
        other.positions()
        other.apply(Batch(positions={PARTITION: 1}))
        reader.count = 4
        await until(lambda: not follower.is_ready)
        await until(lambda: "another version" in str(health.ready_reasons))
        assert other.positions() == {PARTITION: 1}
        other.engine.dispose()

    follow(tmp_path, monkeypatch, story)
