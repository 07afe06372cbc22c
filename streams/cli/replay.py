"""`flagged-products replay`: events from files into the topics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from streams.cli.options import broker_option, config_option, files_argument, read_time
from streams.codecs.event_lines import InputRecord, read_files
from streams.errors import UserError
from streams.settings import Settings
from streams.settings_load import load_settings
from streams.topic_names import topic_indices

# Without any progress for so long, say what may be missing.
_HINT_AFTER_S = 20.0


class Recording:
    """The records of files, which may be gone through more than once."""

    def __init__(self, files: tuple[Path, ...], topics: dict[str, int]) -> None:
        self._files = files
        self._topics = topics

    def __iter__(self) -> Iterator[InputRecord]:
        return read_files(self._files, self._topics)


@click.command("replay")
@files_argument
@config_option
@broker_option
@click.option("--wait", is_flag=True, help="Wait until the workers have applied all of it, and published.")
@click.option("--until", callback=read_time, help="At the end, move the event clock on to this time.")
@click.option(
    "--transitions",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what the workers publish, JSONL, by partition and in order. Waits for it.",
)
def command(
    files: tuple[Path, ...],
    config: Path | None,
    broker: str | None,
    wait: bool,
    until: int | None,
    transitions: Path | None,
) -> None:
    """Send the events of FILE... (JSONL, also .gz) into the topics.

    A record's timestamp is its occurred_at and its partition follows from its key, unless the line says otherwise.
    Workers that are to follow the events' times need `--clock event`.
    """
    settings = load_settings(config, overrides={"broker": broker})
    recording = Recording(files, topic_indices(settings))
    asyncio.run(_replay(settings, recording, wait or transitions is not None, until, transitions))


async def _replay(settings: Settings, recording: Recording, wait: bool, until: int | None, out: Path | None) -> None:
    from streams.engine.admin import ensure_topics
    from streams.engine.sender import send
    from streams.engine.waiting import published_transitions, transition_starts, wait_until_applied
    from streams.topics import topic_specs

    if settings.create_topics:
        await ensure_topics(settings.kafka_kwargs(), topic_specs(settings, keep_input=True))
    starts = await transition_starts(settings) if out is not None else {}
    with _progress() as bars:
        sending = bars.add_task("Sending", total=None)
        ends = await send(settings, recording, lambda count: bars.advance(sending, count), until_ms=until)
        bars.update(sending, total=bars.tasks[sending].completed)
        if wait:
            watch = _Watch(bars, settings)
            await wait_until_applied(settings, ends, watch)
    if out is not None:
        try:
            with out.open("wb") as file:
                async for value in published_transitions(settings, starts):
                    file.write(value + b"\n")
        except OSError as error:
            raise UserError(f"cannot write {out}: {error.strerror}") from error


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


class _Watch:
    """Shows how far the workers are, and says so when none seems to be there."""

    def __init__(self, bars: Progress, settings: Settings) -> None:
        self._bars = bars
        self._settings = settings
        self._bar = bars.add_task("Applying", total=None)
        self._last = (-1, monotonic())

    def __call__(self, done: int, total: int) -> None:
        self._bars.update(self._bar, completed=done, total=total)
        if done != self._last[0]:
            self._last = (done, monotonic())
        elif monotonic() - self._last[1] > _HINT_AFTER_S:
            self._last = (done, monotonic())
            self._bars.console.print(
                f"No progress for {_HINT_AFTER_S:.0f} s. Does a worker of app_id {self._settings.app_id} run? Start "
                "one: flagged-products worker --clock event",
                markup=False,
            )
