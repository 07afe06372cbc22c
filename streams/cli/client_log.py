"""What Kafka's client logs of its troubles, made fit for a terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import click

# Trouble that is over sooner, such as a partition that changes its leader, is not worth a word.
_LASTS_S = 2.0
# Trouble is over when nothing was logged for so long; while it lasts, it is told again this often.
_OVER_S = 10.0
_AGAIN_S = 60.0


class _TroubleHandler(logging.Handler):
    """Tells of trouble that lasts, now and then; the client itself logs several lines a second."""

    def __init__(self, told: bool) -> None:
        super().__init__(logging.WARNING)
        self._told = told
        self._began = self._last = self._told_at = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        now = monotonic()
        if now - self._last > _OVER_S:
            self._began, self._told_at = now, float("-inf")
        self._last = now
        if self._told and now - self._began >= _LASTS_S and now - self._told_at >= _AGAIN_S:
            self._told_at = now
            click.echo(f"Kafka does not answer, trying on: {record.getMessage()}", err=True)


@contextmanager
def client_log(*, told: bool) -> Iterator[None]:
    """Within it, Kafka's client logs nothing by itself; if `told`, trouble that lasts is told in a line on stderr."""
    logger = logging.getLogger("aiokafka")
    handler = _TroubleHandler(told)
    propagates = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
