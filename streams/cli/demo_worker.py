"""The worker of a demo, and what it has counted."""

from __future__ import annotations

import asyncio
import http.client
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from streams.cli.demo_process import DemoProcess
from streams.observability.metrics import PREFIX


@dataclass(frozen=True, slots=True)
class Counts:
    """What a worker has counted so far: records by outcome, and the processor time it has used in s, if known."""

    outcomes: Counter[str] = field(default_factory=Counter)
    cpu_s: float | None = None


class DemoWorker(DemoProcess):
    """One `flagged-products worker`."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        super().__init__("worker", ["worker"], directory, environment)

    async def counts(self) -> Counts:
        """What it has counted, from its /metrics."""
        status, page = await asyncio.to_thread(self.get, "/metrics")
        if status != http.client.OK:
            return Counts()
        outcomes = Counter[str]()
        cpu_s = None
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == f"{PREFIX}events_total":
                    outcomes[sample.labels["outcome"]] += int(sample.value)
                elif sample.name == "process_cpu_seconds_total":
                    cpu_s = sample.value
        return Counts(outcomes, cpu_s)
