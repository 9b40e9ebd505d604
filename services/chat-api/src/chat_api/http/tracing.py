"""Every request is part of a trace: the caller's (`traceparent`), or a new one."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit import spans, tracing

_NO_SPANS = ("/healthz/", "/metrics")


class Traces:
    """ASGI middleware. Log lines of the request carry `trace_id`, and so do the events that it records."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
            step = tracing.begin(given.decode("latin-1"))
            # Probes and scrapes are no message's way.
            if spans.enabled and not scope["path"].startswith(_NO_SPANS):
                await self._recorded(step, given.decode("latin-1"), scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _recorded(self, step: str, parent: str, scope: Scope, receive: Receive, send: Send) -> None:
        started_ns = spans.now_ns()
        status = 500  # what the server makes of a request that raises

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            spans.record(
                spans.SpanName.HTTP_REQUEST,
                step=step,
                parent=parent,
                started_ns=started_ns,
                kind=spans.Kind.SERVER,
                failed=status >= 500,
                method=scope["method"],
                route=_route(scope),
                status=status,
            )


def _route(scope: Scope) -> str:
    """The route as it is written, without the request's ids; empty if the request did not come so far."""
    written = getattr(scope.get("route"), "path", None)
    if written is None:
        return ""
    # A route of an included router does not know what stands before it; prefixes have no ids.
    path = scope["path"].split("/")
    return "/".join(path[: max(0, len(path) - written.count("/"))]) + str(written)
