"""How one setting is declared: a field of a settings class, with its reader and its meaning."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from streams.settings_values import Reader


def setting(default: Any, reader: Reader, meaning: str, *, secret: bool = False) -> Any:
    """A field with its reader and meaning; a secret one stays out of the repr."""
    metadata = {"reader": reader, "meaning": meaning, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)
