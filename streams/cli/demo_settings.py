"""The settings of a demo: names of its own for everything, whatever the user's own say."""

from __future__ import annotations

from pathlib import Path

from streams.settings import ENV_PREFIX, Settings, setting_infos

PARTITIONS = 8

# How a broker of the user's is reached, which is for the user's own settings to say.
_CONNECTION = (
    "security_protocol",
    "sasl_mechanism",
    "sasl_username",
    "sasl_password",
    "sasl_password_file",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_key_file",
    "ssl_check_hostname",
    "replication_factor",
)


def demo_environment(name: str, broker: str, data_dir: Path, own: Settings | None) -> dict[str, str]:
    """The FLAGGED_* variables of a demo, for itself and its worker; no other settings are to be read beside them.

    `name` is its app_id and begins the name of each of its topics. `own`: the user's settings, of which those that
    tell how to reach a broker are taken over; None for a broker of the demo's own.
    """
    variables = {} if own is None else _connection(own)
    told = {
        "broker": broker,
        "app_id": name,
        "orders_topic": f"{name}.orders",
        "cancellations_topic": f"{name}.cancellations",
        "shipping_fees_topic": f"{name}.shipping-fees",
        "impressions_topic": f"{name}.impressions",
        "flag_status_changed_topic": f"{name}.flag-status-changed",
        "flag_status_topic": f"{name}.flag-status",
        "dead_letters_topic": f"{name}.dead-letters",
        "partitions": PARTITIONS,
        "clock": "event",
        # Often enough for a film.
        "flush_interval": "250ms",
        "web_host": "127.0.0.1",
        "web_port": 0,
        "log_level": "info",
        "log_format": "console",
        "data_dir": data_dir,
    }
    return variables | {ENV_PREFIX + key.upper(): str(value) for key, value in told.items()}


def _connection(own: Settings) -> dict[str, str]:
    variables = {}
    for info in setting_infos():
        value = getattr(own, info.name)
        if info.name not in _CONNECTION or value is None:
            continue
        if info.name == "sasl_password" and own.sasl_password_file is not None:
            continue  # read from the file already
        if isinstance(value, Path):
            value = value.absolute()
        variables[info.env] = str(value).lower() if isinstance(value, bool) else str(value)
    return variables
