"""The seller's page of a demo, and the policy whose Review links lead to it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from streams.cli.demo_process import DemoProcess
from streams.domain.policy import METRICS

PORT = 8080
"""Where the page is if nothing else is there."""

_HOST = "127.0.0.1"
_REVIEW = "demo/review?product_id={product_id}&metric="


class DemoPage(DemoProcess):
    """One `flagged-products serve --demo`, at an address that is known before it starts."""

    def __init__(self, directory: Path, environment: Mapping[str, str], address: str) -> None:
        port = address.rstrip("/").rpartition(":")[2]
        super().__init__("serve", ["serve", "--demo", "--host", _HOST, "--port", port], directory, environment)
        self.address = address


def page_address(port: int | None) -> str:
    """The address of a page on this port; without one, on the usual port, or on a free one if that is taken."""
    chosen = next(filter(_is_free, (PORT, 0)), 0) if port is None else port
    return f"http://{_HOST}:{chosen or _free_port()}/"


def _is_free(port: int) -> bool:
    try:
        socket.create_server((_HOST, port)).close()
    except OSError:
        return False
    return port != 0


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as found:
        return int(found.getsockname()[1])


def demo_policy(address: str) -> str:
    """A policy file: SPEC's thresholds, with Review links into the demo's page."""
    lines = ["[[policy]]", 'version = "default"', "effective_from = 1970-01-01T00:00:00Z"]
    for metric in METRICS:
        lines += [f"[policy.metrics.{metric}]", f'review_url = "{address}{_REVIEW}{metric}"']
    return "\n".join(lines) + "\n"
