"""What a cut says of its input and its transitions, to metrics and log."""

from __future__ import annotations

from collections import Counter

from streams.domain.cut import Cut
from streams.engine.processor import DeadLetter, Tally
from streams.observability.logging import get_logger
from streams.observability.metrics import Metrics

logger = get_logger(__name__)


def tell(metrics: Metrics, cut: Cut, tally: Tally) -> None:
    """Count events, refusals and transitions."""
    for (type_name, outcome), count in tally.outcomes.items():
        if outcome != "control":
            metrics.events(type_name or None, outcome, count)
    _tell_of_refused(metrics, tally.dead_letters)
    for transition in cut.transitions:
        metrics.transition(transition.previous_status, transition.current_status, transition.cause)


def _tell_of_refused(metrics: Metrics, letters: list[DeadLetter]) -> None:
    """Count dead letters by reason, and log the first of each: a storm of bad input must not become one of logs."""
    first: dict[str, DeadLetter] = {}
    counts = Counter(letter.refused.reason.value for letter in letters)
    for letter in letters:
        first.setdefault(letter.refused.reason.value, letter)
    for reason, count in counts.items():
        batch, refused = first[reason].batch, first[reason].refused
        metrics.dead_letters(reason, count)
        logger.warning(
            "input refused",
            reason=reason,
            count=count,
            topic=batch.topic,
            partition=batch.partition,
            offset=batch.offsets[first[reason].index],
            detail=str(refused),
        )
