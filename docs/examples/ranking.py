"""Ranks products by their visibility: those that harm buyers come last.

    python docs/examples/ranking.py P1 P2 P3

Settings are the program's own: FLAGGED_BROKER and the rest.
"""

# ruff: noqa: T201 - its output is for the terminal
import asyncio
import sys

from streams.clients.flag_status import FlagStatusView
from streams.settings_load import load_settings

WEIGHTS = {"clear": 1.0, "resolved": 0.9, "at_risk": 0.5, "impacted": 0.1}
# Older knowledge than this is worth a word in the log, and no more: a flag changes in hours, not in seconds.
TOO_OLD_MS = 60_000


async def main(product_ids: list[str]) -> None:
    """Print them, best first."""
    async with FlagStatusView(load_settings()) as view:
        await view.wait_ready()
        if (view.age_ms or 0) > TOO_OLD_MS:
            print(f"what is known is {view.age_ms} ms old", file=sys.stderr)
        # From here on it is a look into memory, for each product of each page that is ranked.
        for product_id in sorted(product_ids, key=lambda one: -WEIGHTS[view.visibility(one)]):
            flag = view.get(product_id)
            reasons = ", ".join(f"{metric} {level}" for metric, level in flag.reasons) if flag else ""
            print(f"{product_id} {view.visibility(product_id)} {reasons}".rstrip())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
