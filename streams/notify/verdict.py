"""What an endpoint's answer means, and when to try again. Pure.

- 2xx: delivered.
- 410: gone. The webhook gets nothing more until the notifier is started anew.
- 400, 413, 422: this one transition is not wanted. It is tried again some times, in case it was a slip.
- Anything else, a redirect too, or no answer: trouble of the endpoint, as a wrong path, a lost permission or too many
  requests are. It is tried again until it is given up.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import NamedTuple

from streams.codecs.durations import UNIT_MS

_GONE = 410
_NOT_WANTED = frozenset({400, 413, 422})
#: Attempts at a transition whose content is refused: they span some two minutes, so that a slip of a deployment at the
#: other end costs nothing, and a transition that will never be taken does not hold up its seller for days.
REFUSALS_MAX = 8
# The first repeat comes soon, as most trouble is a restart; the longest pause is short enough that an endpoint which is
# mended in a night has all by the morning's first minutes, and 3 days of trouble cost it under 1,000 requests a seller.
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = UNIT_MS["s"], 5 * UNIT_MS["m"]
#: An endpoint may ask for so long a pause at the most: a mistyped header must not silence it for days.
LONGEST_RETRY_AFTER_MS = UNIT_MS["h"]


class Verdict(enum.Enum):
    """What became of one attempt."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    TROUBLED = "troubled"
    GONE = "gone"


class Answer(NamedTuple):
    """An endpoint's answer: a status, or None and what kept it from answering; a pause it asks for, ms."""

    status: int | None
    error: str = ""
    retry_after_ms: int | None = None

    @property
    def verdict(self) -> Verdict:
        """What it means."""
        if self.status is None:
            return Verdict.TROUBLED
        if 200 <= self.status < 300:
            return Verdict.DELIVERED
        if self.status == _GONE:
            return Verdict.GONE
        return Verdict.REFUSED if self.status in _NOT_WANTED else Verdict.TROUBLED

    def __str__(self) -> str:
        return self.error or f"HTTP {self.status}"


def pause_ms(attempts: int, dice: Random) -> int:
    """How long to wait after so many attempts (1 or more): twice as long each time, and up to half of it by chance, so
    that what failed together does not come back together."""
    longest = min(_FIRST_PAUSE_MS << min(attempts - 1, 20), _LONGEST_PAUSE_MS)
    return dice.randint(longest // 2, longest)


def read_retry_after(value: str | None, now_s: float) -> int | None:
    """The pause, ms, that a Retry-After header asks for, as seconds or as a date; None for none or nonsense."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(int(value[:10]) * 1000, LONGEST_RETRY_AFTER_MS)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    wait_s = (moment - datetime.fromtimestamp(now_s, UTC)).total_seconds()
    return max(0, min(int(wait_s * 1000), LONGEST_RETRY_AFTER_MS))
