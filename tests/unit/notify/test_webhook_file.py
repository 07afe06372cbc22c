"""The file of webhooks: what it means, and that a bad one is refused without a word of its secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.errors import UserError
from streams.notify.webhook_file import WEBHOOKS_MAX, Webhook, load_webhooks
from tests.unit.cli.examples import transition

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
OTHER = "whsec_" + "QUJD" * 8
GOOD = f'[[webhook]]\nname = "a"\nurl = "https://a.example/hook"\nsecret = "{SECRET}"\n'


def load(directory: Path, text: str) -> tuple[Webhook, ...]:
    path = directory / "webhooks.toml"
    path.write_text(text)
    return load_webhooks(path)


def test_what_is_left_out_takes_the_default(tmp_path: Path) -> None:
    [webhook] = load(tmp_path, GOOD)
    assert (webhook.name, webhook.url, webhook.timeout_ms, webhook.max_in_flight) == (
        *("a", "https://a.example/hook"),
        *(10_000, 8),
    )
    assert [secret.text() for secret in webhook.secrets] == [SECRET]
    assert webhook.wants(transition("clear", "impacted"))
    assert "MDEy" not in repr(webhook)
    assert "/hook" not in repr(webhook)


def test_everything_can_be_told(tmp_path: Path) -> None:
    (tmp_path / "old").write_text(OTHER + "\n")
    [webhook] = load(
        tmp_path,
        GOOD + 'previous_secret_file = "old"\nsellers = ["S1", "S2"]\nstatuses = ["impacted"]\nregions = ["US"]\n'
        'timeout = "2s"\nmax_in_flight = 3\n',
    )
    assert [secret.text() for secret in webhook.secrets] == [SECRET, OTHER]
    assert (webhook.timeout_ms, webhook.max_in_flight) == (2_000, 3)
    assert webhook.wants(transition("clear", "impacted"))
    assert not webhook.wants(transition("clear", "at_risk"))
    assert not webhook.wants(transition("clear", "impacted", seller_id="S3"))
    assert not webhook.wants(transition("clear", "impacted", seller_id=None))


def test_a_log_tells_the_place_only(tmp_path: Path) -> None:
    [webhook] = load(tmp_path, GOOD.replace("https://a.example/hook", "https://u:pw@a.example:8443/x?key=1"))
    assert webhook.place == "https://a.example:8443"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: webhook: there is none"),
        ("[[webhook]", "not valid TOML"),
        ("[webhook]\n", ":1: webhook: must be [[webhook]] tables"),
        (GOOD + "colour = 1\n", ":5: webhook.colour: unknown"),
        (GOOD.replace('name = "a"\n', ""), ":1: webhook.name: is missing"),
        (GOOD.replace('"a"', '"a b"'), ':2: webhook.name: "a b" is not valid'),
        (GOOD + GOOD, ':6: webhook.name: "a" is the name of another webhook'),
        (GOOD.replace("https", "ftp"), ":3: webhook.url: is not valid: give an http or https URL"),
        (GOOD.replace("a.example/", "a.example:x/"), ":3: webhook.url: is not valid"),
        (GOOD.replace("a.example/", "/"), ":3: webhook.url: is not valid"),
        (GOOD.replace(f'secret = "{SECRET}"\n', ""), ":1: webhook.secret: is missing"),
        (GOOD.replace(SECRET, "topsecret-but-short"), ":4: webhook.secret: is not valid: give whsec_"),
        (GOOD + 'secret_file = "x"\n', ":5: webhook.secret_file: secret is given too"),
        (GOOD + 'previous_secret_file = "missing"\n', ":5: webhook.previous_secret_file: can't read"),
        (GOOD + 'previous_secret_file = "webhooks.toml"\n', "webhooks.toml holds no secret"),
        (GOOD + "sellers = []\n", ":5: webhook.sellers: a list is not valid: give a list of one string or more"),
        (GOOD + 'statuses = ["bad"]\n', "give a list of clear, at_risk, impacted, resolved"),
        (GOOD + 'timeout = "2h"\n', ':5: webhook.timeout: "2h" is not valid'),
        (GOOD + "timeout = 2\n", ":5: webhook.timeout: 2 is not valid"),
        (GOOD + "max_in_flight = 0\n", ":5: webhook.max_in_flight: 0 is not valid"),
        (GOOD + "max_in_flight = true\n", ":5: webhook.max_in_flight"),
        ("".join(GOOD.replace('"a"', f'"w{number}"') for number in range(WEBHOOKS_MAX + 1)), "there may be 100"),
    ],
)
def test_a_bad_file_is_refused_naming_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as refusal:
        load(tmp_path, text)
    assert said in str(refusal.value)
    assert str(refusal.value).startswith(str(tmp_path / "webhooks.toml"))
    for secret in (SECRET, "topsecret", "a.example"):
        assert secret not in str(refusal.value)


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="set FLAGGED_WEBHOOKS_FILE"):
        load_webhooks(None)
    with pytest.raises(UserError, match="can't read the webhooks file"):
        load_webhooks(tmp_path / "missing.toml")
