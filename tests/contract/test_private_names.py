"""What the batch transport reaches into, held to the pinned versions: it fails loudly when upstream moves.

When a test here fails after an upgrade: compare what changed, adapt streams/engine, then the table and the pins.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest

import streams.engine
from streams.engine.transport import PINNED_VERSIONS, PRIVATE_NAMES


@pytest.mark.parametrize(("package", "pinned"), PINNED_VERSIONS.items())
def test_versions_are_the_ones_the_transport_was_made_for(package: str, pinned: str) -> None:
    assert version(package) == pinned


@pytest.mark.parametrize(("module", "owner", "name", "shape"), PRIVATE_NAMES, ids=lambda text: str(text)[:40])
def test_a_private_name_is_as_it_was(module: str, owner: str, name: str, shape: str) -> None:
    found = getattr(importlib.import_module(module), owner)
    if shape.startswith("constant"):
        assert repr(found) == shape.removeprefix("constant ")
    elif shape == "attribute":
        source = inspect.getsource(found)
        assert re.search(rf"\bself\.{name}\b|^    {name}\b", source, re.MULTILINE), f"{owner} has no {name} of its own"
    elif shape == "property":
        assert isinstance(inspect.getattr_static(found, name), property)
    else:
        parameters = inspect.signature(getattr(found, name)).parameters.values()
        bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
        assert str(inspect.Signature(bare)) == shape


def test_the_flow_the_transport_relies_on_is_unchanged() -> None:
    """Bodies, not only names: the order of steps in a rebalance, and how aiokafka skips what can't be read."""
    from aiokafka.consumer.fetcher import Fetcher, PartitionRecords
    from aiokafka.consumer.group_coordinator import GroupCoordinator
    from faust.app.base import App
    from faust.tables.recovery import Recovery

    def order(function: object, *steps: str) -> None:
        source = inspect.getsource(function)  # type: ignore[arg-type]
        places = [source.find(step) for step in steps]
        assert -1 not in places, f"{function}: not found: {[s for s, at in zip(steps, places, strict=True) if at < 0]}"
        assert places == sorted(places), f"{function}: the steps have another order now"

    order(App._on_partitions_revoked, "(consumer.stop_flow)", "(self.flow_control.suspend)",
          "(self.flow_control.clear)", "self.on_partitions_revoked.send")  # fmt: skip
    order(App._on_partitions_assigned, "pause_partitions", "topics.on_partitions_assigned", "tables.on_rebalance")
    order(
        Recovery._resume_streams,
        "on_rebalance_complete.send",
        "perform_seek",
        "flow_control.resume",
        "consumer.resume_flow",
        "_fetcher.maybe_start",
    )
    order(GroupCoordinator.ensure_active_group, "_on_join_prepare", "_stop_heartbeat_task", "_do_rejoin_group",
          "_start_heartbeat_task")  # fmt: skip
    order(GroupCoordinator._on_join_complete, "assign_from_subscribed", "on_assignment", "on_partitions_assigned")
    order(
        PartitionRecords._unpack_records,
        "validate_crc",
        "_consume_aborted_up_to",
        "_contains_abort_marker",
        "_aborted_producers.discard",
        "in self._aborted_producers",
        "next_batch.is_control_batch:\n                self.next_fetch_offset",
        "record.offset < self.next_fetch_offset",
        "yield consumer_record",
    )
    # The names by which the fetcher uses a record set and its batches: streams.engine.record_sets stands in for them.
    order(Fetcher._proc_fetch_request, "= MemoryRecords(part_data[-1])", "records.has_next()", "PartitionRecords(",
          "records.size_in_bytes()")  # fmt: skip
    order(PartitionRecords._unpack_records, "records = self._records", "while records.has_next()",
          "next_batch = records.next_batch()", "for record in next_batch:")  # fmt: skip
    order(PartitionRecords._contains_abort_marker, "next(next_batch)")


MODULES = (
    "batch",
    "fetched",
    "record_sets",
    "consumer",
    "consumer_thread",
    "fetch_codec",
    "fetch_pace",
    "one_loop",
    "transport",
    "log_reader",
    "log_writer",
    "admin",
)


def test_every_private_name_that_is_used_is_listed() -> None:
    folder = Path(streams.engine.__file__).parent
    trees = {stem: ast.parse((folder / f"{stem}.py").read_text()) for stem in MODULES}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    own = {node.name for node in functions}
    own |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    private = {name for name in used if name.startswith("_") and not name.startswith("__")}
    listed = {name for _, _, name, _ in PRIVATE_NAMES}
    assert private - own - listed == set()
