"""Tells those who follow what has changed: one look at the database for all of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from http import HTTPStatus

from sqlalchemy.exc import SQLAlchemyError

from streams.observability.logging import get_logger
from streams.readmodel.queries import Change, list_changes
from streams.readmodel.store import Moment, Store
from streams.web.auth import Viewer
from streams.web.problems import ProblemError

# Another process may write into the database: it is looked at this often, whether our own follower says so or not.
_POLL_S = 1.0
# More changes than these are not told one by one: who follows is told to load everything anew.
CHANGES_MAX = 2_000
# What one follower, whose connection is slow, may have waiting.
_WAITING_MAX = 1_000
_OF_ONE_HOLDER = 100
_LEAST_OF_ONE_HOLDER = 10

log = get_logger(__name__)


class Subscription:
    """What one follower has to be told yet: it is told what comes after `begun_at`, so far up to `moment`."""

    def __init__(self, viewer: Viewer, begun_at: Moment, moment: Moment) -> None:
        self.viewer = viewer
        self.begun_at = begun_at
        self.moment = moment
        self._waiting: deque[Change] = deque()
        self._news = asyncio.Event()
        self._missed = False
        self.ended = False

    def tell(self, changes: list[Change], moment: Moment) -> None:
        """These have happened up to this moment; only what the viewer may see is kept."""
        seen = [change for change in changes if self.viewer.may_see(change.seller_id)]
        if len(self._waiting) + len(seen) > _WAITING_MAX:
            return self.miss(moment)
        self._waiting.extend(seen)
        self.moment = moment
        if seen:
            self._news.set()
        return None

    def miss(self, moment: Moment) -> None:
        """Too much has happened to tell."""
        self._waiting.clear()
        self._missed = True
        self.moment = moment
        self._news.set()

    def end(self) -> None:
        """There will be no more."""
        self.ended = True
        self._news.set()

    async def take(self, timeout_s: float) -> tuple[bool, list[Change]]:
        """Whether something was missed, and the changes since the last call; waits for some, but not for ever."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()
        missed, changes = self._missed, list(self._waiting)
        self._missed = False
        self._waiting.clear()
        return missed, changes


class ChangeHub:
    """All who follow, from `start` to `stop`. All methods belong to the event loop's thread."""

    def __init__(self, store: Store, streams_max: int, on_failure: Callable[[str], None] = lambda _: None) -> None:
        """`on_failure` is told why, should it come to an end by itself."""
        self._store = store
        self._on_failure = on_failure
        self._streams_max = streams_max
        self._of_one_max = max(_LEAST_OF_ONE_HOLDER, streams_max // _OF_ONE_HOLDER)
        self._subscriptions: set[Subscription] = set()
        self._moment = Moment(0, 0)
        self._look = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._subscriptions)

    async def start(self) -> None:
        """Begin to look for changes after those that there are."""
        self._moment = await asyncio.to_thread(self._store.moment)
        self._task = asyncio.create_task(self._run(), name="change hub")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End all subscriptions."""
        self.end_all()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Nobody waits for the task. Who follows comes again, and is told that it is over, not left in silence."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the changes are told no more", exc_info=error)
            self._on_failure(repr(error))
            self.end_all()

    def end_all(self) -> None:
        """Nobody is told anything any more."""
        for subscription in self._subscriptions:
            subscription.end()

    def changed(self, _number: int) -> None:
        """Something has changed: look now."""
        self._look.set()

    async def subscribe(self, viewer: Viewer, after: Moment | None) -> Subscription:
        """Follow what happens from now on, or after a moment that the follower knows.

        Raises ProblemError if there are too many followers. `unsubscribe` it in the end.
        """
        if len(self._subscriptions) >= self._streams_max:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "Too many follow the changes now.", retry_after_s=30)
        if sum(other.viewer.holder == viewer.holder for other in self._subscriptions) >= self._of_one_max:
            detail = f"This token's holder follows the changes {self._of_one_max} times already."
            raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, detail, retry_after_s=30)
        subscription = Subscription(viewer, after or self._moment, self._moment)
        # It is told what comes from here on, so that nothing falls between this and what is read below.
        self._subscriptions.add(subscription)
        if subscription.begun_at != subscription.moment:
            try:
                await self._catch_up(subscription, subscription.begun_at, subscription.moment)
            except BaseException:
                self.unsubscribe(subscription)
                raise
        return subscription

    async def _catch_up(self, subscription: Subscription, after: Moment, up_to: Moment) -> None:
        changes = await asyncio.to_thread(self._changes, after, up_to)
        if changes is None or subscription.moment != up_to:
            # More than can be told; or more happens just now, which would come before what happened earlier.
            subscription.miss(subscription.moment)
        else:
            subscription.tell(changes, up_to)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Follow no more."""
        self._subscriptions.discard(subscription)

    def _changes(self, after: Moment, up_to: Moment) -> list[Change] | None:
        """None: too many to tell, or the tables were made anew meanwhile."""
        if after.generation != up_to.generation or after.change > up_to.change:
            return None
        with self._store.reading() as connection:
            return list_changes(connection, after.change, up_to.change, CHANGES_MAX)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_POLL_S):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            try:
                await self._tell()
            except SQLAlchemyError as error:
                log.warning("the changes can't be read", reason=str(error).partition("\n")[0])

    async def _tell(self) -> None:
        latest = await asyncio.to_thread(self._store.moment)
        if latest == self._moment:
            return
        changes: list[Change] | None = []
        if self._subscriptions:
            changes = await asyncio.to_thread(self._changes, self._moment, latest)
        self._moment = latest
        # Each is handed their own only: thousands that follow, times thousands of changes, would hold up the loop.
        of_seller: dict[str | None, list[Change]] = defaultdict(list)
        for change in changes or ():
            of_seller[change.seller_id].append(change)
        for subscription in self._subscriptions:
            viewer = subscription.viewer
            if changes is None:
                subscription.miss(latest)
            else:
                subscription.tell(changes if viewer.operator else of_seller.get(viewer.seller_id, []), latest)
