"""One HTTP request to a webhook, and what came of it."""

from __future__ import annotations

from time import time
from types import TracebackType
from typing import Self

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from streams import __version__
from streams.clients.webhooks import decode_header, signed_request
from streams.notify.queue import Delivery
from streams.notify.verdict import Answer, read_retry_after
from streams.notify.webhook_file import Webhook

_AGENT = f"flagged-products/{__version__}"


class Sender:
    """The connections to one webhook; an async context manager."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._url = URL(webhook.url)
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=TCPConnector(limit=self._webhook.max_in_flight),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=self._webhook.timeout_ms / 1000),
            headers={"user-agent": _AGENT},
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, delivery: Delivery) -> Answer:
        """POST it, signed as of now. A redirect is not followed: it would take the signed body to somebody else."""
        assert self._session is not None, "to be used within `async with`"
        now_s = time()
        event_id = decode_header(delivery.event_id)
        request = signed_request(event_id, delivery.headers, delivery.body, self._webhook.secrets, int(now_s))
        try:
            # The answer's body is nobody's business: without reading it, an endless one costs nothing.
            async with self._session.post(
                self._url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                pause_ms = read_retry_after(response.headers.get("retry-after"), now_s)
                return Answer(response.status, retry_after_ms=pause_ms)
        except TimeoutError:
            return Answer(None, f"no answer within {self._webhook.timeout_ms} ms")
        except ClientConnectorError as error:
            return Answer(None, f"no connection ({error.os_error.strerror or type(error).__name__})")
        except (ClientError, OSError) as error:
            # The name alone: what aiohttp says may have the URL in it.
            return Answer(None, f"the request failed ({type(error).__name__})")
