"""seller_id, region and category are, each by itself, those of the latest event that carries it (SPEC section 4)."""

from __future__ import annotations

import pytest

from streams.domain.attributes import Attribute, later
from tests.core.scene import DAY_MS, HOUR_MS, T0, Scene


@pytest.mark.parametrize(
    ("present", "told", "holds"),
    [
        (None, ("b", 5, "e"), "b"),
        (("a", 5, "e"), ("b", 6, "f"), "b"),
        (("a", 5, "e"), ("b", 4, "a"), "a"),
        (("a", 5, "e"), ("b", 5, "d"), "b"),
        (("a", 5, "e"), ("b", 5, "f"), "a"),
        (("a", 5, "z"), ("b", 5, "é"), "a"),
        (("a", 5, "\U00010000"), ("b", 5, "\uffff"), "b"),
    ],
)
def test_the_latest_holds_and_of_equal_times_the_smaller_event_id(
    present: Attribute | None, told: Attribute, holds: str
) -> None:
    assert later(present, told)[0] == holds


def attributes(scene: Scene) -> tuple[str | None, str | None, str | None]:
    product = scene.product()
    return product.seller_id, product.region_name, product.category_name


def test_each_attribute_by_itself() -> None:
    scene = Scene()
    scene.placed("a", T0, seller_id="S1", region="US", category="toys")
    scene.placed("b", T0 + 1, seller_id="S2", region="DE")
    assert attributes(scene) == ("S2", "DE", "toys")  # the second carries no category
    scene.fee(T0 + 2, seller_id="S3", region="FR")
    assert attributes(scene) == ("S3", "FR", "toys")
    scene.placed("c", T0 + 1, seller_id="S4", region="IT", category="books", event_id="zz")
    assert attributes(scene) == ("S3", "FR", "books")
    scene.shipped("a", T0 + 5)
    scene.impressions(T0 + 6, 1)
    assert attributes(scene) == ("S3", "FR", "books")


def test_an_empty_region_or_category_is_one() -> None:
    scene = Scene()
    scene.placed("a", T0, region="US", category="toys")
    scene.placed("b", T0 + 1, region="", category="")
    assert attributes(scene) == ("S1", "", "")


def test_platform_and_sample_lines_carry_attributes_all_the_same() -> None:
    scene = Scene()
    scene.placed("a", T0, region="US")
    scene.placed("b", T0 + 1, region="DE", sample=True)
    assert attributes(scene)[1] == "DE"


def test_a_second_placed_of_a_line_carries_them_too_whichever_holds() -> None:
    scene = Scene()
    scene.placed("a", T0, region="US")
    scene.placed("a", T0 + 1, region="DE")
    assert scene.product().lines["a", "1"].placed_at == T0
    assert attributes(scene)[1] == "DE"


def test_a_repeats_and_a_late_events_attributes_are_dropped() -> None:
    scene = Scene()
    scene.placed("a", T0, event_id="e")
    assert scene.placed("a", T0 + 1, region="DE", event_id="e") == "repeat"
    assert attributes(scene)[1] == "US"
    fresh = Scene()
    fresh.impressions(T0 + 7 * DAY_MS + 1, 1)
    assert fresh.placed("a", T0, region="DE") == "late"
    assert attributes(fresh) == (None, None, None)


def test_nothing_left_forgets_them() -> None:
    scene = Scene()
    scene.placed("a", T0, ship_by=T0 + HOUR_MS, region="US", category="toys")
    scene.cancelled("a", T0 + 1)
    scene.until(T0 + 60 * DAY_MS)
    scene.fee(T0 + 60 * DAY_MS, region="DE")
    assert attributes(scene) == ("S1", "DE", None)
