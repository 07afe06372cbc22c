"""What all benchmarks share: a broker, programs under measurement, what they use, and the report."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from faust.types import TP

from streams.engine.sender import OutgoingRecord, send_records
from streams.errors import UserError
from streams.settings import ENV_PREFIX, Settings
from streams.settings_load import load_settings

ROOT: Final = Path(__file__).parent.parent
OURS, PLAIN, PEER = "flagged-products", "plain Faust", "Kafka Streams"
PARTITIONS: Final = 8
#: Nothing takes so long; who waits longer waits in vain, s.
PATIENCE_S: Final = 1800.0
_POLL_S: Final = 0.02
_STOP_S: Final = 60.0
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")

Figures = Mapping[str, float | None]
"""What one run gave, by name with its unit; None where it can't be measured."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used: processor time in s since its start, memory in MB now and at most.

    All None where there is no /proc (Linux has it).
    """

    cpu_s: float | None = None
    rss_mb: float | None = None
    peak_rss_mb: float | None = None


def usage_of(pid: int) -> Usage:
    """The usage of a process that runs, all of its threads."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return Usage()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return Usage((int(user) + int(system)) / _TICKS_PER_S, _mb(status, "VmRSS"), _mb(status, "VmHWM"))


def _mb(status: str, name: str) -> float | None:
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return None if found is None else int(found[1]) / 1024


class Program:
    """A process under measurement. `ready` is what it says once it is at work.

    Its output goes to `log`. As a context manager it ends with the block.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, ready: str) -> None:
        self.log = log
        self._ready = ready
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                env=inherited | {"PYTHONPATH": str(ROOT)} | dict(environment),
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us, and we end it
            )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def usage(self) -> Usage:
        """What it has used so far."""
        return usage_of(self._process.pid)

    def said(self) -> str:
        """All it has said."""
        return self.log.read_text("utf-8", "replace")

    def ready_lines(self) -> list[str]:
        """The lines in which it said that it is at work: one for each assignment."""
        return [line for line in self.said().splitlines() if self._ready in line]

    def check(self) -> None:
        """Raise UserError, with the end of its log, if it has ended."""
        if self._process.poll() is not None:
            raise UserError(f"a measured program ended ({self._process.returncode}):\n{self.said()[-3000:]}")

    def wait_ready(self, times: int = 1) -> float:
        """Wait until it is at work, for the time of this number; when that was (monotonic, s)."""
        wait_for(lambda: len(self.ready_lines()) >= times, f"{self.log} to say {self._ready!r}", self)
        return time.monotonic()

    def stop(self) -> None:
        """SIGTERM, and wait; SIGKILL if that does not help."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.__exit__()

    def wait_end(self) -> str:
        """Wait until it ends by itself; what it said. Raises UserError if it failed."""
        if self._process.wait(PATIENCE_S) != 0:
            self.check()
        return self.said()


def wait_for(condition: Callable[[], bool], what: str, program: Program) -> None:
    """Wait until the condition holds. Raises UserError if the program ends before, or nobody can wait so long."""
    began = time.monotonic()
    while not condition():
        program.check()
        if time.monotonic() - began > PATIENCE_S:
            raise UserError(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        time.sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Input topics with a log in them: the names by setting, where each partition ends, and the number of events."""

    names: Mapping[str, str]
    ends: Mapping[TP, int]
    events: int


@dataclass
class Result:
    """What a benchmark found: runs by (case, subject), ratios of their medians by name, and what to know of them."""

    name: str
    runs: dict[tuple[str, str], list[Figures]] = field(default_factory=dict)
    ratios: dict[str, float | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, case: str, subject: str, figures: Figures) -> None:
        """One more run of a subject in a case."""
        self.runs.setdefault((case, subject), []).append(figures)

    def median(self, case: str, subject: str, figure: str) -> float | None:
        """The median of a figure over the runs; None if it was not measured."""
        found = [run.get(figure) for run in self.runs.get((case, subject), ())]
        known = [value for value in found if value is not None]
        return statistics.median(known) if known else None

    def ratio(self, name: str, over: tuple[str, str, str], under: tuple[str, str, str]) -> None:
        """Keep the quotient of two medians, each given by case, subject and figure, if both were measured."""
        above, below = self.median(*over), self.median(*under)
        if above is not None and below:
            self.ratios[name] = above / below

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        rows = [
            {
                "case": case,
                "subject": subject,
                "medians": {name: self.median(case, subject, name) for name in runs[0]},
                "runs": [dict(run) for run in runs],
            }
            for (case, subject), runs in self.runs.items()
        ]
        return {"rows": rows, "ratios": self.ratios, "notes": self.notes}

    def lines(self) -> Iterable[str]:
        """For people: a line per case and subject, then the ratios in one line."""
        yield f"== {self.name}"
        for (case, subject), runs in self.runs.items():
            cells = [f"{name} {_number(self.median(case, subject, name))}" for name in runs[0]]
            first = next(iter(runs[0]))
            values = [value for run in runs if (value := run.get(first)) is not None]
            spread = (
                f"  [{_number(min(values))} - {_number(max(values))} in {len(runs)} runs]" if len(values) > 1 else ""
            )
            yield f"  {case}, {subject}: {', '.join(cells)}{spread}"
        yield from (f"  note: {note}" for note in self.notes)
        yield f"{self.name} ratios: " + (", ".join(f"{name} {_number(r)}" for name, r in self.ratios.items()) or "none")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


@dataclass
class Bench:
    """The setting of one call: the broker's address, a directory of our own, how often to run, and how large.

    `runs`: None takes each benchmark's own number. `quick`: small sizes, to see that it works at all. `peer`: the
    directory of the Kafka Streams peer, None without it.
    """

    broker: str
    directory: Path
    runs: int | None = None
    quick: bool = False
    peer: Path | None = None
    _numbers: int = 0

    def times(self, default: int) -> range:
        """The runs of a benchmark whose own number is this; one if it's to be quick."""
        return range(self.runs or (1 if self.quick else default))

    def size(self, full: int, quick: int) -> int:
        """A size, by the mode."""
        return quick if self.quick else full

    def new_name(self, what: str) -> str:
        """A name for topics and groups that nobody has."""
        self._numbers += 1
        return f"bench-{os.getpid()}-{self._numbers}-{what}"

    def input_names(self, name: str) -> dict[str, str]:
        """Names for the input topics, by their environment variable."""
        kinds = ("orders", "cancellations", "shipping_fees", "impressions")
        return {f"{ENV_PREFIX}{kind.upper()}_TOPIC": f"{name}.{kind}" for kind in kinds}

    def load(self, name: str, records: Iterable[OutgoingRecord], count: int) -> Inputs:
        """Fill input topics of their own with records (which may be gone through twice)."""
        names = self.input_names(self.new_name(name))
        environment = self.environment(names, self.new_name("sender"))
        ends = send_records(load_settings(environ=environment), records, lambda _count: None)
        return Inputs(names, ends, count)

    def environment(self, names: Mapping[str, str], app_id: str, clock: str = "event") -> dict[str, str]:
        """The environment of a worker: whatever it does not name is at its default."""
        outputs = ("flag_status_changed", "flag_status", "dead_letters")
        return {
            f"{ENV_PREFIX}BROKER": self.broker,
            f"{ENV_PREFIX}APP_ID": app_id,
            f"{ENV_PREFIX}CLOCK": clock,
            f"{ENV_PREFIX}PARTITIONS": str(PARTITIONS),
            f"{ENV_PREFIX}WEB_PORT": "0",
            f"{ENV_PREFIX}DATA_DIR": str(self.directory / app_id),
            **{f"{ENV_PREFIX}{kind.upper()}_TOPIC": f"{app_id}.{kind}" for kind in outputs},
            **names,
        }

    def start(self, subject: str, environment: Mapping[str, str]) -> Program:
        """Start our worker, or the plain Faust one, with this environment."""
        module = ["streams", "worker"] if subject == OURS else ["benchmarks.plain_faust"]
        log = self.directory / f"{self.new_name('worker')}.log"
        command = [sys.executable, "-m", *module]
        return Program(command, environment, log, "partitions taken over")

    def start_peer(self, *arguments: str) -> Program:
        """Start the Kafka Streams peer with these options."""
        assert self.peer is not None
        log = self.directory / f"{self.new_name('peer')}.log"
        environment = {"PEER_STATE_DIR": str(self.directory / "peer-state"), "PEER_BOOTSTRAP_SERVERS": self.broker}
        command = [str(self.peer / "run.sh"), *arguments]
        return Program(command, environment, log, "state RUNNING")


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings that a program with this environment sees."""
    return load_settings(environ=environment)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write the file of results. Raises UserError if it can't be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"{path}: can't be written ({error.strerror}); choose another --out") from None
