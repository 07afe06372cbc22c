"""All settings of the program: their names, defaults and meanings.

A setting comes from a command-line option, else from the environment (`FLAGGED_BUCKET`), else from a TOML file
(`bucket`), else from its default here. Durations are text there (`"6h"`) and milliseconds here (`bucket_ms`).
`streams.settings_load` reads them; docs/SETTINGS.md is made from this page by `settings_table`.
"""

# ruff: noqa: RUF009 - setting calls dataclasses.field, which is what belongs there
from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any

from streams import settings_values as values
from streams.codecs.durations import UNIT_MS, format_duration
from streams.errors import UserError
from streams.settings_field import setting
from streams.settings_notify import NotifySettings
from streams.settings_serve import ServeSettings

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = (UNIT_MS[unit] for unit in ("s", "m", "h", "d"))

ENV_PREFIX = "FLAGGED_"
CONFIG_ENV = "FLAGGED_CONFIG"
HIDDEN = "********"

# Read by the embedded broker (`streams.broker`), which needs no settings to start.
OTHER_VARIABLES = {
    "FLAGGED_CACHE_DIR": "Where the embedded broker keeps Kafka's jars; else `flagged-products` in the user's cache.",
    "FLAGGED_MAVEN_URL": "Mirror to fetch Kafka's jars from; else Maven Central.",
}

_TOPIC_NAME = values.kafka_name(249)  # Kafka's own limit


@dataclass(frozen=True, kw_only=True)
class Settings(NotifySettings, ServeSettings):
    """What a process was told to do. Durations are milliseconds, sizes bytes. Secrets never show in the repr."""

    broker: str = setting("127.0.0.1:9092", values.servers, "Kafka's bootstrap servers.")
    security_protocol: str = setting(
        "PLAINTEXT",
        values.choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "How to talk to the broker. `SASL_PLAINTEXT` sends the password in the clear unless the mechanism is SCRAM.",
    )
    sasl_mechanism: str = setting(
        "PLAIN", values.choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), "How to log in, with a SASL protocol."
    )
    sasl_username: str | None = setting(None, values.text(), "User, with a SASL protocol.")
    sasl_password: str | None = setting(
        None, values.text(), "Password, with a SASL protocol. Never shown; better kept in a file.", secret=True
    )
    sasl_password_file: Path | None = setting(
        None, values.path, "A file that holds the password (a line end after it is dropped), instead of the above."
    )
    ssl_ca_file: Path | None = setting(
        None, values.path, "PEM file of the authorities that sign the broker's certificate; else the system's."
    )
    ssl_cert_file: Path | None = setting(
        None, values.path, "PEM file of our certificate, if the broker wants one of its clients."
    )
    ssl_key_file: Path | None = setting(
        None, values.path, "PEM file of its key, unencrypted; not needed if the certificate's file holds it."
    )
    ssl_check_hostname: bool = setting(
        True, values.truth, "Whether the broker's certificate must be for the host we asked for."
    )

    app_id: str = setting(
        "flagged-products",
        values.kafka_name(200),  # the changelog's name is made from it
        "Name of the application: consumer group, and the beginning of the changelog's name. Another id begins anew.",
    )
    instance_id: str | None = setting(
        None,
        _TOPIC_NAME,
        "Static membership: a name for this worker that no other has and a restart keeps (a StatefulSet's pod name), "
        "so that a quick restart moves no partitions.",
    )

    orders_topic: str = setting("marketplace.orders.v1", _TOPIC_NAME, "Input: orders.")
    cancellations_topic: str = setting("marketplace.cancellations.v1", _TOPIC_NAME, "Input: cancellations.")
    shipping_fees_topic: str = setting("marketplace.shipping-fees.v1", _TOPIC_NAME, "Input: shipping fees.")
    impressions_topic: str = setting("marketplace.impressions.v1", _TOPIC_NAME, "Input: impressions.")
    flag_status_changed_topic: str = setting(
        "flagged-products.flag-status-changed.v1", _TOPIC_NAME, "Output: one record per transition."
    )
    flag_status_topic: str = setting(
        "flagged-products.flag-status.v1", _TOPIC_NAME, "Output: the present snapshot of each flagged product."
    )
    dead_letters_topic: str = setting(
        "flagged-products.dead-letters.v1", _TOPIC_NAME, "Output: input that was refused, as it came."
    )
    partitions: int = setting(
        8,
        values.whole(1, 10_000),
        "Partitions of topics that we create; it bounds how many workers can share the work.",
    )
    replication_factor: int = setting(
        1, values.whole(1, 100), "Replicas of topics that we create. One is for trying out: use 3 in production."
    )
    broker_wait_ms: int = setting(
        0,
        values.duration(0, DAY_MS),
        "How long a worker that is started waits for a broker that does not answer yet, before it gives up.",
    )
    create_topics: bool = setting(True, values.truth, "Whether to create topics that are missing, or to stop.")

    clock: str = setting(
        "wall",
        values.choice("wall", "event"),
        "`wall` follows the time of day; `event` follows the events, for replays and tests.",
    )
    bucket_ms: int = setting(
        6 * HOUR_MS,
        values.duration(MINUTE_MS, DAY_MS, divides_ms=DAY_MS),
        "Width of a bucket of the rolling windows. Narrower is finer and needs more memory. "
        "Never change it under an app_id that has state.",
    )
    allowed_lateness_ms: int = setting(
        7 * DAY_MS, values.duration(0, 365 * DAY_MS), "How far behind the clock an event may be and still count."
    )
    policy_file: Path | None = setting(
        None, values.path, "TOML file of policies; without it SPEC's default thresholds are in force."
    )

    flush_interval_ms: int = setting(
        250,
        values.duration(1, MINUTE_MS),
        "Longest time between two flushes of changed state; forty times as long in a backlog.",
    )
    flush_bytes: int = setting(
        # Kafka takes a flush whole, as one record batch: the producer's limit is 15 MB.
        7_000_000,
        values.size(1_000, 10_000_000),
        "Changed state that brings the next flush forward.",
    )
    awake_products_max: int = setting(
        100_000,
        values.whole(0, 1_000_000_000),
        "Products that a worker keeps ready for use, some 7 KB each; of the others, those that have not changed for "
        "longest, it keeps a row of some 1 KB each, and reads that when they are heard of again.",
    )
    batch_max_records: int = setting(
        2_000, values.whole(1, 100_000), "Most records of one partition handed on at once."
    )
    batch_transport: bool = setting(
        True, values.truth, "Whether to read whole batches; false takes Faust's stock path, slower with equal results."
    )
    fetch_max_wait_ms: int = setting(
        50, values.duration(1, 10 * SECOND_MS), "Longest time the broker waits for more records to send."
    )
    session_timeout_ms: int = setting(
        8 * SECOND_MS,
        values.duration(6 * SECOND_MS, 30 * MINUTE_MS),  # the broker's own limits
        "Silence after which the group takes a worker for dead, and others take over its partitions.",
    )
    heartbeat_interval_ms: int = setting(
        200,
        values.duration(100, 10 * MINUTE_MS),
        "How often a worker says that it is alive, and asks whether partitions are being moved.",
    )
    stall_timeout_ms: int = setting(
        60 * SECOND_MS,
        values.duration(SECOND_MS, DAY_MS),
        "Time without progress, on a partition that has lag, after which liveness fails.",
    )

    web_host: str = setting(
        "127.0.0.1", values.text(255), "Address to serve /metrics, /livez and /readyz on; `0.0.0.0` in a container."
    )
    web_port: int = setting(6066, values.whole(0, 65_535), "Port of the same; 0 takes a free one.")
    log_level: str = setting(
        "info", values.choice("debug", "info", "warning", "error", "critical"), "Least severe messages to log."
    )
    log_format: str = setting(
        "json", values.choice("json", "console"), "`json`, one object a line, or `console`, for people."
    )
    ce_source: str = setting("/flagged-products", values.uri_reference, "CloudEvents source of what we publish.")
    data_dir: Path = setting(
        Path("flagged-products-data"), values.path, "Directory for Faust's own files. No state of products is there."
    )

    @property
    def changelog_topic(self) -> str:
        """Name of the topic that holds the state of all products."""
        return f"{self.app_id}-product-changelog"

    @property
    def bootstrap_servers(self) -> list[str]:
        """`broker` as a list of `host:port`."""
        return self.broker.split(",")

    @property
    def input_topics(self) -> tuple[str, str, str, str]:
        """The input topics in SPEC's order (section 2), which breaks ties of the merge."""
        return self.orders_topic, self.cancellations_topic, self.shipping_fees_topic, self.impressions_topic

    @property
    def output_topics(self) -> tuple[str, str, str]:
        """Transitions, snapshots and dead letters, in SPEC's order (section 2)."""
        return self.flag_status_changed_topic, self.flag_status_topic, self.dead_letters_topic

    def kafka_kwargs(self) -> dict[str, Any]:
        """The keyword arguments of every aiokafka client for reaching the broker.

        Holds the password: never log it. Raises UserError for a certificate or key that can't be used.
        """
        kwargs: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL_"):
            kwargs["sasl_mechanism"] = self.sasl_mechanism
            kwargs["sasl_plain_username"] = self.sasl_username
            kwargs["sasl_plain_password"] = self.sasl_password
        if self.security_protocol.endswith("SSL"):
            kwargs["ssl_context"] = self._ssl_context()
        return kwargs

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ssl_ca_file)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise UserError(
                f"ssl_ca_file: {self.ssl_ca_file} can't be used ({_reason(error)}); give a readable PEM file"
            ) from None
        context.check_hostname = self.ssl_check_hostname
        if self.ssl_cert_file is not None:
            try:
                # A password, even an empty one, keeps OpenSSL from asking for one at the terminal.
                context.load_cert_chain(self.ssl_cert_file, self.ssl_key_file, password="")
            except (OSError, ValueError) as error:
                key = self.ssl_key_file or self.ssl_cert_file
                raise UserError(
                    f"ssl_cert_file, ssl_key_file: {self.ssl_cert_file} with the key of {key} can't be used "
                    f"({_reason(error)}); give readable PEM files that belong together, the key unencrypted"
                ) from None
        return context

    def public(self) -> dict[str, Any]:
        """All settings by key, as text, number or null, secrets hidden: fit for a log or a screen."""
        return {info.key: info.shown(getattr(self, info.name)) for info in setting_infos()}


def _reason(error: Exception) -> str:
    """What the system said, without the path that the message names anyway."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


@dataclass(frozen=True)
class SettingInfo:
    """What is known of one setting: its name in `Settings`, its key in TOML, how to read it, what it means."""

    name: str
    key: str
    default: Any
    reader: values.Reader
    meaning: str
    secret: bool

    @property
    def env(self) -> str:
        """Its environment variable."""
        return ENV_PREFIX + self.key.upper()

    @property
    def valid(self) -> str:
        """What may be given."""
        try:
            self.reader(None)
        except ValueError as error:
            return str(error)
        raise AssertionError(f"{self.name}: null must not be valid")

    def shown(self, value: Any) -> str | int | bool | None:
        """A value as it would be written, hidden if it is a secret: the default, which all can read, is none."""
        if value is None:
            return None
        if self.secret and value != self.default:
            return HIDDEN
        if self.name.endswith("_ms"):
            return format_duration(value)
        return value if isinstance(value, (bool, int)) else str(value)


def _info(item: Field[Any]) -> SettingInfo:
    return SettingInfo(name=item.name, key=item.name.removesuffix("_ms"), default=item.default, **item.metadata)


def setting_infos() -> Iterator[SettingInfo]:
    """All settings: those that all programs share, then those of `serve` and `notify`, each in their class's order."""
    own = Settings.__annotations__
    return map(_info, sorted(fields(Settings), key=lambda item: item.name not in own))
