"""The page's modules that need no page, run by the Node that comes with Playwright."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright._impl._driver import compute_driver_executable

from tests.unit.web.page import STATIC

ODD_IDS = ["P1", "a/b", 'q"<b>', "100%", "%2F", "?x=1#y", " ", "naïve ü", "日本", "😀", "..", "a&b=c+d", "x" * 256]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(STATIC / "js", folder / "js")
    # Node takes `.js` for a module only where a package says so; a browser is told by the page.
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def run(modules: Path, code: str, value: object = None) -> Any:
    """What `code`, the body of an async function of `value`, returns."""
    script = (
        f"const value = {json.dumps(value)};\n"
        f"const result = await (async () => {{ {code} }})();\n"
        "console.log(JSON.stringify(result ?? null));\n"
    )
    (modules / "test.js").write_text(script, encoding="utf-8")
    node = compute_driver_executable()[0]
    done = subprocess.run([node, "test.js"], cwd=modules, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


STREAM = (
    ": ping\r\n\r\n"
    'id: 7\r\nevent: change\r\ndata: {"product_id":"ü"}\r\n\r\n'
    "event: reset\rdata: {}\r\r"
    "retry: 1500\ndata: a\ndata:b\nid\n\n"
    "event: lost\nid: 9\n\n"
    "data: cut off"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_a_stream_reads_the_same_however_it_is_cut(modules: Path, size: int) -> None:
    parts = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    events, retries = run(
        modules,
        """const { EventParser } = await import("./js/sse.js");
        const events = [], retries = [];
        const onEvent = ({ type, id, data }) => events.push([type, id ?? null, data]);
        const parser = new EventParser(onEvent, (ms) => retries.push(ms));
        for (const part of value) parser.feed(part);
        return [events, retries];""",
        parts,
    )
    assert events == [["change", "7", '{"product_id":"ü"}'], ["reset", "7", "{}"], ["message", "", "a\nb"]]
    assert retries == [1500]


def test_only_web_addresses_become_links(modules: Path) -> None:
    urls = [
        "https://a.example/x?y=1",
        "http://a.example/",
        "javascript:alert(1)",
        " jAvascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "blob:https://a.example/1",
        "file:///etc/passwd",
        "/relative",
        "",
        None,
    ]
    answers = run(
        modules, 'const { safeUrl } = await import("./js/links.js"); return value.map((url) => safeUrl(url));', urls
    )
    assert answers == [*urls[:2], *[None] * (len(urls) - 2)]


def test_every_id_finds_its_way_through_the_address(modules: Path) -> None:
    routes = run(
        modules,
        """const { route } = await import("./js/router.js");
        const { productHash } = await import("./js/links.js");
        // As the address bar hands it back.
        return value.map((id) => route(new URL(productHash(id), "https://a.example/").hash));""",
        ODD_IDS,
    )
    assert routes == [{"view": "details", "productId": product_id} for product_id in ODD_IDS]


@pytest.mark.parametrize("address", ["", "#", "#/", "#/product/", "#/product/%E0%A4%A", "#elsewhere"])
def test_an_address_that_names_no_product_leads_to_the_list(modules: Path, address: str) -> None:
    assert (
        run(modules, 'const { route } = await import("./js/router.js"); return route(value).view;', address) == "list"
    )


def test_the_lists_settings_come_back_from_the_address(modules: Path) -> None:
    settings = {
        "status": "at_risk",
        "reason": "late_dispatch_rate",
        "region": "a&b=c",
        "q": "50% +#?",
        "seller_id": "S/1",
        "sort": "-effective_at",
    }
    code = """const { route } = await import("./js/router.js");
        const { hashOf, settingsOf } = await import("./js/address.js");
        return settingsOf(route(new URL(hashOf(value), "https://a.example/").hash).params);"""
    assert run(modules, code, settings) == settings
    unknown = run(
        modules,
        """const { hashOf, settingsOf } = await import("./js/address.js");
        return hashOf(settingsOf(new URLSearchParams("status=clear&reason=x&sort=y")));""",
    )
    assert unknown == "#/"


def test_the_readers_language_is_taken_if_it_is_offered(modules: Path) -> None:
    wishes = [["de-AT", "en"], ["fr"], ["pt-BR"], [], ["fr", "de"]]
    code = """const { choose } = await import("./js/texts.js");
        return value.map((one) => choose(["en", "de", "pt-BR"], one));"""
    assert run(modules, code, wishes) == ["de", "en", "pt-BR", "en", "de"]


def test_what_cannot_be_seen_in_an_id_is_written_out(modules: Path) -> None:
    ids = ["P1", "a\u202eb", "a\x00b", "a\u200bb", "👩\u200d💻", "zero\ufeff"]
    code = 'const { shown } = await import("./js/dom.js"); return value.map(shown);'
    assert run(modules, code, ids) == ["P1", "a\\u{202e}b", "a\\u{0}b", "a\\u{200b}b", "👩\u200d💻", "zero\\u{feff}"]


def test_a_duration_is_told_in_the_largest_unit_that_tells_it_whole(modules: Path) -> None:
    code = 'const { duration } = await import("./js/format.js"); return value.map(duration);'
    hour = 3_600_000
    assert run(modules, code, [72 * hour, 24 * hour, 36 * hour, hour // 2]) == [
        "3 days",
        "1 day",
        "36 hours",
        "30 minutes",
    ]
