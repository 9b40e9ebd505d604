"""HTTP and WebSocket on one port; the only file that imports the WebSocket library.

picows accepts TCP, parses the HTTP request, unmasks and cuts frames, all in C. Everything that RFC 6455 asks beyond
that is decided here and in `ws_edge.rfc6455`: legality, UTF-8, sizes over fragments, the close handshake. Writes go
past picows: frames are encoded once for many sockets, and joined.

The class behind picows' server function is used directly (`WSProtocol`), because only its subclass sees the bytes
before the parser does. It is not picows' public face: its version is pinned, and the conformance tests hold it.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from picows import WSFrame, WSListener, WSTransport, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not in its type stub

from ws_edge.rfc6455 import (
    ABNORMAL,
    INVALID_TEXT,
    MESSAGE_TOO_BIG,
    CheckText,
    Fail,
    Guard,
    Opcode,
    Pass,
    PeerClosed,
    encode_close,
    encode_frame,
)

READ_BUFFER_INIT_BYTES = 512
"""picows grows it when needed (and takes at least 2 KB); its default of 16 KB is most of an idle socket's memory."""

_log = logging.getLogger("ws_edge.transport")
_picows_log = logging.getLogger("picows.edge")
# It logs each connection, and each fault of a client as an error; both are metrics here.
_picows_log.setLevel(logging.CRITICAL)

_utf8_decoder = codecs.getincrementaldecoder("utf-8")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A GET request; `target` is path and query as sent."""

    target: str
    headers: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response; the connection closes after it."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Handler(Protocol):
    """What happens to one socket; every call comes from the event loop, `closed` exactly once and last."""

    def opened(self, socket: Socket) -> None:
        """The upgrade is complete."""

    def message(self, opcode: int, payload: bytes) -> None:
        """A whole message: valid UTF-8 if `opcode` is TEXT."""

    def pong(self, payload: bytes) -> None:
        """A pong, asked for or not."""

    def heard(self) -> None:
        """A ping came in: answered already, but a sign of life."""

    def resumed(self) -> None:
        """The kernel takes more again after `Socket.paused`."""

    def closed(self, code: int) -> None:
        """The socket is gone; `code` is the first close code that either side sent, 1006 if there was none."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Make it a WebSocket."""

    handler: Handler
    subprotocol: str | None = None


Route: TypeAlias = Callable[[HttpRequest], HttpAnswer | Upgrade]


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Sizes in bytes, times in seconds; `too_big` is the close code for a message above `message_bytes_max`."""

    message_bytes_max: int
    too_big: int = MESSAGE_TOO_BIG
    handshake_timeout_s: float = 10.0
    close_timeout_s: float = 5.0


class Socket(WSListener):
    """One open WebSocket, as handlers and connections see it (it is a `ws_edge.connection.Wire`)."""

    def __init__(self, handler: Handler, limits: TransportLimits) -> None:
        self.handler = handler
        self.paused = False
        self.limits = limits
        self._code = 0  # the first close code that either side sent
        self._close_sent = False
        self._deaf = False  # nothing that arrives counts any more
        self._timer: asyncio.TimerHandle | None = None
        self._pong_due: bytes | None = None
        self._fragments: list[bytes] | None = None
        self._opcode = 0
        self._decoder: codecs.IncrementalDecoder | None = None
        self._prechecked = False  # the guard has shown the current frame's payload to the decoder

    # --- what the edge does to it ---

    def write(self, data: bytes) -> None:
        """Write whole frames. Nothing may follow a close frame, so after one this does nothing."""
        if not self._close_sent:
            self._tcp.write(data)

    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return int(self._tcp.get_write_buffer_size())

    def close(self, code: int, reason: str = "", timeout_s: float | None = None) -> None:
        """Start the close handshake; TCP is cut if the peer does not answer in time."""
        self._send_close(code, reason)
        self._cut_after(self.limits.close_timeout_s if timeout_s is None else timeout_s)

    def fail(self, code: int, reason: str) -> None:
        """The peer broke the rules: tell it, take nothing more from it, and end TCP from this side.

        Only the sending half is shut: closing with unread bytes in the kernel would send a reset, which can destroy
        the close frame before the peer has read it.
        """
        if self._deaf:
            return
        self._deaf = True
        self._send_close(code, reason)
        self._tcp.write_eof()
        self._cut_after(self.limits.close_timeout_s)

    def pause_reading(self) -> None:
        """Let TCP hold the peer back."""
        if not self._tcp.is_closing():
            self._tcp.pause_reading()

    def resume_reading(self) -> None:
        """The reverse of `pause_reading`."""
        if not self._tcp.is_closing():
            self._tcp.resume_reading()

    # --- what happens to it ---

    def on_ws_connected(self, transport: WSTransport) -> None:
        """picows: the upgrade is complete."""
        self._tcp = transport.underlying_transport
        # With 0 the transport tries the kernel at once, and calls pause_writing as soon as that takes less than all:
        # `paused` then means exactly "the peer or the network is behind", and nothing hides in a second buffer.
        self._tcp.set_write_buffer_limits(high=0)
        self.handler.opened(self)

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        """picows: a frame that the guard let pass, unmasked."""
        if self._deaf:
            return
        opcode = int(frame.msg_type)  # type: ignore[call-overload]  # an IntEnum in truth
        payload = frame.get_payload_as_bytes()
        if opcode == Opcode.PONG:
            self.handler.pong(payload)
        elif opcode == Opcode.PING:
            self._answer_ping(payload)
        else:
            self._data(opcode, payload, frame.fin)

    def check_text(self, piece: bytes, *, final: bool = False) -> bool:
        """Whether the text may still become UTF-8, with this piece of it."""
        if self._decoder is None:
            self._decoder = _utf8_decoder()
        try:
            self._decoder.decode(piece, final)
            # Python's decoder keeps the first two bytes of a surrogate (for `surrogatepass`): they are wrong already.
            cut, _ = self._decoder.getstate()
            good = not (len(cut) == 2 and cut[0] == 0xED and cut[1] >= 0xA0)
        except UnicodeDecodeError:
            good = False
        if not good:
            self.fail(INVALID_TEXT, "text is not UTF-8")
        return good

    def precheck_text(self, piece: bytes) -> None:
        """The guard's look into a text frame that has not arrived completely."""
        self._prechecked = True
        self.check_text(piece)

    def peer_closed(self, code: int, reason: str) -> None:
        """A valid close frame came in: echo its code if it came first, then end TCP, as the server should."""
        del reason
        self._deaf = True
        self._send_close(code, "")
        self._tcp.close()
        # close() waits until the rest is written, which a peer that does not read could delay for ever.
        self._cut_after(self.limits.close_timeout_s)

    def pause_writing(self) -> None:
        """asyncio: the kernel takes no more."""
        self.paused = True

    def resume_writing(self) -> None:
        """asyncio: the kernel took everything."""
        self.paused = False
        if self._pong_due is not None:
            payload, self._pong_due = self._pong_due, None
            self.write(encode_frame(Opcode.PONG, payload))
        self.handler.resumed()

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """picows: TCP is gone."""
        self._deaf = self._close_sent = True
        if self._timer is not None:
            self._timer.cancel()
        self._fragments = None
        self.handler.closed(self._code or ABNORMAL)

    @property
    def deaf(self) -> bool:
        """Whether incoming bytes can be thrown away."""
        return self._deaf

    # --- inside ---

    def _data(self, opcode: int, payload: bytes, final: bool) -> None:
        if opcode != Opcode.CONTINUATION:
            self._opcode = opcode
        if self._opcode == Opcode.TEXT and not self._text_is_good(payload, final):
            return
        if self._fragments is not None:
            self._fragments.append(payload)
        elif not final:
            self._fragments = [payload]
        if not final:
            return
        if self._fragments is not None:
            payload, self._fragments = b"".join(self._fragments), None
        if not self._close_sent:
            self.handler.message(self._opcode, payload)

    def _text_is_good(self, payload: bytes, final: bool) -> bool:
        prechecked, self._prechecked = self._prechecked, False
        if self._decoder is None and final:
            if payload.isascii():
                return True
            try:
                payload.decode()
            except UnicodeDecodeError:
                self.fail(INVALID_TEXT, "text is not UTF-8")
                return False
            return True
        if not self.check_text(b"" if prechecked else payload, final=final):
            return False
        if final:
            self._decoder = None
        return True

    def _answer_ping(self, payload: bytes) -> None:
        if self.paused:
            # Only the latest must be answered (section 5.5.3): a flood of pings must not grow a buffer here.
            self._pong_due = payload
        else:
            self.write(encode_frame(Opcode.PONG, payload))
        self.handler.heard()

    def _send_close(self, code: int, reason: str) -> None:
        self._code = self._code or code
        if not self._close_sent:
            self._tcp.write(encode_close(code, reason))
            self._close_sent = True

    def _cut_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._tcp.abort)


class _Protocol(WSProtocol):  # type: ignore[misc]  # untyped base
    """One TCP connection: first HTTP, then every byte through the guard before picows parses it."""

    __slots__ = ("_guard", "_limits", "_route", "_seen", "_socket", "_tcp", "_timer", "_view")

    def __init__(self, route: Route, limits: TransportLimits) -> None:
        # host, path, client side, factory, log, disconnect on exception, handshake timeout (ours leaves no unread
        # future behind), auto ping and its times, auto pong, frame limit (the guard knows better), headers, buffer
        super().__init__(
            None, None, False, self._decide, _picows_log, True, None,
            False, 1, 1, 1, False, max(limits.message_bytes_max, 125), None, READ_BUFFER_INIT_BYTES,
        )  # fmt: skip
        self._route = route
        self._limits = limits
        self._guard: Guard | None = None
        self._socket: Socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._seen = b""  # the last bytes of an HTTP request that is not complete
        self._view = memoryview(b"")

    def connection_made(self, tcp: Any) -> None:
        self._tcp = tcp
        super().connection_made(tcp)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limits.handshake_timeout_s, tcp.abort)

    def connection_lost(self, error: Exception | None) -> None:
        self._handshake_over()
        super().connection_lost(error)
        self._socket = None

    def get_buffer(self, size_hint: int) -> memoryview:
        view: memoryview = super().get_buffer(size_hint)
        self._view = view
        return view

    def buffer_updated(self, size: int) -> None:
        guard = self._guard
        if guard is None:
            self._http(bytes(self._view[:size]), size)
            return
        socket = self._socket
        if socket is None or socket.deaf:
            return
        view = self._view[:size]
        if guard.whole_small_frame(view):
            super().buffer_updated(size)
            return
        self._walk(guard, socket, bytes(view), size)

    def _walk(self, guard: Guard, socket: Socket, data: bytes, in_buffer: int) -> None:
        """`in_buffer` is how many bytes of `data` already lie where the parser reads: all or none."""
        if guard.holds_back:
            in_buffer = 0
        for step in guard.feed(data):
            match step:
                case Pass(legal):
                    if len(legal) == in_buffer:
                        super().buffer_updated(in_buffer)
                    elif legal:
                        self._inject(legal)
                    in_buffer = 0
                case CheckText(piece):
                    socket.precheck_text(piece)
                case PeerClosed(code, reason):
                    socket.peer_closed(code, reason)
                case Fail(code, reason):
                    socket.fail(code, reason)
            if socket.deaf:
                return

    def _inject(self, data: bytes) -> None:
        """Give bytes to the parser as if they had just been read."""
        position = 0
        while position < len(data):
            view = super().get_buffer(-1)
            size = min(len(view), len(data) - position)
            view[:size] = data[position : position + size]
            super().buffer_updated(size)
            position += size

    def _http(self, data: bytes, in_buffer: int) -> None:
        """Give picows the request's head alone; frames that came with it go through the guard."""
        end = (self._seen + data).find(b"\r\n\r\n")
        if end < 0:
            self._seen = (self._seen + data)[-3:]
            super().buffer_updated(in_buffer)
            return
        head = end + 4 - len(self._seen)
        super().buffer_updated(head)
        if self._socket is None:
            return
        self._handshake_over()
        self._guard = Guard(self._limits.message_bytes_max, self._limits.too_big)
        if data[head:] and not self._socket.deaf:
            self._walk(self._guard, self._socket, data[head:], 0)

    def _handshake_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _decide(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        """picows asks what to answer, before it has validated anything."""
        headers = [(name, value) for name, value in request.headers.items()]
        try:
            target = request.path.decode("ascii")
        except UnicodeDecodeError:
            return _respond(HttpAnswer(400, b'{"detail":"the request target is not ASCII"}'))
        try:
            answer = self._route(HttpRequest(target, headers))
        except Exception:
            _log.exception("a request failed")
            return _respond(HttpAnswer(500, b'{"detail":"internal error"}'))
        if isinstance(answer, HttpAnswer):
            return _respond(answer)
        # picows compares these literally and refuses what Firefox sends (`keep-alive, Upgrade`). The route has checked
        # them as HTTP lists, so give picows the form it knows.
        request.headers["Connection"] = "upgrade"
        request.headers["Upgrade"] = "websocket"
        extra = {"Sec-WebSocket-Protocol": answer.subprotocol} if answer.subprotocol else None
        self._socket = Socket(answer.handler, self._limits)
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(extra), self._socket)


def _respond(answer: HttpAnswer) -> WSUpgradeResponseWithListener:
    headers = {"Content-Type": answer.content_type, "Cache-Control": "no-store", **dict(answer.headers)}
    if answer.status == 200:
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_ok_response(answer.body, headers), None)
    return WSUpgradeResponseWithListener(
        WSUpgradeResponse.create_error_response(answer.status, answer.body, headers), None
    )


async def listen(route: Route, limits: TransportLimits, host: str, port: int) -> asyncio.Server:
    """Listen for HTTP and WebSocket; `route` decides about each request."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Protocol(route, limits), host, port, backlog=4096)
