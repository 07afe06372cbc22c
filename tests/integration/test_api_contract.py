"""The running API against its own document: schemathesis tries what nobody would send."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from tests.integration.pipeline import Pipeline, pipeline
from tests.integration.serving import make_topics, publish, start_serve, stories, wait_until_ready
from tests.unit.web.serving import OPERATOR, bearer

pytestmark = pytest.mark.integration

PATIENCE_S = 900
CONFIG = Path(__file__).parents[1] / "schemathesis.toml"


@pytest.fixture(scope="module")
def address(broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pipeline(broker, tmp_path_factory.mktemp("serve")) as running:
        make_topics(running)
        asyncio.run(publish(running.settings, stories(products=60, moves=5)))
        yield _served(running)


def _served(running: Pipeline) -> str:
    return wait_until_ready(start_serve(running, FLAGGED_REQUESTS_PER_MINUTE="1000000"))


@pytest.mark.parametrize("headers", [OPERATOR, bearer("S1")], ids=["operator", "seller"])
def test_nothing_that_can_be_sent_gets_an_answer_that_is_not_in_the_document(
    address: str, headers: dict[str, str]
) -> None:
    # The stream of changes does not end; tests/integration/test_serve.py reads it.
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run"),
        *(f"{address}api/v1/openapi.json", "--header", f"Authorization: {headers['Authorization']}"),
        *("--exclude-path", "/api/v1/changes", "--seed", "1", "--no-color"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
