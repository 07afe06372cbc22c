from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from streams.domain.levels import LEVEL_NAMES
from streams.domain.policy import METRICS
from streams.domain.transitions import STATUS_NAMES
from tests.unit.web.page import CATALOGUES, SCRIPTS, STATIC, built_keys, catalogue, plain_keys

ENGLISH = catalogue(STATIC / "texts" / "en.json")
SCHEMA = Path(__file__).parents[3] / "schemas" / "flag-status-changed.schema.json"
METRIC_TEXTS = ("name", "numbers", "meaning", "todo", "review", "at", "good")


def placeholders(text: str | dict[str, str]) -> set[str]:
    forms = [text] if isinstance(text, str) else [form for name, form in text.items() if name != "by"]
    return {name for form in forms for name in re.findall(r"\{(\w+)\}", form)}


def test_every_text_that_the_scripts_name_exists() -> None:
    assert plain_keys() - ENGLISH.keys() == set()
    for pattern in built_keys():
        assert any(re.fullmatch(pattern, key) for key in ENGLISH), pattern


def test_every_text_is_used() -> None:
    patterns = built_keys()
    unused = [key for key in ENGLISH.keys() - plain_keys() if not any(re.fullmatch(one, key) for one in patterns)]
    assert sorted(unused) == []


def test_a_text_is_always_asked_for_by_a_key_that_can_be_found() -> None:
    # t(variable) would escape the two tests above.
    for path in SCRIPTS:
        code = re.sub(r"//.*|/\*[\s\S]*?\*/", "", path.read_text(encoding="utf-8"))
        assert not re.search(r"(?<!function )\bt\((?![\"`])", code), path.name


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_all_its_texts(metric: str) -> None:
    for part in METRIC_TEXTS:
        assert f"metric.{metric}.{part}" in ENGLISH
    assert placeholders(ENGLISH[f"metric.{metric}.numbers"]) == {"k", "n"}


def test_no_text_is_of_a_metric_that_is_no_more() -> None:
    named = {key.split(".")[1] for key in ENGLISH if re.fullmatch(r"metric\.\w+\.\w+", key)}
    assert named == set(METRICS)


def test_the_page_knows_the_metrics_in_the_contracts_order() -> None:
    code = (STATIC / "js" / "status.js").read_text(encoding="utf-8")
    assert tuple(re.findall(r'^  "(\w+)",$', code, re.MULTILINE)) == METRICS


@pytest.mark.parametrize("status", STATUS_NAMES)
def test_every_status_has_its_texts(status: str) -> None:
    assert f"status.{status}" in ENGLISH
    assert f"summary.{status}" in ENGLISH
    if status != "clear":
        for kind in ("empty.{}.title", "empty.{}.text", "empty.see.{}"):
            assert kind.format(status) in ENGLISH


def test_every_level_and_what_it_comes_back_to_has_its_texts() -> None:
    assert {f"status.{level}" if level != "none" else "level.none" for level in LEVEL_NAMES} <= ENGLISH.keys()
    for next_level in ("at_risk", "none"):
        assert {f"recovery.above.{next_level}", f"recovery.below.{next_level}"} <= ENGLISH.keys()


def test_every_cause_has_its_text_and_no_other_has() -> None:
    causes = json.loads(SCHEMA.read_text())["properties"]["cause"]["enum"]
    assert {key.removeprefix("cause.") for key in ENGLISH if key.startswith("cause.")} == set(causes)


def test_every_failure_that_the_page_tells_apart_has_words() -> None:
    code = (STATIC / "js" / "api.js").read_text(encoding="utf-8")
    kinds = set(re.findall(r'\d{3}: "([\w-]+)"', code)) | set(re.findall(r'ApiError\("([\w-]+)"', code))
    kinds |= {"broken"}
    assert {"signed-out", "forbidden", "not-found", "too-many", "not-ready", "offline"} <= kinds
    for kind in kinds:
        assert {f"state.{kind}.title", f"state.{kind}.text"} <= ENGLISH.keys()


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_a_language_says_what_english_says(path: Path) -> None:
    texts = catalogue(path)
    assert texts.keys() == ENGLISH.keys()
    for key, text in texts.items():
        assert placeholders(text) == placeholders(ENGLISH[key]), key
        if isinstance(text, dict):
            assert text["by"] in placeholders(text), key
            assert text["other"]
