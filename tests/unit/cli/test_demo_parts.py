"""The parts of the demo that need no broker."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from streams.cli import demo_summary
from streams.cli.demo_film import Film, PlainScreen
from streams.cli.demo_play import Outcome, days_of
from streams.cli.demo_screen import LiveScreen, _Picture
from streams.cli.demo_settings import demo_environment
from streams.cli.demo_summary import choose_story, print_next_steps, print_summary, top_reasons, wrapped
from streams.cli.demo_worker import Counts, DemoWorker
from streams.codecs.output_views import TransitionView
from streams.errors import UserError
from streams.settings import DAY_MS
from streams.settings_load import load_settings
from streams.testing.market import Market
from tests.unit.cli.examples import reason, transition, way


def make_film(*ways: list[TransitionView]) -> Film:
    film = Film(Market(products=15))
    film.days, film.sent, film.applied = 12, 20_000, 19_000
    for item in (item for one in ways for item in one):
        film.add(item)
    return film


# -- the market, by days


def test_days_are_the_market_in_its_order() -> None:
    market = Market(products=15, days=10, bad_rate=0.01)
    days = list(days_of(market))
    assert len(days) == 10
    assert [record for day in days for record in day] == list(market)
    for number, day in enumerate(days):
        start_ms = market.start_ms + number * DAY_MS
        assert all(start_ms <= record.timestamp_ms < start_ms + DAY_MS for record in day)


def test_days_on_which_nothing_happens_are_days_too() -> None:
    market = Market(products=1, days=30, events=20)
    days = list(days_of(market))
    assert len(days) == 30
    assert days[-1] == []
    assert sum(map(len, days)) == len(list(market))


# -- the film


def test_products_by_status() -> None:
    film = make_film(way("P00000", "at_risk", "impacted"), way("P00001", "at_risk", "resolved", "clear"))
    assert film.products() == {"clear": 14, "at_risk": 0, "impacted": 1, "resolved": 0}


def test_the_date_is_that_of_the_day_last_played() -> None:
    film = make_film()
    film.days = 1
    assert film.date == "Mon 5 Jan 2026"
    film.days = 42
    assert film.date == "Sun 15 Feb 2026"


def test_without_a_terminal_each_transition_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    film = make_film()
    with PlainScreen(film) as screen:
        screen.show_transition(transition("clear", "at_risk"))
        for film.days in range(1, 43):
            screen.show_day()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 6
    assert "clear -> at_risk" in lines[0]
    assert lines[-1] == "-- Sun 15 Feb 2026, day 42 of 42: 20,000 events sent, 19,000 applied, 0 transitions"


@pytest.mark.parametrize(("width", "height"), [(60, 20), (80, 24), (100, 30), (131, 30), (132, 30), (200, 60)])
def test_the_picture_fits_the_terminal(width: int, height: int) -> None:
    long = "P" * 256
    story = way(long, *("at_risk", "impacted") * 30)
    film = make_film(story)
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    lines = console.render_lines(_Picture(film), pad=False)
    assert len(lines) < height
    texts = ["".join(segment.text for segment in line) for line in lines]
    assert all(len(text) <= width for text in texts)
    assert any("day 12 of 42" in text for text in texts)
    assert any("5 of 40" in text for text in texts)
    assert sum("PPP" in text for text in texts) >= 5


def test_the_live_screen_leaves_the_terminal_as_it_was() -> None:
    film = make_film(way("P00000", "at_risk"))
    out = io.StringIO()
    with LiveScreen(film, Console(file=out, width=100, height=30, force_terminal=True)) as screen:
        screen.show_transition(film.transitions[0])
        screen.show_day()
    assert out.getvalue().rstrip("\n").count("\x1b[?25l") == 1
    assert "\x1b[?25h" in out.getvalue()  # the cursor is back


# -- the summary


def test_the_story_is_a_whole_way_and_short() -> None:
    whole = way("P2", "at_risk", "impacted", "at_risk", "resolved")
    longer = way("P1", "at_risk", "impacted", "at_risk", "resolved", "clear")
    busy = way("P0", *("at_risk", "resolved") * 5)
    assert choose_story([*longer, *busy, *whole]) == whole
    assert choose_story([*longer, *busy]) == longer
    assert choose_story([*busy, *way("P3", "at_risk")]) == busy
    assert choose_story([]) == []


def test_a_change_of_reasons_is_no_turn_of_the_story() -> None:
    whole = way("P2", "at_risk", "at_risk", "impacted", "at_risk", "resolved")
    assert choose_story([*way("P1", "impacted"), *whole]) == whole


def test_top_reasons_are_those_that_led_upwards() -> None:
    late = (reason("late_dispatch_rate"), reason())
    found = [
        transition("clear", "at_risk"),
        transition("clear", "at_risk"),
        transition("at_risk", "impacted", reasons=late),
        transition("impacted", "at_risk", cause="recovered", reasons=late),
    ]
    assert top_reasons(found) == [("unshipped_overdue_rate", 2), ("late_dispatch_rate", 1)]


def test_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    film = make_film(way("P00001", "at_risk", "impacted", "at_risk", "resolved"))
    counts = Counts(cpu_s=2.5)
    counts.outcomes.update(applied=19_000, repeat=900, late=60, refused=40)
    print_summary(film, Outcome(counts, 4.0), None, colour=False)
    text = capsys.readouterr().out
    assert "14 clear, 0 at_risk, 0 impacted, 1 resolved" in text
    assert "1  impacted -> at_risk" in text
    assert "19,000 applied, 900 told twice and counted once, 60 too late to count, 40 bad" in text
    assert "5,000 events/s, 4.0 s for all; the worker used 2.5 s of one processor" in text
    assert "One story: P00001 of seller S1" in text
    assert film.market.stories["P00001"] in text


def test_a_summary_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(make_film(), Outcome(Counts(), 4.0), 1.0, colour=False)
    text = capsys.readouterr().out
    assert "played at 1 day a second" in text
    assert "story" not in text


def test_next_steps_can_be_copied(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    film = make_film(way("P00001", "at_risk"))
    monkeypatch.setattr(demo_summary, "program_name", lambda: "flagged-products")
    print_next_steps(film, 7, 0.0005, None, colour=False)
    text = capsys.readouterr().out
    assert "flagged-products simulate --seed 7 --products 15 --bad 0.0005 --out market.jsonl.gz\n" in text
    assert "flagged-products demo --broker 127.0.0.1:9092\n" in text
    environ = demo_environment("demo-1", "kafka:9092", Path("/nowhere"), None)
    print_next_steps(film, 7, 0.0005, load_settings(environ=environ), colour=False)
    text = capsys.readouterr().out
    assert "export FLAGGED_BROKER=kafka:9092 \\\n" in text
    assert "FLAGGED_FLAG_STATUS_TOPIC=demo-1.flag-status\n" in text
    assert "flagged-products show P00001 --history\n" in text


def test_wrapped() -> None:
    assert wrapped("head  ", "one two three", 14) == ["head  one two", "      three"]
    assert wrapped("\x1b[1mhead\x1b[0m  ", "one two", 10, 6) == ["\x1b[1mhead\x1b[0m  one", "      two"]
    assert wrapped("head", "", 10) == ["head"]


# -- its settings, and its worker


def test_nothing_of_the_users_own_names_is_used() -> None:
    environ = demo_environment("demo-1", "127.0.0.1:1", Path("/nowhere"), None)
    settings = load_settings(environ=environ)
    names = (*settings.input_topics, *settings.output_topics, settings.changelog_topic, settings.app_id)
    assert all(name.startswith("demo-1") for name in names)
    assert (settings.clock, settings.web_port, settings.policy_file) == ("event", 0, None)


def test_how_to_log_in_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("geheim\n")
    own = load_settings(
        environ={
            "FLAGGED_BROKER": "kafka:9093",
            "FLAGGED_SECURITY_PROTOCOL": "SASL_SSL",
            "FLAGGED_SASL_MECHANISM": "SCRAM-SHA-512",
            "FLAGGED_SASL_USERNAME": "me",
            "FLAGGED_SASL_PASSWORD_FILE": str(tmp_path / "password"),
            "FLAGGED_SSL_CHECK_HOSTNAME": "false",
            "FLAGGED_REPLICATION_FACTOR": "3",
            "FLAGGED_APP_ID": "mine",
            "FLAGGED_POLICY_FILE": "mine.toml",
        }
    )
    environ = demo_environment("demo-1", own.broker, tmp_path, own)
    assert "geheim" not in "".join(environ.values())
    settings = load_settings(environ=environ)
    assert settings.sasl_password == "geheim"
    assert (settings.sasl_username, settings.sasl_mechanism) == ("me", "SCRAM-SHA-512")
    assert (settings.ssl_check_hostname, settings.replication_factor) == (False, 3)
    assert (settings.app_id, settings.policy_file) == ("demo-1", None)


def test_a_password_in_the_settings_is_handed_on(tmp_path: Path) -> None:
    own = load_settings(
        environ={
            "FLAGGED_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "FLAGGED_SASL_USERNAME": "me",
            "FLAGGED_SASL_PASSWORD": "geheim",
        }
    )
    assert load_settings(environ=demo_environment("demo-1", own.broker, tmp_path, own)).sasl_password == "geheim"


def test_a_worker_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not even the user's own nonsense reaches it, only what it is given.
    monkeypatch.setenv("FLAGGED_NONSENSE", "1")
    with (
        DemoWorker(tmp_path, {"FLAGGED_CLOCK": "sundial"}) as worker,
        pytest.raises(UserError, match=r"FLAGGED_CLOCK: 'sundial' is not valid") as caught,
    ):
        asyncio.run(worker.wait_until_ready())
    assert "exit code 2" in str(caught.value)
    assert str(tmp_path / "worker.log") in str(caught.value)


def test_a_worker_that_is_not_there_has_counted_nothing(tmp_path: Path) -> None:
    assert asyncio.run(DemoWorker(tmp_path, {}).counts()) == Counts()
