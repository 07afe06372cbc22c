"""Headers that every answer has: what a browser may do with it."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class SecurityHeaders:
    """ASGI middleware. `frame_ancestors` as in CSP; `api` is the path below which nothing is kept in caches."""

    def __init__(self, app: ASGIApp, frame_ancestors: str, api: str) -> None:
        self._app = app
        self._api = api
        self._policy = "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self' 'unsafe-inline'",  # the chart library sets styles of elements
                "img-src 'self' data: blob:",
                "connect-src 'self'",
                f"frame-ancestors {frame_ancestors}",
                "base-uri 'none'",
                "form-action 'none'",
            )
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # What a seller sees stays out of caches; the page's own files are asked for anew, and answered by 304.
        caching = "no-store" if scope["path"].startswith(self._api) else "no-cache"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Content-Security-Policy"] = self._policy
                headers.setdefault("Cache-Control", caching)
            await send(message)

        await self._app(scope, receive, with_headers)
