"""Output events, to the byte (SPEC section 8)."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from streams.codecs.outputs import encode_snapshot, encode_transition, event_id_of, transition_headers
from streams.domain.transitions import Evidence, MetricNumbers, Reason, Snapshot, Transition

AT = 1_772_477_970_000

REASON = Reason(
    metric="unshipped_overdue_rate",
    level="impacted",
    primary=True,
    since=AT - 48 * 3_600_000,
    numerator=5,
    denominator=40,
    rate=0.125,
    lower_bound=0.0725,
    at_risk_threshold=0.04,
    impacted_threshold=0.1,
    exit_threshold=0.08,
    window_from=1_771_891_200_000,
    window_to=AT,
    message="5 of 40 lines due are unshipped past their ship-by time",
    evidence=(Evidence("O9", "1", AT - 1), Evidence("O8", None, AT - 2)),
    evidence_total=5,
    review_url=None,
    documentation_url="https://d/é",
)

TRANSITION = Transition(
    product_id="P123",
    seller_id="S1",
    region="US",
    category=None,
    sequence=17,
    change="status_changed",
    previous_status="at_risk",
    current_status="impacted",
    cause="threshold_breach",
    effective_at=AT,
    policy_version="us-2026-03",
    relapse_count=0,
    reasons=(REASON,),
    previous_reasons=(("unshipped_overdue_rate", "at_risk"),),
)

REASON_TEXT = (
    '{"metric":"unshipped_overdue_rate","level":"impacted","primary":true,"since":"2026-02-28T18:59:30.000Z",'
    '"numerator":5,"denominator":40,"rate":0.125,"lower_bound":0.0725,"at_risk_threshold":0.04,'
    '"impacted_threshold":0.1,"exit_threshold":0.08,"window_from":"2026-02-24T00:00:00.000Z",'
    '"window_to":"2026-03-02T18:59:30.000Z","message":"5 of 40 lines due are unshipped past their ship-by time",'
    '"evidence":[{"order_id":"O9","line_id":"1","at":"2026-03-02T18:59:29.999Z"},'
    '{"order_id":"O8","line_id":null,"at":"2026-03-02T18:59:29.998Z"}],"evidence_total":5,"review_url":null,'
    '"documentation_url":"https://d/é"}'
)


def test_a_transition_is_compact_json_with_keys_in_the_contracts_order() -> None:
    assert encode_transition(TRANSITION).decode() == (
        '{"event_id":"P123:17","type":"flagged-products.flag-status-changed.v1","product_id":"P123","seller_id":"S1",'
        '"region":"US","category":null,"sequence":17,"change":"status_changed","previous_status":"at_risk",'
        '"current_status":"impacted","cause":"threshold_breach","effective_at":"2026-03-02T18:59:30.000Z",'
        '"policy_version":"us-2026-03","relapse_count":0,"reasons":[' + REASON_TEXT + "],"
        '"previous_reasons":[{"metric":"unshipped_overdue_rate","level":"at_risk"}]}'
    )


def test_a_resolved_transition_has_no_reasons() -> None:
    text = encode_transition(replace(TRANSITION, reasons=(), current_status="resolved", policy_version=None)).decode()
    assert '"policy_version":null,"relapse_count":0,"reasons":[],"previous_reasons":[' in text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('a"b\\c', r'"a\"b\\c"'),
        ("é😀\u2028</", '"é😀\u2028</"'),  # raw UTF-8, slash and all
        ("\b\f\n\r\t\x00\x1f", r'"\b\f\n\r\t\u0000\u001f"'),
        ("\x7f", '"\x7f"'),
    ],
)
def test_strings_are_raw_utf8_escaped_only_where_json_must(text: str, written: str) -> None:
    assert f'"region":{written},' in encode_transition(replace(TRANSITION, region=text)).decode()


@pytest.mark.parametrize(
    ("rate", "written"), [(0.0, "0.0"), (1.0, "1.0"), (0.1, "0.1"), (0.0001, "0.0001"), (0.3333, "0.3333")]
)
def test_numbers_with_a_fraction_are_the_shortest_decimals_with_a_point(rate: float, written: str) -> None:
    text = encode_transition(replace(TRANSITION, reasons=(replace(REASON, rate=rate),))).decode()
    assert f'"rate":{written},' in text


def test_headers_are_cloud_events_in_binary_mode() -> None:
    assert transition_headers("Pé", 17, AT, "/flagged/1") == (
        ("ce_specversion", b"1.0"),
        ("ce_id", "Pé:17".encode()),
        ("ce_type", b"flagged-products.flag-status-changed.v1"),
        ("ce_source", b"/flagged/1"),
        ("ce_subject", "Pé".encode()),
        ("ce_time", b"2026-03-02T18:59:30.000Z"),
        ("content-type", b"application/json"),
    )
    assert event_id_of("P:1", 2) == "P:1:2"


def test_a_snapshot_is_the_same_object_without_what_moved_and_with_all_numbers() -> None:
    snapshot = Snapshot(
        product_id="P123",
        seller_id="S1",
        region="US",
        category="toys",
        sequence=17,
        current_status="impacted",
        effective_at=AT,
        policy_version="us-2026-03",
        relapse_count=2,
        reasons=(REASON,),
        metrics=(MetricNumbers("unshipped_overdue_rate", 5, 40, 0.125, 0.0725, "impacted"),),
        impressions=((1_772_409_600_000, 2**60),),
        updated_at=AT + 60_000,
    )
    assert encode_snapshot(snapshot).decode() == (
        '{"event_id":"P123:17","type":"flagged-products.flag-status.v1","product_id":"P123","seller_id":"S1",'
        '"region":"US","category":"toys","sequence":17,"current_status":"impacted",'
        '"effective_at":"2026-03-02T18:59:30.000Z","policy_version":"us-2026-03","relapse_count":2,'
        '"reasons":[' + REASON_TEXT + "],"
        '"metrics":{"unshipped_overdue_rate":{"numerator":5,"denominator":40,"rate":0.125,"lower_bound":0.0725,'
        '"level":"impacted"}},"impressions":[{"date":"2026-03-02","count":1152921504606846976}],'
        '"updated_at":"2026-03-02T19:00:30.000Z"}'
    )
    assert set(orjson.loads(encode_transition(TRANSITION))) - set(orjson.loads(encode_snapshot(snapshot))) == {
        *("change", "cause", "previous_status", "previous_reasons"),
    }
