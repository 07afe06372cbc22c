"""Made the golden changelog of row version 2: `python -m tests.golden.make_changelog_v2`. See `make_changelog`.

New in the rows is when a product is due, and its status. So besides the history of version 1 there is a product that
has been due since its row was written, with nothing new to write.
"""

from __future__ import annotations

import json

from streams.domain.policy import DAY_MS, HOUR_MS
from tests.core.random_logs import START_MS
from tests.golden.changelog_file import save
from tests.golden.make_changelog import SEED, Stories, make

VERSION = 2


def waiting(stories: Stories) -> None:
    """Three lines, of which the first has come due before the last cut, and the others come due after it."""
    at = START_MS + 40 * DAY_MS
    for number, ship_by in enumerate((at + 12 * HOUR_MS, at + 30 * DAY_MS, at + 31 * DAY_MS)):
        stories.placed(at + number, "waiting", f"w{number}", ship_by)


if __name__ == "__main__":
    made, lines = make(SEED, VERSION, waiting)
    save(made, lines)
    print(json.dumps(made.says, indent=1, ensure_ascii=False))
