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
    shutil.copy(Path(__file__).parent / "clock.js", folder)
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
    ids = ["P1", " ", "a\u202eb", "a\x00b", "a\u200bb", "👩\u200d💻", "zero\ufeff"]
    code = 'const { shown } = await import("./js/dom.js"); return value.map(shown);'
    assert run(modules, code, ids) == [
        "P1",
        '" "',
        "a\\u{202e}b",
        "a\\u{0}b",
        "a\\u{200b}b",
        "👩\u200d💻",
        "zero\\u{feff}",
    ]


def test_a_duration_is_told_in_the_largest_unit_that_tells_it_whole(modules: Path) -> None:
    code = 'const { duration } = await import("./js/format.js"); return value.map(duration);'
    hour = 3_600_000
    assert run(modules, code, [72 * hour, 24 * hour, 36 * hour, hour // 2]) == [
        "3 days",
        "1 day",
        "36 hours",
        "30 minutes",
    ]


RESOURCE = """const { pass, time } = await import("./clock.js");
    const { Resource } = await import("./js/resource.js");
    const asked = [], states = [];
    let answer = async () => "data";
    const passing = { kind: "server", passes: true, retryAfterMs: null };
    const failure = (fields) => Object.assign(new Error("no"), passing, fields);
    const load = () => { asked.push(time()); return answer(); };
    const resource = new Resource(load, ({ data, error }) => states.push([data, error?.kind ?? null]));
    """


def test_many_wishes_within_a_second_are_one(modules: Path) -> None:
    asked = run(
        modules,
        RESOURCE
        + """resource.restart();
        await pass(100);
        for (let wish = 0; wish < 50; wish += 1) { resource.refresh(); await pass(50); }
        await pass(60_000);
        return asked;""",
    )
    assert asked == [0, 1000, 2000, 3000]


def test_a_wish_while_it_is_asked_is_not_lost(modules: Path) -> None:
    asked = run(
        modules,
        RESOURCE
        + """answer = () => new Promise((resolve) => setTimeout(() => resolve("late"), 5_000));
        resource.restart();
        await pass(10);
        resource.refresh();
        await pass(4_000);
        resource.refresh();
        await pass(60_000);
        return asked;""",
    )
    assert asked == [0, 5000]


def test_a_failure_that_passes_is_tried_again_and_older_data_stays(modules: Path) -> None:
    asked, states = run(
        modules,
        RESOURCE
        + """resource.restart();
        await pass(5_000);
        answer = async () => { throw failure(); };
        resource.refresh();
        await pass(1_000);
        answer = async () => { throw failure({ kind: "too-many", retryAfterMs: 20_000 }); };
        await pass(1_000);
        for (let wish = 0; wish < 5; wish += 1) { resource.refresh(); await pass(1_000); }
        answer = async () => "new";
        await pass(60_000);
        return [asked, states];""",
    )
    # The server's own wish counts, whatever else would make the page ask.
    assert asked == [0, 5000, 7000, 27000]
    assert states == [[None, None], ["data", None], ["data", "server"], ["data", "too-many"], ["new", None]]


def test_a_failure_that_stays_is_not_tried_again(modules: Path) -> None:
    code = """answer = async () => { throw failure({ kind: "forbidden", passes: false }); };
        resource.restart();
        await pass(600_000);
        return [asked, states];"""
    assert run(modules, RESOURCE + code) == [[0], [[None, None], [None, "forbidden"]]]


def test_what_was_asked_before_a_restart_comes_to_nothing(modules: Path) -> None:
    states = run(
        modules,
        RESOURCE
        + """const answers = ["old", "new"];
        answer = () => { const one = answers[asked.length - 1]; return new Promise((resolve) =>
          setTimeout(() => resolve(one), one === "old" ? 5_000 : 1_000)); };
        resource.restart();
        await pass(100);
        resource.restart();
        await pass(60_000);
        return states;""",
    )
    assert states == [[None, None], [None, None], ["new", None]]


FOLLOWED = """const { pass, time } = await import("./clock.js");
    const told = [], asked = [], answers = [];
    globalThis.fetch = async (url, { headers, signal }) => {
      asked.push([time(), headers["Last-Event-ID"] ?? null]);
      const { status = 200, text = "", open = false, retryAfter } = answers.shift() ?? { open: true };
      const body = new ReadableStream({ start(controller) {
        if (text) controller.enqueue(new TextEncoder().encode(text));
        if (!open) controller.close();
        signal.addEventListener("abort", () => open && controller.error(signal.reason));
      } });
      return new Response(body, { status, headers: retryAfter ? { "Retry-After": retryAfter } : {} });
    };
    Math.random = () => 0.5;
    const { ChangeStream } = await import("./js/stream.js");
    const stream = new ChangeStream({
      onState: (state) => told.push(state), onChange: (change) => told.push(change.sequence),
      onReset: () => told.push("reset"), onSignedOut: () => told.push("signed out"),
    });
    """


def test_the_stream_is_taken_up_again_where_it_broke_off(modules: Path) -> None:
    asked, told = run(
        modules,
        FOLLOWED
        + r"""answers.push({ text: 'event: change\nid: 4\ndata: {"sequence":1}\n\n' }, { status: 503, retryAfter: "7" },
          { text: 'event: change\nid: 5\ndata: {"sequence":2}\n\nevent: reset\ndata: {}\n\n', open: true });
        stream.run();
        await pass(20_000);
        return [asked, told];""",
    )
    assert asked == [[0, None], [1000, "4"], [8000, "4"]]
    # The first connection cannot know what came before it; a later one can.
    assert told == ["connecting", "live", "reset", 1, "offline", "offline", "live", 2, "reset"]


def test_a_silent_stream_is_given_up(modules: Path) -> None:
    asked = run(modules, FOLLOWED + "stream.run(); await pass(62_000); return asked;")
    assert [at for at, _ in asked] == [0, 61_000]


def test_the_stream_ends_with_the_session(modules: Path) -> None:
    code = "answers.push({ status: 401 }); stream.run(); await pass(600_000); return [asked.length, told];"
    assert run(modules, FOLLOWED + code) == [1, ["connecting", "signed out"]]
