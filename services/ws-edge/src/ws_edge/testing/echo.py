"""An echo server on the very transport that production uses."""

from __future__ import annotations

import asyncio

from ws_edge.rfc6455 import Opcode, encode_frame
from ws_edge.session.handshake import Request, check_upgrade
from ws_edge.transport import HttpAnswer, HttpRequest, Socket, TransportLimits, Upgrade, listen

ECHO_MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""Conformance suites send up to 16 MB."""


class Echo:
    """Sends every message back; stops reading while its peer does not."""

    def opened(self, socket: Socket) -> None:
        """Remember the socket."""
        self._socket = socket

    def message(self, opcode: int, payload: bytes) -> None:
        """Back with it."""
        self._socket.write(encode_frame(Opcode(opcode), payload))
        if self._socket.paused:
            self._socket.pause_reading()

    def pong(self, payload: bytes) -> None:
        """Means nothing here."""

    def heard(self) -> None:
        """Means nothing here."""

    def resumed(self) -> None:
        """The peer reads again: read on."""
        self._socket.resume_reading()

    def closed(self, code: int) -> None:
        """Nothing to clean up."""


def echo_route(request: HttpRequest) -> HttpAnswer | Upgrade:
    """Upgrade whatever is a valid upgrade, on any path."""
    bad = check_upgrade(Request(request.target, request.headers))
    if bad is None:
        return Upgrade(Echo())
    headers = (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")) if bad.status == 426 else ()
    return HttpAnswer(bad.status, bad.reason.encode(), "text/plain; charset=utf-8", headers)


async def serve_echo(host: str, port: int) -> asyncio.Server:
    """An echo server that is listening."""
    return await listen(echo_route, TransportLimits(ECHO_MESSAGE_BYTES_MAX), host, port)
