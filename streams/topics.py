"""The topics of SPEC section 2, and how they are to be."""

from __future__ import annotations

from streams.engine.admin import TopicSpec
from streams.settings import Settings

DAY_MS = 86_400_000
MIB = 1 << 20


def topic_specs(settings: Settings, *, keep_input: bool = False) -> list[TopicSpec]:
    """Every topic that a worker reads or writes.

    All have equal partition counts: inputs by SPEC 1, changelog and outputs because a partition's one writer writes
    into the partition of the same number. `keep_input`: inputs are never deleted by age; for replays, whose records are
    stamped with times long past and would be gone at once.
    """
    retention = {"retention.ms": "-1"} if keep_input else {}
    inputs = [_spec(settings, name, {"cleanup.policy": "delete", **retention}) for name in settings.input_topics]
    changelog = {
        "cleanup.policy": "compact",
        # A cut is one record batch, of up to 8 MB, or one large row of up to 15 (see engine.cut).
        "max.message.bytes": str(16 * MIB),
        # Rows of a worker that had lost its partition are repaired by the next writer, well before this.
        "min.compaction.lag.ms": str(3_600_000),
    }
    transitions = {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)}
    snapshots = {"cleanup.policy": "compact"}
    dead_letters = {
        "cleanup.policy": "delete",
        "retention.ms": str(14 * DAY_MS),
        # A refused record may be as large as the input topic takes, and gets headers on top.
        "max.message.bytes": str(16 * MIB),
    }
    return [
        *inputs,
        _spec(settings, settings.flag_status_changed_topic, transitions),
        _spec(settings, settings.flag_status_topic, snapshots),
        _spec(settings, settings.dead_letters_topic, dead_letters),
        _spec(settings, settings.changelog_topic, changelog),
    ]


def _spec(settings: Settings, name: str, config: dict[str, str]) -> TopicSpec:
    return TopicSpec(name, settings.partitions, settings.replication_factor, config)
