from __future__ import annotations

import pytest

from streams.cli.snapshot_page import bars, print_snapshot
from tests.unit.cli.examples import START_MS, reason, snapshot


def page(capsys: pytest.CaptureFixture[str], **changes: object) -> str:
    print_snapshot(snapshot(**changes))  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_all_that_a_snapshot_says_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = page(capsys, relapse_count=1, category="toys")
    assert "P1 is impacted since 2026-01-05 00:00:00 UTC" in text
    assert "seller S1, region US, category toys" in text
    assert "policy us-2026-03; relapsed once; 2 transitions so far" in text
    assert "impacted for unshipped_overdue_rate: 5 of 40 lines due are unshipped past their ship-by time" in text
    assert "rate 12.5 % (lower bound 7.25 %): at risk from 4 %, impacted from 10 %" in text
    assert "below 8 %" in text
    assert "order O0 line 1 (2026-01-05 00:00), order O1 line 1" in text
    assert "and 2 more" in text
    for metric in ("out_of_stock_cancellation_rate", "high_shipping_fee_rate"):
        assert f"{metric}" in text
    assert "Impressions per day (UTC): 3,075 in 28 days, 127 on the best" in text
    assert "\x1b" not in text


def test_a_resolved_product_has_no_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    text = page(capsys, status="resolved", policy_version=None, impressions=(), seller_id=None, region=None)
    assert "P1 is resolved since" in text
    assert "no policy in force; no relapse" in text
    assert "seller -, region -" in text
    assert "Impressions" not in text


def test_ids_cannot_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "[red]\x1b[2J"
    text = page(
        capsys,
        product_id=hostile,
        seller_id=hostile,
        category=hostile,
        policy_version=hostile,
        reasons=(reason(review_url="http://x/\x1b[2J", message=hostile),),
    )
    assert "\x1b" not in text
    assert "[red]" in text


def test_one_day_of_impressions(capsys: pytest.CaptureFixture[str]) -> None:
    text = page(capsys, impressions=((START_MS, 0),))
    assert "Impressions per day (UTC): 0 in 1 days, 0 on the best" in text


def test_bars() -> None:
    assert bars([], 2) == ["", ""]
    assert bars([0, 0], 2) == ["", ""]
    assert bars([8, 4, 2, 1, 0], 1) == ["█ ▄ ▂ ▁"]
    assert bars([16, 8, 9], 2) == ["█   ▁", "█ █ █"]
    # What is not 0 shows, however small.
    assert bars([1_000_000, 1], 2) == ["█", "█ ▁"]
    assert bars([4, 1], 2, " .#") == ["#", "# ."]
