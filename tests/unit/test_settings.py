"""Settings: where they come from, what is valid, and what is said of what isn't."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from streams.errors import UserError
from streams.settings import Settings, setting_infos
from streams.settings_docs import settings_table
from streams.settings_load import load_settings

SASL = {"FLAGGED_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "FLAGGED_SASL_USERNAME": "u"}
SECRET = "correct horse battery"


def load(environ: Mapping[str, str] | None = None, config: Path | None = None, **overrides: Any) -> Settings:
    return load_settings(config, environ or {}, overrides)


def refusal(environ: Mapping[str, str] | None = None, config: Path | None = None, **overrides: Any) -> str:
    with pytest.raises(UserError) as caught:
        load(environ, config, **overrides)
    return str(caught.value)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "flagged.toml"


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = load()
    assert settings == Settings()
    assert settings.input_topics == (
        "marketplace.orders.v1",
        "marketplace.cancellations.v1",
        "marketplace.shipping-fees.v1",
        "marketplace.impressions.v1",
    )
    assert settings.output_topics == (
        "flagged-products.flag-status-changed.v1",
        "flagged-products.flag-status.v1",
        "flagged-products.dead-letters.v1",
    )
    assert settings.changelog_topic == "flagged-products-product-changelog"
    assert (settings.bucket_ms, settings.allowed_lateness_ms) == (6 * 3_600_000, 7 * 86_400_000)
    assert (settings.clock, settings.partitions, settings.replication_factor) == ("wall", 8, 1)
    assert settings.kafka_kwargs() == {"bootstrap_servers": ["127.0.0.1:9092"], "security_protocol": "PLAINTEXT"}


def test_options_win_over_the_environment_and_that_over_the_file(config: Path) -> None:
    config.write_text('partitions = 1\nbucket = "1h"\nclock = "event"\n')
    environ = {"FLAGGED_CONFIG": str(config), "FLAGGED_BUCKET": "2h", "FLAGGED_CLOCK": "wall"}
    settings = load(environ, bucket="3h", clock=None)
    assert (settings.partitions, settings.bucket_ms, settings.clock) == (1, 3 * 3_600_000, "wall")


def test_the_option_for_the_file_wins_over_the_variable(config: Path) -> None:
    config.write_text("partitions = 3\n")
    assert load({"FLAGGED_CONFIG": "/nowhere"}, config).partitions == 3


def test_an_empty_variable_is_not_given() -> None:
    assert load({"FLAGGED_CONFIG": "", "FLAGGED_BUCKET": "", "FLAGGED_INSTANCE_ID": ""}) == Settings()


def test_a_path_in_the_file_is_taken_from_its_directory(config: Path) -> None:
    config.write_text('policy_file = "p.toml"\ndata_dir = "/var/lib/x"\n')
    settings = load(config=config)
    assert settings.policy_file == config.parent / "p.toml"
    assert settings.data_dir == Path("/var/lib/x")
    assert load({"FLAGGED_POLICY_FILE": "p.toml"}).policy_file == Path("p.toml")


def test_values_of_the_file_have_their_toml_types(config: Path) -> None:
    config.write_text('broker = ["a:1", "[::1]:2"]\nflush_bytes = 5000\nweb_port = 0\ncreate_topics = false\n')
    settings = load(config=config)
    assert settings.bootstrap_servers == ["a:1", "[::1]:2"]
    assert (settings.flush_bytes, settings.web_port, settings.create_topics) == (5000, 0, False)


@pytest.mark.parametrize(
    ("name", "given", "field", "value"),
    [
        ("FLAGGED_BROKER", "a:1, b.c-d:65535", "broker", "a:1,b.c-d:65535"),
        ("FLAGGED_FLUSH_BYTES", "4 MiB", "flush_bytes", 4 << 20),
        ("FLAGGED_FLUSH_BYTES", "2MB", "flush_bytes", 2_000_000),
        ("FLAGGED_CREATE_TOPICS", "No", "create_topics", False),
        ("FLAGGED_BATCH_TRANSPORT", "1", "batch_transport", True),
        ("FLAGGED_LOG_LEVEL", "WARNING", "log_level", "warning"),
        ("FLAGGED_FETCH_MAX_WAIT", "1s", "fetch_max_wait_ms", 1000),
        ("FLAGGED_ALLOWED_LATENESS", "0s", "allowed_lateness_ms", 0),
        ("FLAGGED_INSTANCE_ID", "worker-0", "instance_id", "worker-0"),
        ("FLAGGED_CE_SOURCE", "https://x/y#z", "ce_source", "https://x/y#z"),
    ],
)
def test_a_good_value_is_read(name: str, given: str, field: str, value: object) -> None:
    assert getattr(load({name: given}), field) == value


BAD = [
    ("broker", "kafka://a:1"),
    ("broker", "a"),
    ("broker", "a:0"),
    ("broker", "a:1,"),
    ("broker", "a:65536"),
    ("security_protocol", "TLS"),
    ("sasl_mechanism", "GSSAPI"),
    ("app_id", "a b"),
    ("app_id", "x" * 201),
    ("orders_topic", ".."),
    ("orders_topic", "örders"),
    ("partitions", "0"),
    ("partitions", "8.0"),
    ("partitions", "\u0661"),
    ("replication_factor", "-1"),
    ("create_topics", "perhaps"),
    ("clock", "fast"),
    ("bucket", "7h"),
    ("bucket", "2d"),
    ("bucket", "0h"),
    ("bucket", "6"),
    ("allowed_lateness", "-1d"),
    ("flush_interval", "0s"),
    ("flush_bytes", "12MB"),
    ("flush_bytes", "lots"),
    ("session_timeout", "1s"),
    ("web_port", "65536"),
    ("log_level", "loud"),
    ("log_format", "xml"),
    ("ce_source", "a b"),
    ("web_host", "a\nb"),
]


@pytest.mark.parametrize(("key", "given"), BAD)
def test_a_bad_value_is_refused_with_its_name_and_what_is_valid(key: str, given: str) -> None:
    info = next(info for info in setting_infos() if info.key == key)
    message = refusal({info.env: given})
    assert message.startswith(f"{info.env}: ")
    assert message.endswith(f" is not valid; give {info.valid}")
    assert repr(given)[:60] in message


@pytest.mark.parametrize("written", ["1.5", "true", "[1]", "{}", "1979-05-27"])
@pytest.mark.parametrize("key", ["partitions", "bucket", "app_id", "broker", "flush_bytes", "policy_file", "clock"])
def test_a_value_of_the_wrong_toml_type_is_refused(config: Path, key: str, written: str) -> None:
    config.write_text(f"{key} = {written}\n")
    assert refusal(config=config).startswith(f"{config}: {key}: ")


def test_a_long_bad_value_is_cut() -> None:
    assert len(refusal({"FLAGGED_CLOCK": "x" * 5000})) < 200


def test_an_unknown_name_is_refused_naming_the_nearest(config: Path) -> None:
    assert refusal({"FLAGGED_BUKET": "6h"}) == (
        "environment variable 'FLAGGED_BUKET' is not a setting; the nearest is FLAGGED_BUCKET "
        "(all are in docs/SETTINGS.md)"
    )
    config.write_text('order_topic = "x"\n')
    assert refusal(config=config) == (
        f"{config}: key 'order_topic' is not a setting; the nearest is orders_topic (all are in docs/SETTINGS.md)"
    )
    assert "the nearest is web_port" in refusal(webport=1)
    assert "the nearest is" in refusal({"FLAGGED_": "x"})


def test_variables_that_are_not_settings_are_left_alone() -> None:
    environ = {
        "FLAGGEDX": "1",
        "FLAGGED_CACHE_DIR": "/x",
        "FLAGGED_MAVEN_URL": "https://x",
        # What Kubernetes sets for a service that is named flagged-products.
        "FLAGGED_PRODUCTS_SERVICE_HOST": "10.0.0.1",
        "FLAGGED_PRODUCTS_SERVICE_PORT": "6066",
        "FLAGGED_PRODUCTS_SERVICE_PORT_WEB": "6066",
        "FLAGGED_PRODUCTS_PORT": "tcp://10.0.0.1:6066",
        "FLAGGED_PRODUCTS_PORT_6066_TCP": "tcp://10.0.0.1:6066",
        "FLAGGED_PRODUCTS_PORT_6066_TCP_ADDR": "10.0.0.1",
    }
    assert load(environ) == Settings()


def test_a_file_that_cannot_be_read_is_refused(config: Path) -> None:
    assert "can't read the settings" in refusal(config=config)
    config.write_text("a = \n")
    assert "not valid TOML" in refusal(config=config)
    config.write_bytes(b"# \xff")
    assert "not UTF-8" in refusal(config=config)


@pytest.mark.parametrize(
    ("environ", "start"),
    [
        ({"FLAGGED_SECURITY_PROTOCOL": "SASL_SSL"}, "sasl_username: needed"),
        (SASL, "sasl_password: needed"),
        ({"FLAGGED_SASL_USERNAME": "u"}, "sasl_username: has no effect"),
        ({"FLAGGED_SASL_PASSWORD": SECRET}, "sasl_password: has no effect"),
        ({"FLAGGED_SSL_CA_FILE": "/x"}, "ssl_ca_file: has no effect"),
        ({"FLAGGED_SECURITY_PROTOCOL": "SSL", "FLAGGED_SSL_KEY_FILE": "/x"}, "ssl_key_file: a key without"),
        (
            {**SASL, "FLAGGED_SASL_PASSWORD": SECRET, "FLAGGED_SASL_PASSWORD_FILE": "/x"},
            "sasl_password, sasl_password_f",
        ),
        ({**SASL, "FLAGGED_SASL_PASSWORD_FILE": "/no/such"}, "sasl_password_file: can't read /no/such"),
        ({"FLAGGED_HEARTBEAT_INTERVAL": "3s", "FLAGGED_SESSION_TIMEOUT": "8s"}, "heartbeat_interval: at most a third"),
        ({"FLAGGED_ORDERS_TOPIC": "marketplace.impressions.v1"}, "two topics have the name"),
        ({"FLAGGED_APP_ID": "x", "FLAGGED_ORDERS_TOPIC": "x-product-changelog"}, "two topics have the name"),
    ],
)
def test_values_that_do_not_go_together_are_refused(environ: dict[str, str], start: str) -> None:
    message = refusal(environ)
    assert message.startswith(start)
    assert SECRET not in message


def test_a_password_is_for_kafka_alone(tmp_path: Path) -> None:
    settings = load({**SASL, "FLAGGED_SASL_PASSWORD": SECRET, "FLAGGED_SASL_MECHANISM": "scram-sha-512"})
    assert settings.kafka_kwargs() == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": SECRET,
    }
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.public())
    assert settings.public()["sasl_password"] == "********"
    assert settings.public()["bucket"] == "6h"


def test_a_bad_password_is_not_shown() -> None:
    assert SECRET not in refusal({**SASL, "FLAGGED_SASL_PASSWORD": SECRET + "\n"})


def test_a_password_may_be_in_a_file(tmp_path: Path, config: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(SECRET.encode() + b" \r\n")
    environ = {**SASL, "FLAGGED_SASL_PASSWORD_FILE": str(path)}
    assert load(environ).sasl_password == SECRET + " "
    config.write_text('sasl_password = "old"\n')
    assert load(environ, config).sasl_password == SECRET + " "
    path.write_text("\n")
    assert "is empty" in refusal(environ)
    path.write_bytes(b"\xff")
    assert "not UTF-8" in refusal(environ)


def test_tls_uses_the_systems_authorities_unless_told() -> None:
    context = load({"FLAGGED_SECURITY_PROTOCOL": "SSL"}).kafka_kwargs()["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    lax = {"FLAGGED_SECURITY_PROTOCOL": "SSL", "FLAGGED_SSL_CHECK_HOSTNAME": "false"}
    context = load(lax).kafka_kwargs()["ssl_context"]
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_REQUIRED)


def test_a_bad_certificate_is_a_user_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no PEM\n")
    for path in (bad, tmp_path / "none.pem", tmp_path):
        for name in ("FLAGGED_SSL_CA_FILE", "FLAGGED_SSL_CERT_FILE"):
            settings = load({"FLAGGED_SECURITY_PROTOCOL": "SSL", name: str(path)})
            with pytest.raises(UserError, match=f"{name[8:].lower()}.*{path.name}"):
                settings.kafka_kwargs()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with the openssl program")
def test_a_client_certificate_is_loaded_and_an_encrypted_key_asks_nobody(tmp_path: Path) -> None:
    cert, key, locked = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "locked.pem"
    made = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-subj",
        "/CN=test",
        "-days",
        "1",
        "-out",
        str(cert),
        "-keyout",
        str(key),
    ]
    subprocess.run(["openssl", *made, "-nodes"], check=True, capture_output=True)
    lock = ["rsa", "-aes256", "-in", str(key), "-out", str(locked), "-passout", "pass:locked-up"]
    subprocess.run(["openssl", *lock], check=True, capture_output=True)
    environ = {
        "FLAGGED_SECURITY_PROTOCOL": "SSL",
        "FLAGGED_SSL_CA_FILE": str(cert),
        "FLAGGED_SSL_CERT_FILE": str(cert),
    }
    context = load({**environ, "FLAGGED_SSL_KEY_FILE": str(key)}).kafka_kwargs()["ssl_context"]
    assert len(context.get_ca_certs()) == 1
    with pytest.raises(UserError, match="unencrypted"):
        load({**environ, "FLAGGED_SSL_KEY_FILE": str(locked)}).kafka_kwargs()


def test_every_setting_has_a_meaning_and_a_default_that_is_valid() -> None:
    for info in setting_infos():
        assert info.meaning.endswith("."), info.name
        assert info.valid, info.name
        shown = info.shown(info.default)
        if shown is not None:
            assert info.reader(shown) == info.default, info.name


def test_the_page_of_settings_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "SETTINGS.md"
    assert page.read_text(encoding="utf-8") == settings_table(), (
        "run: python -m streams.settings_docs > docs/SETTINGS.md"
    )
