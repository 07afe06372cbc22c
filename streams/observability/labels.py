"""Label values that stay few, whatever the input says.

A metric costs memory and scrape time for each label value that was ever seen. Values that come from outside are
therefore admitted up to a bound, and then counted together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

OTHER = "other"

_FIT = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class BoundedLabel:
    """The values of one label: those known beforehand, and the first few others."""

    def __init__(self, known: Iterable[str] = (), others_max: int = 50) -> None:
        """`others_max`: how many values that are not in `known` are told apart before they become `other`."""
        self._known = frozenset(known)
        self._others_max = others_max
        self._others: set[str] = set()

    def value(self, text: str | None) -> str:
        """The label value for `text`: itself, or `other` if it is none, not a plain short name, or one too many."""
        if text is None:
            return OTHER
        if text in self._known or text in self._others:
            return text
        if len(self._others) >= self._others_max or not _FIT.fullmatch(text):
            return OTHER
        self._others.add(text)
        return text
