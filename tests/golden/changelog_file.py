"""The files of a golden changelog.

`changelog-vN.json`: the log of the partition, batch by batch, and what it says. Keys are text whose characters are
the bytes (Latin-1), so that those of products can be read; values are base64, null for a tombstone.
`changelog-vN.input.jsonl`: the input that is still to be applied, as `replay` reads it.
`changelog-vN.transitions.jsonl`: first the outbox of the last cut, then the transitions that must follow.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
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
    `snapshots_end`: where its snapshot topic ended. `says`: what the last complete cut says (`owner.told`).
    `transitions`: see the module; the first `outbox_count` of them stand in the outbox.
    """

    version: int
    policies_toml: str
    until_ms: int
    snapshots_end: int
    outbox_count: int
    says: dict[str, Any]
    batches: list[Batch] = field(repr=False)
    transitions: list[bytes] = field(repr=False)

    @property
    def input_path(self) -> Path:
        """The file with the rest of the input."""
        return _path(self.version, "input.jsonl")

    @property
    def policies(self) -> PolicySet:
        """The policies it was judged by."""
        return parse_policies(self.policies_toml, "policies.toml", BUCKET_MS)

    @property
    def book(self) -> Rulebook:
        """The rulebook of these policies."""
        return Rulebook(self.policies)

    def rest(self) -> Logs:
        """The rest of the input, by topic; the first record of each has the offset at which the cut says to go on."""
        topics = {name: index for index, name in enumerate(TOPIC_NAMES)}
        logs: Logs = [[], [], [], []]
        for record in read_files([self.input_path], topics):
            logs[record.topic].append(record)
        return logs


def versions() -> list[int]:
    """The row versions of which there is a golden changelog."""
    return sorted(int(path.stem.removeprefix("changelog-v")) for path in HERE.glob("changelog-v*.json"))


def load(version: int) -> Golden:
    """The golden changelog of a row version."""
    told = json.loads(_path(version, "json").read_text())
    batches = [
        Batch(batch["epoch"], [(key.encode("latin-1"), _from_base64(value)) for key, value in batch["rows"]])
        for batch in told.pop("batches")
    ]
    transitions = _path(version, "transitions.jsonl").read_bytes().splitlines()
    return Golden(**told, batches=batches, transitions=transitions)


def save(golden: Golden, rest: Sequence[bytes]) -> None:
    """Write the files; never over others. `rest`: the input that follows, as lines for `replay`."""
    paths = [_path(golden.version, kind) for kind in ("json", "input.jsonl", "transitions.jsonl")]
    if any(path.exists() for path in paths):
        raise SystemExit(f"There is a golden changelog of version {golden.version}. It is what was released: keep it.")
    told = {name: value for name, value in asdict(golden).items() if name not in ("batches", "transitions")}
    head = json.dumps(told, indent=1)
    batches = ",\n".join(_batch_text(batch) for batch in golden.batches)
    paths[0].write_text(f'{head[:-2]},\n "batches": [\n{batches}\n ]\n}}\n')
    paths[1].write_bytes(b"".join(rest))
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
