"""By which names a line of a file may call an input topic."""

from __future__ import annotations

from streams.settings import Settings


def topic_indices(settings: Settings) -> dict[str, int]:
    """Topic name -> index in SPEC 2's order: the default names, so that files fit everywhere, and the configured."""
    names = {name: index for index, name in enumerate(Settings().input_topics)}
    return names | {name: index for index, name in enumerate(settings.input_topics)}
