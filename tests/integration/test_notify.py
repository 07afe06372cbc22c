"""`flagged-products notify`: a real process between a real broker and endpoints that fail in all the usual ways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from streams.broker import EmbeddedBroker
from streams.engine.partitioning import partition_of
from tests.integration.notifying import PARTITIONS, Endpoint, endpoints, notifying, transitions
from tests.integration.waiting import eventually, in_loop
from tests.postgres import new_database, postgres_binaries, running_postgres

pytestmark = pytest.mark.integration

PRODUCTS = [f"P{number}" for number in range(12)]


@in_loop
async def _delivered(broker: EmbeddedBroker, tmp_path: Path) -> None:
    hook, filtered = Endpoint(), Endpoint()
    odd = 'P "ü" 100%\0'
    before, after = transitions(PRODUCTS, 1), transitions([*PRODUCTS, odd], 3, first=2)
    with notifying(broker, tmp_path) as running:
        async with endpoints(hook=hook, filtered=filtered):
            running.webhooks(hook=hook, filtered=filtered)
            text = running.file.read_text()
            running.file.write_text(text + 'sellers = ["S1"]\nstatuses = ["impacted"]\nregions = ["US"]\n')
            await running.create()
            await running.write(before)
            process = await running.ready()
            assert running.page("/readyz")[0] == running.page("/livez")[0] == 200
            await running.write(after)
            # What workers publish twice is no news.
            await running.write(after)
            await eventually(lambda: hook.has(after), "all transitions")
            await running.write(transitions(["last"], 1))
            await eventually(lambda: "last:1" in hook.ids(), "what came last")
            assert len(hook.arrivals) == len(after) + 1
            wanted = {one.event_id for one in after if b'"seller_id":"S1"' in one.value and one.sequence == 2}
            await eventually(lambda: set(filtered.ids()) == wanted, "the filtered ones")
            assert hook.requests[0]["ce-source"] == "/tests"
            assert hook.requests[0]["ce-time"].startswith("2026-01-05T0")
            done = 'flagged_products_notify_deliveries_total{outcome="delivered",webhook="hook"}'
            await eventually(lambda: running.metric(done) == len(after) + 1, "the count of deliveries")
            await running.end(process)

            # Whoever starts again goes on where the last one stopped, whatever it is told of the start.
            await running.write(transitions(["meanwhile"], 1))
            process = await running.ready("--from-start")
            await eventually(lambda: "meanwhile:1" in hook.ids(), "what came meanwhile")
            assert len(hook.arrivals) == len(after) + 2
            await running.end(process)


def test_each_transition_arrives_once_signed_and_as_it_was_published(broker: EmbeddedBroker, tmp_path: Path) -> None:
    _delivered(broker, tmp_path)


@in_loop
async def _from_start(broker: EmbeddedBroker, tmp_path: Path) -> None:
    hook = Endpoint()
    made = transitions(PRODUCTS, 3)
    with notifying(broker, tmp_path) as running:
        async with endpoints(hook=hook):
            running.webhooks(hook=hook)
            await running.create()
            await running.write(made)
            process = await running.ready("--from-start")
            await eventually(lambda: hook.has(made), "all that the topic holds")
            hook.check(made)
            await running.end(process)


def test_the_first_start_can_send_all_that_is_kept(broker: EmbeddedBroker, tmp_path: Path) -> None:
    _from_start(broker, tmp_path)


@in_loop
async def _trouble(broker: EmbeddedBroker, tmp_path: Path) -> None:
    well, failing, hanging, closed = Endpoint(), Endpoint("500"), Endpoint("hang"), Endpoint()
    made = transitions(PRODUCTS, 3)
    with notifying(broker, tmp_path) as running:
        hooks = {"well": well, "failing": failing, "hanging": hanging, "closed": closed}
        async with endpoints(**hooks):
            running.webhooks(**hooks)
            await closed.stop()
            await running.create()
            process = await running.ready()
            await running.write(made)
            await eventually(lambda: well.has(made), "the endpoint that is well to have all")
            for name in ("failing", "hanging", "closed"):
                line = f'flagged_products_notify_circuit_open{{webhook="{name}"}}'
                await eventually(lambda line=line: running.metric(line) == 1, f"{name} to be taken for dead")
            status, text = running.page("/readyz")
            assert (status, text.splitlines()[0]) == (200, "degraded")
            assert "webhook failing: in trouble: HTTP 500" in text
            assert running.page("/livez")[0] == 200
            assert not failing.arrivals + hanging.arrivals + closed.arrivals
            failing.mode = hanging.mode = "ok"
            await closed.start()
            for name, endpoint in hooks.items():
                await eventually(lambda endpoint=endpoint: endpoint.has(made), f"{name} to have all")
                endpoint.check(made)
            await eventually(lambda: running.page("/readyz")[1].startswith("running"), "all to be well")
            await running.end(process)


def test_a_dead_endpoint_holds_up_nobody_and_loses_nothing(broker: EmbeddedBroker, tmp_path: Path) -> None:
    _trouble(broker, tmp_path)


@in_loop
async def _killed(broker: EmbeddedBroker, tmp_path: Path, database_url: str | None, rounds: int) -> None:
    dice = Random(11)
    flaky, slow = Endpoint("flaky"), Endpoint(pause_s=0.02)
    made = transitions(PRODUCTS, 4 * rounds)
    share = len(made) // rounds
    with notifying(broker, tmp_path, database_url) as running:
        async with endpoints(flaky=flaky, slow=slow):
            running.webhooks("max_in_flight = 3", flaky=flaky, slow=slow)
            await running.create()
            process = await running.ready()
            for number in range(rounds):
                count = len(flaky.requests) + len(slow.requests)
                wait = dice.randrange(2 * share)
                await running.write(made[number * share : (number + 1) * share])
                # At some moment of the work, told by what has arrived: no clock says when that is.
                await eventually(
                    lambda count=count, wait=wait, so_far=made[: (number + 1) * share]: (
                        len(flaky.requests) + len(slow.requests) >= count + wait
                        or (flaky.has(so_far) and slow.has(so_far))
                    ),
                    "some deliveries",
                )
                running.kill(process)
                process = await running.ready()
            await eventually(lambda: flaky.has(made) and slow.has(made), "all to arrive")
            for endpoint in (flaky, slow):
                endpoint.check(made)
                # A kill repeats what was in flight, and what was answered but not yet noted: bounded by three of each.
                assert len(endpoint.arrivals) <= len(made) + rounds * 3
            await running.end(process)


def test_kill_9_loses_nothing_and_keeps_the_order(broker: EmbeddedBroker, tmp_path: Path) -> None:
    _killed(broker, tmp_path, None, 4)


def test_kill_9_with_postgres(broker: EmbeddedBroker, tmp_path: Path, postgres_url: str) -> None:
    _killed(broker, tmp_path, new_database(postgres_url), 3)


@in_loop
async def _failed(broker: EmbeddedBroker, tmp_path: Path) -> None:
    gone, failing = Endpoint("410"), Endpoint("500")
    made = transitions(["P1"], 3)
    with notifying(broker, tmp_path) as running:
        running.environ["FLAGGED_NOTIFY_GIVE_UP_AFTER"] = "2s"
        async with endpoints(gone=gone, failing=failing):
            running.webhooks(gone=gone, failing=failing)
            await running.create()
            process = await running.ready()
            await running.write(made)
            await eventually(lambda: running.says("the endpoint is gone (410)"), "the webhook to be disabled")
            assert running.metric('flagged_products_notify_disabled{webhook="gone"}') == 1
            for name in ("gone", "failing"):
                line = f'flagged_products_notify_failed{{webhook="{name}"}}'
                await eventually(lambda line=line: running.metric(line) == 3, f"all of {name} to be given up")
            assert len(gone.requests) == 1
            listed = running.run("--list-failed")
            assert listed.returncode == 0, listed.stderr
            assert listed.stdout.count("  failing  P1:") == 3
            assert "HTTP 500" in listed.stdout
            assert "gone (410)" in running.run("--list-failed", "--webhook", "gone").stdout
            # Put back, and sent by the notifier that runs.
            failing.mode = "ok"
            assert "3 deliveries are queued again" in running.run("--retry-failed", "--webhook", "failing").stdout
            await eventually(lambda: failing.has(made), "what was given up to arrive")
            failing.check(made)
            await running.end(process)


def test_what_is_given_up_is_kept_told_and_can_be_sent_again(broker: EmbeddedBroker, tmp_path: Path) -> None:
    _failed(broker, tmp_path)


@in_loop
async def _pause(broker: EmbeddedBroker, tmp_path: Path) -> None:
    hook = Endpoint("429", retry_after="3")
    made = transitions(["P1"], 2)
    with notifying(broker, tmp_path) as running:
        async with endpoints(hook=hook):
            running.webhooks(hook=hook)
            await running.create()
            process = await running.ready()
            loop = asyncio.get_running_loop()
            await running.write(made)
            await eventually(lambda: bool(hook.requests), "the first request")
            asked, hook.mode = loop.time(), "ok"
            await eventually(lambda: hook.has(made), "all to arrive")
            # At least so long, whatever the machine does meanwhile; less what passed until we looked.
            assert loop.time() - asked > 2.5
            hook.check(made)
            await running.end(process)


def test_an_endpoint_that_asks_for_a_pause_gets_it(broker: EmbeddedBroker, tmp_path: Path) -> None:
    _pause(broker, tmp_path)


@in_loop
async def _stopped(broker: EmbeddedBroker, tmp_path: Path) -> None:
    slow, hanging = Endpoint(pause_s=0.5), Endpoint("hang")
    made = transitions(["P1"], 1)
    with notifying(broker, tmp_path) as running:
        async with endpoints(slow=slow, hanging=hanging):
            running.webhooks(slow=slow, hanging=hanging)
            await running.create()
            process = await running.ready()
            await running.write(made)
            await eventually(lambda: bool(slow.requests and hanging.requests), "requests in flight")
            await running.end(process)
            assert slow.has(made)
            hanging.mode = "ok"
            process = await running.ready()
            await eventually(lambda: hanging.has(made), "what was not answered to be sent again")
            assert len(slow.arrivals) == 1
            await running.end(process)


def test_sigterm_lets_what_is_in_flight_finish(broker: EmbeddedBroker, tmp_path: Path) -> None:
    _stopped(broker, tmp_path)


@in_loop
async def _made_anew(broker: EmbeddedBroker, tmp_path: Path) -> None:
    hook = Endpoint()
    before, after = transitions(["P1"], 3), transitions(["P1", "P2"], 5)
    with notifying(broker, tmp_path) as running:
        async with endpoints(hook=hook):
            running.webhooks(hook=hook)
            await running.create()
            process = await running.ready()
            await running.write(before)
            await eventually(lambda: hook.has(before), "the first topic's transitions")
            await running.delete()
            await eventually(lambda: running.says("the topic was made anew"), "the notifier to notice")
            await running.create()
            await running.write(after)
            await eventually(lambda: hook.has(after), "the new topic's transitions")
            # What is the same to the byte was sent already.
            assert len(hook.arrivals) == len(after)
            hook.check(after)
            await running.end(process)


def test_a_topic_made_anew_is_read_from_its_beginning(broker: EmbeddedBroker, tmp_path: Path) -> None:
    _made_anew(broker, tmp_path)


@in_loop
async def _missed(broker: EmbeddedBroker, tmp_path: Path) -> None:
    hook = Endpoint()
    with notifying(broker, tmp_path) as running:
        async with endpoints(hook=hook):
            running.webhooks(hook=hook)
            await running.create()
            await running.end(await running.ready())
            made = transitions(["P1"], 5)
            await running.write(made)
            await running.delete_records(partition_of(b"P1", PARTITIONS), 3)
            process = await running.ready()
            await eventually(lambda: hook.has(made[3:]), "what is left")
            hook.check(made[3:])
            assert running.says("records were deleted by age before they were read")
            assert running.metric("flagged_products_notify_missed_records_total") == 3
            await running.end(process)


def test_what_was_deleted_before_it_was_read_is_told(broker: EmbeddedBroker, tmp_path: Path) -> None:
    _missed(broker, tmp_path)


@in_loop
async def _stranger(broker: EmbeddedBroker, tmp_path: Path) -> None:
    old, new = Endpoint("500"), Endpoint()
    first, second = transitions(["P1"], 2), transitions(["P2"], 2)
    with notifying(broker, tmp_path) as running:
        async with endpoints(old=old, new=new):
            running.webhooks(old=old)
            await running.create()
            process = await running.ready()
            await running.write(first)
            await eventually(lambda: bool(old.requests), "an attempt")
            await running.end(process)

            running.webhooks(new=new)
            running.environ["FLAGGED_NOTIFY_GIVE_UP_AFTER"] = "1s"
            process = await running.ready()
            assert running.says("deliveries of a webhook that is not in the file wait for it")
            await running.write(second)
            await eventually(lambda: new.has(second), "the new webhook's")
            await eventually(lambda: running.says("given up; see notify --list-failed"), "the old ones to be given up")
            listed = running.run("--list-failed").stdout
            assert listed.count("its webhook is no longer in the file") == len(first)
            assert set(new.ids()) == {one.event_id for one in second}
            await running.end(process)


def test_what_waits_for_a_webhook_that_was_taken_out_is_not_dropped_in_silence(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    _stranger(broker, tmp_path)


@in_loop
async def _outages(broker: EmbeddedBroker, tmp_path: Path) -> None:
    hook = Endpoint()
    made = transitions(PRODUCTS, 4)
    half = len(made) // 2
    with running_postgres() as server, notifying(broker, tmp_path, server.url) as running:
        async with endpoints(hook=hook):
            running.webhooks(hook=hook)
            await running.create()
            process = await running.ready()
            await running.write(made[:half])
            await eventually(lambda: hook.has(made[:half]), "the first half")
            await asyncio.to_thread(server.stop)
            await running.write(made[half:])
            await eventually(lambda: "database:" in running.page("/readyz")[1], "the outage to be told")
            assert running.page("/livez")[0] == 200
            await asyncio.to_thread(server.start)
            await eventually(lambda: hook.has(made), "the other half")
            hook.check(made)
            await eventually(lambda: running.page("/readyz")[1].startswith("running"), "all to be well")
            await running.end(process)


@pytest.mark.skipif(postgres_binaries() is None, reason="PostgreSQL is not installed")
def test_a_database_that_goes_away_is_waited_for(broker: EmbeddedBroker, tmp_path: Path) -> None:
    _outages(broker, tmp_path)


def test_what_a_user_can_mend_is_told_at_the_start(broker: EmbeddedBroker, tmp_path: Path) -> None:
    with notifying(broker, tmp_path) as running:
        assert "can't read the webhooks file" in running.refused()
        running.webhooks(hook=Endpoint(port=1))
        assert running.topic in running.refused()
        changes: list[tuple[str, str, Callable[[str], bool]]] = [
            ("FLAGGED_NOTIFY_DATABASE", "postgresql://u:hush@127.0.0.1:1/x", lambda said: "hush" not in said),
            ("FLAGGED_NOTIFY_DATABASE", "sqlite:////nowhere/x.db", lambda said: "/nowhere/x.db" in said),
            ("FLAGGED_BROKER", "127.0.0.1:1", lambda said: "127.0.0.1" in said),
            ("FLAGGED_WEBHOOKS_FILE", "", lambda said: "set FLAGGED_WEBHOOKS_FILE" in said),
        ]
        for name, value, fits in changes:
            previous, running.environ[name] = running.environ[name], value
            assert fits(running.refused())
            running.environ[name] = previous
