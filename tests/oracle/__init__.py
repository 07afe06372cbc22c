"""A naive second implementation of the contract (SPEC sections 4 to 8, event clock), for the tests only.

It shares no code with `streams`: it keeps facts as they came, works every number out anew at each evaluation, and is
meant to be read next to the contract and found right. What it says and what the core says must agree to the byte.

Where to look:

- `policies`: the table of metrics, the defaults, which policy a product falls under (section 6).
- `lines`: from the facts of one line to its state and to what it counts (section 4).
- `products`: all that is kept of one product; forgetting and deletion (section 4).
- `levels`: from numbers to levels, status and cause (section 7).
- `output`: the bytes of one transition (section 8).
- `partition`: the clock, the merge of the four logs and what falls due (section 5).
- `histories`: histories written by hand, for the oracle's own tests.
"""

from __future__ import annotations

from tests.oracle.partition import Oracle, Record

__all__ = ["Oracle", "Record"]
