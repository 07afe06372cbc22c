"""Up to which time a topic is known to be read: never later than what the broker's answers prove (SPEC 5)."""

from __future__ import annotations

from typing import Any, cast

import pytest
from faust.types import TP

from streams.engine import horizon as module
from streams.engine.hooks import Progress
from streams.engine.horizon import LOOK_AGAIN_S, ReadHorizon
from streams.engine.merge import TopicQueue


class Answers:
    """What a consumer says that the broker last answered."""

    flowing = True

    def __init__(self) -> None:
        self.answer: Progress | None = None

    def progress(self, tp: TP) -> Progress | None:
        return self.answer


class Scene:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(module, "monotonic", lambda: self.now_s)
        self.answers, self.queue = Answers(), TopicQueue()
        consumer = cast(Any, self.answers)
        self.horizon = ReadHorizon([TP("orders", 0)], [self.queue], lambda: consumer)

    def look(self, end: int, answered_ms: int, after_s: float = 2 * LOOK_AGAIN_S) -> int | None:
        self.now_s += after_s
        self.answers.answer = Progress(self.queue.fetched, end, answered_ms)
        (safe,) = self.horizon.look()
        return safe


def test_of_two_answers_that_show_the_end_the_earlier_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    assert scene.look(0, 1_000) is None
    assert scene.look(0, 1_050) == 1_000
    assert scene.look(0, 1_050) == 1_000
    assert scene.look(0, 1_090) == 1_050


def test_what_is_in_the_log_and_not_at_hand_leaves_nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.look(0, 1_000)
    scene.look(0, 1_050)
    assert scene.look(1, 1_100) is None
    scene.queue.fetched = 1
    assert scene.look(1, 1_150) is None
    assert scene.look(1, 1_200) == 1_150


def test_between_two_looks_the_earlier_one_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.look(0, 1_000)
    assert scene.look(0, 1_050) == 1_000
    assert scene.look(0, 1_100, after_s=LOOK_AGAIN_S / 2) == 1_000
    # What the broker has got since was written after the time that was said to be safe.
    assert scene.look(1, 1_200, after_s=LOOK_AGAIN_S / 4) == 1_000
    assert scene.look(1, 1_200) is None
