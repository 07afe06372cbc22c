"""Topics: created when missing, and checked before anything starts (SPEC section 2).

Sending to a topic that doesn't exist retries for ever, and topics with different partition counts can't be read
together, so both are found here, and told as one UserError that lists all that is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from streams.errors import BrokerUnreachable, UserError

CREATE_COMMAND = "flagged-products topics create"
#: How often a new topic is looked for, s.
POLL_S = 0.2
#: The configs that are checked; others are only set at creation.
CHECKED_CONFIGS = ("cleanup.policy", "max.message.bytes")


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as the program needs it.

    `partitions`: when it is created and no other `copartitioned` topic exists yet. `replication`: -1 is the broker's
    default. `config`: set at creation; `cleanup.policy` and `max.message.bytes` (at least) are checked ever after.
    """

    name: str
    partitions: int
    replication: int = -1
    config: Mapping[str, str] = field(default_factory=dict)
    copartitioned: bool = True


async def ensure_topics(
    connection: Mapping[str, Any], specs: Sequence[TopicSpec], *, timeout_s: float = 30.0
) -> list[str]:
    """Create the topics that are missing, then check all; the names of those created.

    A missing co-partitioned topic gets as many partitions as those that exist. UserError as in `check_topics`.
    """
    async with _admin(connection, timeout_s) as admin:
        counts = await _partition_counts(admin, specs)
        missing = [spec for spec in specs if spec.name not in counts]
        present = {counts[spec.name] for spec in specs if spec.copartitioned and spec.name in counts}
        common = next(iter(present)) if len(present) == 1 else None
        await _create(admin, missing, common, timeout_s)
        while missing and any(spec.name not in counts for spec in missing):
            await asyncio.sleep(POLL_S)
            counts = await _partition_counts(admin, specs)
        _raise_problems(await _problems(admin, specs, counts))
    return [spec.name for spec in missing]


async def check_topics(connection: Mapping[str, Any], specs: Sequence[TopicSpec], *, timeout_s: float = 15.0) -> int:
    """Check the topics; the partition count that the co-partitioned ones have in common.

    UserError, listing everything: a topic is missing, co-partitioned ones differ in their counts, a `cleanup.policy`
    differs or `max.message.bytes` is too low, no broker answers within `timeout_s`.
    """
    async with _admin(connection, timeout_s) as admin:
        counts = await _partition_counts(admin, specs)
        _raise_problems(await _problems(admin, specs, counts))
    return next((counts[spec.name] for spec in specs if spec.copartitioned), 0)


@asynccontextmanager
async def _admin(connection: Mapping[str, Any], timeout_s: float) -> AsyncIterator[AIOKafkaAdminClient]:
    servers = connection.get("bootstrap_servers")
    admin = AIOKafkaAdminClient(**dict(connection))
    try:
        async with asyncio.timeout(timeout_s):
            await admin.start()
            yield admin
    except TimeoutError as exc:
        raise BrokerUnreachable(
            f"The Kafka broker at {servers} didn't answer within {timeout_s:g} s. Is it running?"
        ) from exc
    except KafkaError as exc:
        raise BrokerUnreachable(
            f"The Kafka broker at {servers} can't be used: {exc}. Is it running, and is its address right "
            "(FLAGGED_BROKER)?"
        ) from exc
    finally:
        await admin.close()


async def _partition_counts(admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec]) -> dict[str, int]:
    """Of the topics that exist, with a leader for each partition."""
    names = [spec.name for spec in specs]
    counts: dict[str, int] = {}
    for topic in await admin.describe_topics(names):
        partitions = topic["partitions"]
        if topic["error_code"] == 0 and partitions and all(part["leader"] >= 0 for part in partitions):
            counts[topic["topic"]] = len(partitions)
    return counts


async def _create(
    admin: AIOKafkaAdminClient, missing: Sequence[TopicSpec], common: int | None, timeout_s: float
) -> None:
    new = [
        NewTopic(
            spec.name,
            common if common is not None and spec.copartitioned else spec.partitions,
            spec.replication,
            topic_configs=dict(spec.config),
        )
        for spec in missing
    ]
    if not new:
        return
    response = await admin.create_topics(new, timeout_ms=int(timeout_s * 1000))
    refused = []
    for name, code, reason, *_ in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            refused.append(f"{name}: {reason or for_code(code).__name__}")
    if refused:
        raise UserError("These topics can't be created:\n" + "\n".join(f"  - {text}" for text in refused))


async def _problems(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], counts: Mapping[str, int]
) -> list[tuple[str, str]]:
    """(what is wrong, how to mend it) of each problem."""
    problems: list[tuple[str, str]] = []
    for spec in specs:
        if spec.name not in counts:
            problems.append((f"topic {spec.name} is missing", f"create it: {CREATE_COMMAND}"))
    together = {spec.name: counts[spec.name] for spec in specs if spec.copartitioned and spec.name in counts}
    if len(set(together.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in together.items())
        most = max(together.values())
        few = ", ".join(name for name, count in together.items() if count < most)
        mend = f"a key must be in the same partition of every topic: delete {few} and create again: {CREATE_COMMAND}"
        problems.append((f"the partition counts differ: {listed}", mend))
    existing = [spec for spec in specs if spec.name in counts and set(spec.config) & set(CHECKED_CONFIGS)]
    found = await _configs(admin, [spec.name for spec in existing]) if existing else {}
    for spec in existing:
        for name in CHECKED_CONFIGS:
            wanted, actual = spec.config.get(name), found[spec.name].get(name, "")
            if wanted is not None and not _satisfies(name, wanted, actual):
                alter = f"kafka-configs --alter --entity-type topics --entity-name {spec.name} --add-config"
                mend = f"{alter} {name}={_bracketed(wanted)}, or delete it and: {CREATE_COMMAND}"
                problems.append((f"topic {spec.name} has {name}={actual}, needed is {wanted}", mend))
    return problems


def _satisfies(name: str, wanted: str, actual: str) -> bool:
    if name == "max.message.bytes":
        return actual.isdigit() and int(actual) >= int(wanted)
    return set(wanted.split(",")) == set(actual.split(","))


def _bracketed(value: str) -> str:
    return f"[{value}]" if "," in value else value


async def _configs(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for code, message, _kind, name, entries in response.resources:
            if code != 0:
                raise UserError(f"The configuration of topic {name} can't be read: {message}")
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


def _raise_problems(problems: Sequence[tuple[str, str]]) -> None:
    if problems:
        lines = [f"  - {wrong}\n    {mend}" for wrong, mend in problems]
        raise UserError("The topics aren't as needed:\n" + "\n".join(lines))
