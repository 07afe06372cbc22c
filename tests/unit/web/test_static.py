"""What the page's content security policy and arbitrary ids ask of its files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.web.page import SCRIPTS, STATIC

LINES_MAX = 250
STYLES = [STATIC / "app.css", *sorted((STATIC / "css").glob("*.css"))]
INDEX = (STATIC / "index.html").read_text(encoding="utf-8")


def name(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_data_never_becomes_markup_or_code(path: Path) -> None:
    code = path.read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc"
        r"|\beval\(|new Function|setTimeout\(\s*[\"'`]|javascript:",
        code,
    )


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_a_script_is_no_longer_than_one_can_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_MAX


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_what_a_script_imports_exists(path: Path) -> None:
    for target, names in (
        (match[2], match[1])
        for match in re.finditer(r'import \{([^}]*)\} from "([^"]+)"', path.read_text(encoding="utf-8"))
    ):
        code = (path.parent / target).read_text(encoding="utf-8")
        for imported in (part.strip() for part in names.split(",")):
            assert re.search(rf"export (async )?(function|class|const) {imported}\b", code), f"{target}: {imported}"


def test_every_script_is_used() -> None:
    imported = {
        target for path in SCRIPTS for target in re.findall(r'from "\./([^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert {path.name for path in SCRIPTS} == imported | {"main.js"}


def test_the_index_has_no_script_or_style_of_its_own_and_its_files_exist() -> None:
    assert not re.search(r"<style|\son\w+=|\sstyle=|<script(?![^>]*\ssrc=)", INDEX)
    files = re.findall(r'(?:src|href)="([^"]+)"', INDEX)
    assert {Path(file).name for file in files} >= {path.name for path in STYLES}
    for file in files:
        assert (STATIC / Path(file).relative_to("static")).is_file(), file


@pytest.mark.parametrize("path", [*SCRIPTS, *STYLES, STATIC / "index.html"], ids=name)
def test_nothing_comes_from_another_server(path: Path) -> None:
    foreign = re.findall(
        r"\b(?:https?:)?//[\w.-]+\.\w+", re.sub(r"^\s*//.*", "", path.read_text(encoding="utf-8"), flags=re.M)
    )
    assert [url for url in foreign if "www.w3.org" not in url] == []


def test_every_colour_is_there_for_light_and_for_dark() -> None:
    light, dark = re.findall(r":root \{(.*?)\}", STYLES[0].read_text(encoding="utf-8"), re.DOTALL)
    names = set(re.findall(r"(--[\w-]+):", light)) - {"--radius"}
    assert names == set(re.findall(r"(--[\w-]+):", dark))
