"""The topics of a demo."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.engine.admin import ensure_topics
from streams.settings import Settings
from streams.topics import topic_specs

_CREATE_TIMEOUT_S = 15.0
_DELETE_TIMEOUT_S = 10.0


class DemoTopics:
    """Creates them when entered. Deletes them when left, unless they are to be kept.

    `borrowed`: the broker is the user's own; one that ends with the demo need not be tidied up.
    Raises UserError, on entering, if there is no broker or it refuses.
    """

    def __init__(self, settings: Settings, *, borrowed: bool) -> None:
        self._settings = settings
        self._delete = borrowed

    def __enter__(self) -> DemoTopics:
        specs = topic_specs(self._settings, keep_input=True)
        try:
            asyncio.run(ensure_topics(self._settings.kafka_kwargs(), specs, timeout_s=_CREATE_TIMEOUT_S))
        except BaseException:
            self.__exit__()
            raise
        return self

    def keep(self) -> None:
        """They are worth a look: the run came to its end."""
        self._delete = False

    def __exit__(self, *_: object) -> None:
        if self._delete:
            # Nothing is to be done about a broker that does not answer.
            with suppress(KafkaError, TimeoutError):
                asyncio.run(_delete(self._settings))


async def _delete(settings: Settings) -> None:
    names = [spec.name for spec in topic_specs(settings)]
    async with asyncio.timeout(_DELETE_TIMEOUT_S):
        admin = AIOKafkaAdminClient(**settings.kafka_kwargs())
        try:
            await admin.start()
            await admin.delete_topics(names)
        finally:
            await admin.close()
