"""One setting as a field of a settings dataclass: its default, how it is read, what it means."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from streams.settings_values import Reader


def setting(default: Any, reader: Reader, meaning: str, *, secret: bool = False) -> Any:
    """A field with its reader and meaning; a secret one stays out of the repr."""
    metadata = {"reader": reader, "meaning": meaning, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)
