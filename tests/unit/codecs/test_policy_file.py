"""The policy file: what is read, and each way to be refused, with its line and field (SPEC section 6)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli.policy import command
from streams.codecs.policy_file import LARGEST_FILE_BYTES, load_policies, parse_policies
from streams.domain.policy import DAY_MS, DEFAULT_METRICS, DEFAULT_POLICY, HOUR_MS, METRICS, Policy
from streams.errors import UserError

BUCKET_MS = 6 * HOUR_MS
HEAD = '[[policy]]\nversion = "v"\neffective_from = 2026-03-01T00:00:00Z\n'
LATE = HEAD + "[policy.metrics.late_dispatch_rate]\n"

FULL = """
[[policy]]
version = "us-2026-03"
effective_from = 2026-03-01T01:00:00.1239+01:00
region = "US"
category = ""
exit_ratio = 0.75
dwell = "36h"
resolved_for = "1ms"
severe_ratio = 2.50
severe_k_min = 7
wilson_z = 2
high_fee_ratio = 1.25

[policy.metrics.late_dispatch_rate]
window = "36h"
n_min = 5
k_min = 5
at_risk = 0.0500
impacted = 1
grace = "0s"
enabled = false
severe = false
review_url = "https://r/{product_id}?x={other}"
documentation_url = "https://d"
[policy.metrics.high_shipping_fee_rate]
severe = true
"""


def only(source: str) -> Policy:
    (policy,) = parse_policies(source, "p.toml", BUCKET_MS).policies
    return policy


def refusal(source: str) -> str:
    with pytest.raises(UserError) as caught:
        parse_policies(source, "p.toml", BUCKET_MS)
    return str(caught.value)


def test_without_a_file_the_default_is_in_force() -> None:
    assert load_policies(None, BUCKET_MS).policies == (DEFAULT_POLICY,)


def test_what_is_left_out_takes_the_default() -> None:
    assert only(HEAD) == Policy(version="v", effective_from_ms=1_772_323_200_000)


def test_every_value_is_read_exactly() -> None:
    policy = only(FULL)
    assert policy.version == "us-2026-03"
    assert policy.effective_from_ms == 1_772_323_200_123
    assert policy.selector == ("US", "")
    assert [str(ratio) for ratio in (policy.exit_ratio, policy.severe_ratio, policy.high_fee_ratio)] == [
        "0.75",
        "2.50",
        "1.25",
    ]
    assert (policy.dwell_ms, policy.resolved_for_ms, policy.severe_k_min) == (36 * HOUR_MS, 1, 7)
    assert isinstance(policy.wilson_z, float)
    assert policy.wilson_z == 2.0
    assert policy.metrics[:3] == DEFAULT_METRICS[:3]
    late, fees = policy.metrics[3:]
    assert (late.window_ms, late.n_min, late.k_min, late.grace_ms) == (36 * HOUR_MS, 5, 5, 0)
    assert (str(late.at_risk), late.impacted) == ("0.0500", Decimal(1))
    assert (late.enabled, late.severe) == (False, False)
    assert (late.review_url, late.documentation_url) == ("https://r/{product_id}?x={other}", "https://d")
    assert fees.severe
    assert fees.window_ms == 7 * DAY_MS


@pytest.mark.parametrize(
    "written", ['"2026-03-01T00:00:00Z"', "2026-03-01 00:00:00Z", '"2026-03-01T02:00:00.000999+02:00"']
)
def test_a_time_may_be_a_date_time_or_a_string(written: str) -> None:
    assert only(f'[[policy]]\nversion = "v"\neffective_from = {written}').effective_from_ms == 1_772_323_200_000


@pytest.mark.parametrize(
    "source",
    [
        'policy = [{version = "v", effective_from = 2026-03-01T00:00:00Z, metrics.late_dispatch_rate = {n_min = 30}}]',
        HEAD + "metrics.late_dispatch_rate.n_min = 30",
        HEAD + "[policy.metrics]\nlate_dispatch_rate = {n_min = 30}",
    ],
)
def test_inline_tables_and_dotted_keys_do_as_well(source: str) -> None:
    assert only(source).metrics[METRICS.index("late_dispatch_rate")].n_min == 30


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "p.toml:1: policy: there is none; write at least one [[policy]] table"),
        ("\n# x\npolicy = []", "p.toml:3: policy: there is none; write at least one [[policy]] table"),
        ('\n[policy]\nversion = "v"', "p.toml:2: policy: must be [[policy]] tables, not a single table"),
        ("policy = [\n 1]", "p.toml:2: policy: must be [[policy]] tables, not 1"),
        (HEAD + "[polcy]", "p.toml:4: polcy: unknown; the nearest name is policy"),
        (HEAD + "dwel = '3d'", "p.toml:4: policy.dwel: unknown; the nearest name is dwell"),
        (
            HEAD + "[policy.metrics.late_rate]",
            "p.toml:4: policy.metrics.late_rate: unknown; the nearest name is late_dispatch_rate",
        ),
        (
            LATE + "windows = '30d'",
            "p.toml:5: policy.metrics.late_dispatch_rate.windows: unknown; the nearest name is window",
        ),
        ('\n[[policy]]\nversion = "v"', "p.toml:2: policy.effective_from: is missing"),
        ("[[policy]]\neffective_from = 2026-03-01T00:00:00Z", "p.toml:1: policy.version: is missing"),
        (HEAD + "metrics = 3", "p.toml:4: policy.metrics: must be a table, not 3"),
        (HEAD + "[[policy.metrics]]", "p.toml:4: policy.metrics: must be a table, not a list"),
        (
            HEAD + "metrics.late_dispatch_rate = true",
            "p.toml:4: policy.metrics.late_dispatch_rate: must be a table, not true",
        ),
        (
            HEAD + "# x\n\n" + HEAD,
            "p.toml:8: policy.effective_from: the policy of line 1 has the same time, region and category",
        ),
    ],
)
def test_what_does_not_belong_is_refused(source: str, message: str) -> None:
    assert refusal(source) == message


POLICY_VALUES = [
    ("version", "3", "3 is not valid: give a string of 1 to 256 characters"),
    ("version", '""', '"" is not valid: give a string of 1 to 256 characters'),
    ("region", "true", "true is not valid: give a string of 0 to 256 characters"),
    ("category", "[]", "a list is not valid: give a string of 0 to 256 characters"),
    ("exit_ratio", "0", "0 is not valid: give a number, more than 0, at most 1"),
    ("exit_ratio", "1.0001", "1.0001 is not valid: give a number, more than 0, at most 1"),
    ("exit_ratio", '"0.8"', '"0.8" is not valid: give a number, more than 0, at most 1'),
    ("exit_ratio", "nan", "NaN is not valid: give a number, more than 0, at most 1"),
    ("exit_ratio", "true", "true is not valid: give a number, more than 0, at most 1"),
    ("exit_ratio", "1e-31", "1E-31 is not valid: give at most 30 decimals"),
    ("severe_ratio", "0.99", "0.99 is not valid: give a number, 1 or more, at most 1000000000"),
    ("severe_ratio", "inf", "Infinity is not valid: give a number, 1 or more, at most 1000000000"),
    ("severe_ratio", "1e99999999999999999999", "NaN is not valid: give a number, 1 or more, at most 1000000000"),
    ("severe_k_min", "10.0", "10.0 is not valid: give a whole number, 0 or more"),
    ("severe_k_min", "-1", "-1 is not valid: give a whole number, 0 or more"),
    ("wilson_z", "-0.1", "-0.1 is not valid: give a number, 0 or more, at most 100"),
    ("high_fee_ratio", "0.0", "0.0 is not valid: give a number, more than 0, at most 1000000000"),
    ("dwell", "3", '3 is not valid: give a duration as a string, such as "48h", "30d" or "90m"'),
    (
        "dwell",
        '"3 days"',
        '"3 days" is not valid: not a duration; write a whole number and a unit (ms, s, m, h, d), such as "90m"',
    ),
    ("resolved_for", '"0d"', '"0d" is not valid: give 1ms or more'),
]


@pytest.mark.parametrize(("key", "written", "message"), POLICY_VALUES)
def test_a_bad_value_of_a_policy_is_refused(key: str, written: str, message: str) -> None:
    head = HEAD.replace('version = "v"\n', "") if key == "version" else HEAD
    source = f"{head}\n{key} = {written}"
    assert refusal(source) == f"p.toml:{source.count(chr(10)) + 1}: policy.{key}: {message}"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2026-03-01", "2026-03-01"),
        ("00:00:00", "00:00:00"),
        ("1772323200000", "1772323200000"),
        ('"2026-03-01T00:00:00"', '"2026-03-01T00:00:00"'),
        ('"2026-03-01 00:00:00Z"', '"2026-03-01 00:00:00Z"'),
    ],
)
def test_what_is_no_time_is_refused(written: str, shown: str) -> None:
    assert refusal(f'[[policy]]\nversion = "v"\neffective_from = {written}') == (
        f"p.toml:3: policy.effective_from: {shown} is not valid: "
        "give a date-time with offset, such as 2026-03-01T00:00:00Z"
    )


def test_a_naive_time_and_one_before_1970_are_refused() -> None:
    assert refusal('[[policy]]\neffective_from = 2026-03-01T00:00:00\nversion = "v"') == (
        "p.toml:2: policy.effective_from: 2026-03-01T00:00:00 is not valid: it has no offset; "
        "give a date-time with offset, such as 2026-03-01T00:00:00Z"
    )
    assert refusal('[[policy]]\neffective_from = 1970-01-01T00:00:00+01:00\nversion = "v"') == (
        "p.toml:2: policy.effective_from: 1970-01-01T00:00:00+01:00 is not valid: give a time from 1970 on"
    )


METRIC_VALUES = [
    ('window = "7h"', "window", "7h is not a multiple of the bucket width 6h"),
    ('window = "0d"', "window", '"0d" is not valid: give 1ms or more'),
    ("n_min = 0", "n_min", "0 is not valid: give a whole number, 1 or more"),
    ("n_min = 9007199254740993", "n_min", "9007199254740993 is not valid: give a whole number, 1 or more"),
    ("k_min = 0", "k_min", "0 is not valid: give a whole number, 1 or more"),
    ("k_min = true", "k_min", "true is not valid: give a whole number, 1 or more"),
    ("k_min = 21", "k_min", "21 is more than n_min, which is 20"),
    ("n_min = 2", "n_min", "2 is less than k_min, which is 3"),
    ("at_risk = 0", "at_risk", "0 is not valid: give a number, more than 0, at most 1"),
    ("at_risk = 0.00001", "at_risk", "0.00001 is not valid: a threshold has at most 4 decimals"),
    (
        "at_risk = 0.0100000000000000000000000000000000001",
        "at_risk",
        "0.0100000000000000000000000000000000001 is not valid: give at most 30 decimals",
    ),
    ("at_risk = 0.11", "at_risk", "0.11 is more than impacted, which is 0.10"),
    ("impacted = 1.01", "impacted", "1.01 is not valid: give a number, more than 0, at most 1"),
    ("impacted = 0.03", "impacted", "0.03 is less than at_risk, which is 0.04"),
    ("grace = '-1h'", "grace", None),
    ("enabled = 1", "enabled", "1 is not valid: give true or false"),
    ("severe = 'no'", "severe", '"no" is not valid: give true or false'),
    ("review_url = 3", "review_url", "3 is not valid: give a string of 1 to 2048 characters"),
    ("documentation_url = ''", "documentation_url", '"" is not valid: give a string of 1 to 2048 characters'),
]


@pytest.mark.parametrize(("written", "key", "message"), METRIC_VALUES)
def test_a_bad_value_of_a_metric_is_refused(written: str, key: str, message: str | None) -> None:
    place = f"policy.metrics.late_dispatch_rate.{key}: "
    for source, line in (
        (f"{LATE}# x\n{written}\n", 6),
        (f"{HEAD}metrics.late_dispatch_rate = {{ {written} }}", 4),
        (f"{HEAD}\n\nmetrics.late_dispatch_rate.{written}", 6),
    ):
        found = refusal(source)
        assert found.startswith(f"p.toml:{line}: {place}")
        assert message is None or found == f"p.toml:{line}: {place}{message}"


def test_the_line_is_that_of_the_policy_at_fault() -> None:
    good = HEAD + "[policy.metrics.late_dispatch_rate]\nat_risk = 0.05\n"
    bad = HEAD.replace("2026-03-01", "2026-03-02") + "[policy.metrics.late_dispatch_rate]\nat_risk = 0.5\n"
    assert refusal(good + bad).startswith("p.toml:10: policy.metrics.late_dispatch_rate.at_risk: 0.5 is more")


@pytest.mark.parametrize(
    ("source", "start"),
    [
        ("[[policy]]\nversion = ", "p.toml:2: not valid TOML: "),
        ("[[policy]]\nversion = 'a'\nversion = 'b'", "p.toml:3: not valid TOML: "),
        ("[[policy]]\nn = [1,\n2\n", "p.toml:3: not valid TOML: "),
        ("[[policy]]\nn = " + "9" * 5000, "p.toml: not valid TOML: "),
        ("n = " + "[" * 5000 + "]" * 5000, "p.toml: not valid TOML: "),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(source: str, start: str) -> None:
    assert refusal(source).startswith(start)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't read the policy file"):
        load_policies(tmp_path / "none.toml", BUCKET_MS)
    with pytest.raises(UserError, match="can't read the policy file"):
        load_policies(tmp_path, BUCKET_MS)
    path = tmp_path / "p.toml"
    path.write_bytes(b"# \n# \xff\n")
    with pytest.raises(UserError, match=r"p\.toml:2: the policy file is not UTF-8"):
        load_policies(path, BUCKET_MS)
    path.write_bytes(b"#" * (LARGEST_FILE_BYTES + 1))
    with pytest.raises(UserError, match="more than"):
        load_policies(str(path), BUCKET_MS)


def test_the_bucket_width_is_what_windows_are_multiples_of(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(LATE + 'window = "7h"\n')
    assert load_policies(path, HOUR_MS).policies[0].metrics[3].window_ms == 7 * HOUR_MS


def test_check_shows_what_is_in_force_when(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(FULL + "\n" + HEAD + HEAD.replace('"v"', '"[v2]"').replace("2026", "2027"))
    result = CliRunner().invoke(command, ["check", str(path)], env={"FLAGGED_BUCKET": None})
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "all products │ 2026-03-01T00:00:00Z │ 2027-03-01T00:00:00Z │ v │" in words
    assert "all products │ 2027-03-01T00:00:00Z │ │ [v2] │" in words
    assert "region 'US' and category '' │ 2026-03-01T00:00:00Z │ │ us-2026-03 │" in words
    assert "late_dispatch_rate │ disabled │" in words
    assert "high_shipping_fee_rate │ 7d │ 10 │ 3 │ 0.10 │ 0.30 │ 7d │ yes │" in words
    assert words.endswith("good, 3 in all")


def test_check_refuses_a_bad_file_with_a_user_error(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(LATE + 'window = "1h"\n')
    result = CliRunner().invoke(command, ["check", str(path), "--bucket", "6h"])
    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith(f"{path}:5: policy.metrics.late_dispatch_rate.window: ")
    assert CliRunner().invoke(command, ["check", str(path), "--bucket", "1h"]).exit_code == 0
    assert CliRunner().invoke(command, ["check", str(path), "--bucket", "7h"]).exit_code == 2
