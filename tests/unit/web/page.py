"""The files of the seller's page, as the tests read them."""

from __future__ import annotations

import json
import re
from pathlib import Path

STATIC = Path(__file__).parents[3] / "streams" / "web" / "static"
SCRIPTS = sorted((STATIC / "js").glob("*.js"))
CATALOGUES = sorted((STATIC / "texts").glob("*.json"))

# t("a.key"), t(`a.${part}.key`), t(`a.${part ?? "x"}`)
_PLAIN = re.compile(r'\bt\("([^"]+)"')
_BUILT = re.compile(r"\bt\(`([^`]+)`")


def catalogue(path: Path) -> dict[str, str | dict[str, str]]:
    """A catalogue of texts; a key told twice is an error, as the second would hide the first."""

    def distinct(pairs: list[tuple[str, str | dict[str, str]]]) -> dict[str, str | dict[str, str]]:
        keys = [key for key, _ in pairs]
        assert len(set(keys)) == len(keys), sorted({key for key in keys if keys.count(key) > 1})
        return dict(pairs)

    value: dict[str, str | dict[str, str]] = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=distinct)
    return value


def plain_keys() -> set[str]:
    """The keys that the scripts name in full."""
    return {key for path in SCRIPTS for key in _PLAIN.findall(path.read_text(encoding="utf-8"))}


def built_keys() -> set[str]:
    """The keys that the scripts put together, as regular expressions: a part filled in has no dot."""
    found = set()
    for path in SCRIPTS:
        for key in _BUILT.findall(path.read_text(encoding="utf-8")):
            found.add("[^.]+".join(re.escape(part) for part in re.split(r"\$\{[^}]*\}", key)))
    return found
