"""Every request is part of a trace: the caller's (`traceparent`), or a new one."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from kit import tracing


class Traces:
    """ASGI middleware. Log lines of the request carry `trace_id`, and so do the events that it records."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
            tracing.begin(given.decode("latin-1"))
        await self._app(scope, receive, send)
