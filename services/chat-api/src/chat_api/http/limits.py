"""What every request passes first: a request id, and a limit on the body that does not trust Content-Length."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat_api.http.errors import problem_response
from contracts.codes import ErrorCode
from contracts.ids import new_id

_DISCARD_BYTES_MAX = 1_048_576
_DISCARD_S = 1.0
"""How much of a refused body is read, and for how long, so that its sender gets to read the answer."""

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}\Z")


class _TooLarge(Exception):
    """The body went over the limit while it was read."""


class RequestLimits:
    """ASGI middleware. A caller's `X-Request-Id` is kept if it is harmless, and always answered.

    `larger` are paths with a limit of their own.
    """

    def __init__(self, app: ASGIApp, body_bytes_max: int, larger: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max
        self._larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.match(given) else new_id()
        scope["natter.request_id"] = request_id
        started = False

        async def tagged(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        bytes_max = self._larger.get(scope["path"], self._body_bytes_max)
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > bytes_max:
            await self._refuse(scope, receive, tagged, request_id, bytes_max)
            return
        seen, exceeded = 0, False

        async def counted() -> Message:
            nonlocal seen, exceeded
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > bytes_max:
                    exceeded = True
                    raise _TooLarge
            return message

        async def answered(message: Message) -> None:
            # FastAPI turns whatever goes wrong while it reads a body into a 400; ours is the better answer.
            if started or not exceeded:
                await tagged(message)

        try:
            await self._app(scope, counted, answered)
        except _TooLarge:
            if started:
                raise
        if exceeded and not started:
            await self._refuse(scope, receive, tagged, request_id, bytes_max)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, request_id: str, bytes_max: int) -> None:
        await discard(receive)
        message = f"The body exceeds {bytes_max} bytes."
        # There may be still more of the body: the connection cannot be used again.
        response = problem_response(ErrorCode.PAYLOAD_TOO_LARGE, message, request_id, headers={"Connection": "close"})
        await response(scope, receive, send)


async def discard(receive: Receive) -> None:
    """Closed with bytes unread, TCP resets the connection, and the client never sees why."""
    seen, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_S):
            while more and seen < _DISCARD_BYTES_MAX:
                message = await receive()
                seen += len(message.get("body", b""))
                more = bool(message.get("more_body", False))
