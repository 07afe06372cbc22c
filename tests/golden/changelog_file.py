"""The files of a golden changelog.

`changelog-vN.json`: the changelog of the partition and its snapshots, batch by batch, and what the changelog says. Keys
are text whose characters are the bytes (Latin-1), so that those of products can be read; values are base64, null for a
tombstone.
`changelog-vN.input.jsonl`: all of the input, as `replay` reads it; the last cut has passed a part of it.
`changelog-vN.transitions.jsonl`: all transitions, each once: published by the owners, and those that must follow.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from streams.codecs.event_lines import read_files
from streams.codecs.meta import epoch_headers
from streams.codecs.policy_file import parse_policies
from streams.domain.policy import PolicySet
from streams.domain.rulebook import BUCKET_MS, Rulebook
from streams.engine.log_writer import Row
from streams.testing.records import TOPIC_NAMES
from tests.core.logs import Logs

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Batch:
    """A record batch of the log: all of its rows are of one writer."""

    epoch: int
    rows: list[tuple[bytes, bytes | None]]

    def to_append(self) -> list[Row]:
        """The rows as they are appended, with their epoch."""
        headers = epoch_headers(self.epoch)
        return [(key, value, headers) for key, value in self.rows]


@dataclass(frozen=True)
class Golden:
    """A golden changelog of row version `version`, from offset 0 on.

    `policies_toml`: what it was judged by. `until_ms`: where the event clock is moved to after the last record.
    `says`: what the last complete cut says (`owner.told`). `published_count`: so many of the transitions come before
    those in the outbox of that cut; for the rest see the module.
    """

    version: int
    policies_toml: str
    until_ms: int
    published_count: int
    says: dict[str, Any]
    changelog: list[Batch] = field(repr=False)
    snapshots: list[Batch] = field(repr=False)
    transitions: list[bytes] = field(repr=False)

    @property
    def policies(self) -> PolicySet:
        """The policies it was judged by."""
        return parse_policies(self.policies_toml, "policies.toml", BUCKET_MS)

    @property
    def book(self) -> Rulebook:
        """The rulebook of these policies."""
        return Rulebook(self.policies)

    @property
    def positions(self) -> list[int]:
        """The offset in each input topic at which the last complete cut says to go on."""
        positions: list[int] = self.says["meta"]["positions"]
        return positions

    @cached_property
    def logs(self) -> Logs:
        """All of the input, by topic, from offset 0 on."""
        topics = {name: index for index, name in enumerate(TOPIC_NAMES)}
        logs: Logs = [[], [], [], []]
        for record in read_files([_path(self.version, "input.jsonl")], topics):
            logs[record.topic].append(record)
        return logs


def versions() -> list[int]:
    """The row versions of which there is a golden changelog."""
    return sorted(int(path.stem.removeprefix("changelog-v")) for path in HERE.glob("changelog-v*.json"))


def load(version: int) -> Golden:
    """The golden changelog of a row version."""
    told = json.loads(_path(version, "json").read_text())
    logs: dict[str, Any] = {
        name: [
            Batch(batch["epoch"], [(key.encode("latin-1"), _from_base64(value)) for key, value in batch["rows"]])
            for batch in told.pop(name)
        ]
        for name in ("changelog", "snapshots")
    }
    transitions = _path(version, "transitions.jsonl").read_bytes().splitlines()
    return Golden(**told, **logs, transitions=transitions)


def save(golden: Golden, lines: Sequence[bytes]) -> None:
    """Write the files; never over others. `lines`: all of the input, as `replay` reads it."""
    paths = [_path(golden.version, kind) for kind in ("json", "input.jsonl", "transitions.jsonl")]
    if any(path.exists() for path in paths):
        raise SystemExit(f"There is a golden changelog of version {golden.version}. It is what was released: keep it.")
    told = asdict(golden)
    for name in ("changelog", "snapshots", "transitions"):
        del told[name]
    text = json.dumps(told, indent=1)[:-2]
    for name, batches in (("changelog", golden.changelog), ("snapshots", golden.snapshots)):
        text += f',\n "{name}": [\n' + ",\n".join(map(_batch_text, batches)) + "\n ]"
    paths[0].write_text(text + "\n}\n")
    paths[1].write_bytes(b"".join(lines))
    paths[2].write_bytes(b"".join(value + b"\n" for value in golden.transitions))


def _batch_text(batch: Batch) -> str:
    rows = ",\n".join(f"   {json.dumps([key.decode('latin-1'), _to_base64(value)])}" for key, value in batch.rows)
    return f'  {{"epoch": {batch.epoch}, "rows": [\n{rows}\n  ]}}'


def _to_base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _from_base64(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)


def _path(version: int, kind: str) -> Path:
    return HERE / f"changelog-v{version}.{kind}"
