"""When a fee is high: exact, judged once, by the policy then in force (SPEC sections 4 and 6)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from streams.domain.fees import is_high
from tests.core.scene import DAY_MS, FEES, T0, Scene, policy


@pytest.mark.parametrize(
    ("fee", "reference_fee", "ratio", "high"),
    [
        ("3.6", "3", "1.2", False),  # in doubles 1.2 x 3 is 3.5999999999999996
        ("3.60", "3.0", "1.20", False),
        ("3.6000000000000000000000000000000000000001", "3", "1.2", True),
        ("3.5999999999999999", "3", "1.2", False),
        ("0.36", "0.3", "1.2", False),
        ("0.3600001", "0.3", "1.2", True),
        ("0", "0.01", "1.2", False),
        ("1", "1", "1", False),
        ("1E+15", "1E-15", "1.2", True),
        # Products of more digits than a Decimal context keeps by default.
        ("1.20" + "0" * 37 + "11", "1." + "0" * 39 + "1", "1.2", False),
        ("1.20" + "0" * 37 + "13", "1." + "0" * 39 + "1", "1.2", True),
        ("1" + "0" * 15 + "." + "0" * 30_000 + "1", "1" + "0" * 15 + "." + "0" * 30_001, "1", True),
    ],
)
def test_fee_is_more_than_ratio_times_reference_fee(fee: str, reference_fee: str, ratio: str, high: bool) -> None:
    assert is_high(Decimal(fee), Decimal(reference_fee), Decimal(ratio)) is high


def test_a_fee_is_judged_once_when_applied_by_the_policy_then_in_force() -> None:
    scene = Scene(
        policy("strict", 0, high_fee_ratio=Decimal("1.2")), policy("lax", T0 + DAY_MS, high_fee_ratio=Decimal("5"))
    )
    scene.fee(T0, "9", "3")
    scene.until(T0 + DAY_MS)
    assert scene.numbers(FEES) == (1, 1)
    scene.fee(T0 + DAY_MS, "9", "3")
    # By the policy in force when it is applied, whenever it occurred.
    scene.fee(T0, "9", "3")
    assert scene.numbers(FEES) == (1, 3)


def test_the_policy_is_that_of_the_product_with_the_fees_own_region() -> None:
    scene = Scene(policy("all"), policy("eu", region="EU", high_fee_ratio=Decimal("5")))
    scene.fee(T0, "9", "3", region="EU")
    assert scene.numbers(FEES) == (0, 1)
    # Fees of an earlier region are told, but do not change the region of the product.
    scene.fee(T0 - 1, "9", "3", region="US")
    assert scene.numbers(FEES) == (0, 2)


def test_with_no_policy_in_force_the_defaults_ratio_serves() -> None:
    scene = Scene(policy("later", T0 + DAY_MS, high_fee_ratio=Decimal("5")))
    scene.fee(T0, "3.6", "3")
    scene.fee(T0, "3.61", "3")
    assert scene.numbers(FEES) == (1, 2)


def test_a_repeat_is_told_by_its_event_id_whatever_it_says() -> None:
    scene = Scene()
    assert scene.fee(T0, "9", event_id="f") == "applied"
    assert scene.fee(T0 + 5, "1", event_id="f", region="EU") == "repeat"
    assert scene.impressions(T0, 1, event_id="f") == "repeat"
    assert scene.fee(T0, "9", event_id="f", product_id="P2") == "applied"
    # Ids of facts about lines are another matter.
    assert scene.placed("O", T0, event_id="f") == "applied"
    assert scene.numbers(FEES) == (1, 1)
    assert scene.product().region_name == "US"
