"""The collector's policy, in a process of its own: it is the whole process's."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


def run(code: str) -> str:
    program = f"import asyncio, gc, weakref\nfrom streams import collector\n{textwrap.dedent(code)}"
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


PRELUDE = """
class Node: pass
def cycle():
    node = Node(); node.me = node
    return weakref.ref(node), node
loop = asyncio.new_event_loop()
judge = collector.Collector(loop)
judge.start()
def many(): return [[i] for i in range(2 * collector.YOUNG_OBJECTS)]
"""


@pytest.mark.parametrize(
    ("meanwhile", "gone"),
    [
        pytest.param("del node; kept = many()", True, id="a young cycle is found"),
        pytest.param("kept = many(); del node; more = many()", False, id="one that was looked at is left alone"),
        pytest.param("kept = many(); del node; collector.collect_all()", True, id="until all is gone through"),
    ],
)
def test_cycles(meanwhile: str, gone: bool) -> None:
    assert run(f"{PRELUDE}\nref, node = cycle()\n{meanwhile}\nprint(ref() is None)") == str(gone)


def test_what_stays_is_looked_at_once() -> None:
    code = """
    kept = [many() for _ in range(10)]
    looked_at_again = len(gc.get_objects(1)) + len(gc.get_objects(2))
    print(judge.looks, looked_at_again, gc.get_freeze_count())
    """
    looks, looked_at_again, frozen = map(int, run(PRELUDE + textwrap.dedent(code)).split())
    assert looks >= 15
    assert looked_at_again == 0
    assert frozen > 10 * 5_000 * 0.9


def test_all_is_gone_through_after_so_many_looks() -> None:
    code = """
    collector.LOOKS_BEFORE_ALL = 3
    ref, node = cycle()
    kept = [many()]
    del node
    kept += [many() for _ in range(3)]
    assert ref() is not None
    loop.run_until_complete(asyncio.sleep(0))
    print(ref() is None)
    """
    assert run(PRELUDE + textwrap.dedent(code)) == "True"


def test_it_can_be_left_to_itself_again() -> None:
    assert run(f"{PRELUDE}\njudge.stop()\nprint(gc.get_threshold(), gc.callbacks, gc.get_freeze_count())") == (
        "(700, 10, 10) [] 0"
    )
