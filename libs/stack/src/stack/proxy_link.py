"""One connection through the fault proxy: callbacks only, so that thousands of them cost no task each."""

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, cast

Direction = Literal["both", "up", "down"]
"""Up: from who connects to the server. Down: from the server to who connects."""

_HELD_BYTES_MAX = 256 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # linger for zero seconds: close() sends RST instead of FIN


class Mode(Enum):
    """What the network does to connections."""

    OPEN = "open"
    CUT = "cut"
    STALLED = "stalled"


@dataclass
class ProxyStats:
    """What went through a proxy since it was made."""

    connections: int = 0
    """Accepted, those that were reset at once included."""
    resets: int = 0
    """Connections that the proxy itself reset: because of cut(), or because the other side was reset or not there."""
    bytes_up: int = 0
    bytes_down: int = 0


@dataclass
class Network:
    """What the network is like now; every link of a proxy looks here."""

    mode: Mode = Mode.OPEN
    held: Direction = "both"
    delay_s: float = 0.0
    jitter_s: float = 0.0
    stats: ProxyStats = field(default_factory=ProxyStats)

    def holds(self, direction: Direction) -> bool:
        """Whether bytes of that direction ("up" or "down") have to wait."""
        return self.mode is Mode.STALLED and self.held in ("both", direction)

    @property
    def delays(self) -> bool:
        """Whether bytes are to arrive late; false after the heal, also for those that were waiting."""
        return self.delay_s > 0 or self.jitter_s > 0

    def lateness_s(self) -> float:
        """Return how late the next bytes are to arrive."""
        return self.delay_s + (random.uniform(0, self.jitter_s) if self.jitter_s else 0.0)  # noqa: S311


class Link:
    """One connection through the proxy: two ends and a pipe each way."""

    def __init__(self, target: tuple[str, int], network: Network, on_end: Callable[["Link"], None]) -> None:
        self.target = target
        self.network = network
        self.client = End(self)
        self.server = End(self)
        self._up = Pipe(network, "up", self.client, self.server, self._pipe_over)
        self._down = Pipe(network, "down", self.server, self.client, self._pipe_over)
        self.client.out, self.server.out = self._up, self._down
        self.client.into, self.server.into = self._down, self._up
        self._on_end = on_end
        self._connecting: asyncio.Task[None] | None = None
        self._reset = False

    def look_again(self) -> None:
        """Act on what the network is like now."""
        if self._reset:
            return
        if self._connecting is None and self.client.transport is not None and not self.network.holds("up"):
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(lambda _: self.end_if_over())
        self._up.flush()
        self._down.flush()

    def reset(self) -> None:
        """End both sides with RST; the link is gone when both ends have been told."""
        if self._reset:
            return
        self._reset = True
        self.network.stats.resets += 1
        if self._connecting is not None:
            self._connecting.cancel()
        for pipe in (self._up, self._down):
            pipe.drop()
        for end in (self.client, self.server):
            end.abort()

    def ended(self, error: Exception | None) -> None:
        """Hear that one end is gone."""
        if error is not None:
            self.reset()
        self.end_if_over()

    def _pipe_over(self) -> None:
        if self._up.over and self._down.over:
            for end in (self.client, self.server):
                end.close()

    def made(self, end: "End") -> None:
        """Hear that an end is connected."""
        if self._reset:
            end.abort()
        else:
            self.look_again()

    def end_if_over(self) -> None:
        """Say so once nothing of this link is left."""
        connecting = self._connecting is not None and not self._connecting.done()
        if not connecting and self.client.gone and (self.server.gone or self.server.transport is None):
            for pipe in (self._up, self._down):
                pipe.drop()
            self._on_end(self)

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.server, *self.target)
        except OSError:
            self.reset()


class End(asyncio.Protocol):
    """One end of a link."""

    out: "Pipe"
    """Where goes what comes in here."""
    into: "Pipe"
    """What fills this end; it waits while this end is full."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.transport: asyncio.Transport | None = None
        self.gone = False
        self.full = False
        self._reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        # No buffer of asyncio's between the pipe and the kernel, where a stall would come too late.
        self.transport.set_write_buffer_limits(high=0)
        self._link.made(self)

    def data_received(self, data: bytes) -> None:
        self.out.feed(data)

    def eof_received(self) -> bool:
        self.out.feed_eof()
        return True  # the other direction may still have something to say

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        self._link.ended(error)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self.into.flush()

    def read(self, wanted: bool) -> None:
        """Read from the network, or leave what comes to the kernel."""
        if self.transport is None or self.transport.is_closing() or wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def close(self) -> None:
        """End with FIN, after what is still to be written."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """End with RST."""
        if self.transport is None or self.gone:
            return
        with contextlib.suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()


class Pipe:
    """One direction of a link: bytes in the order in which they came, each with the moment from which it may go on."""

    def __init__(
        self,
        network: Network,
        direction: Literal["up", "down"],
        source: End,
        sink: End,
        on_over: Callable[[], None],
    ) -> None:
        self.over = False
        self._on_over = on_over
        self._network = network
        self._direction: Literal["up", "down"] = direction
        self._source = source
        self._sink = sink
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._latest_due = 0.0
        self._eof = False
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        """Take what came in."""
        now = asyncio.get_running_loop().time()
        self._latest_due = max(self._latest_due, now + self._network.lateness_s())
        self._waiting.append((self._latest_due, data))
        self._size += len(data)
        self.flush()

    def feed_eof(self) -> None:
        """Take note that nothing more will come."""
        self._eof = True
        self.flush()

    def flush(self) -> None:
        """Pass on what may go on now, and read more only if there is room for it."""
        self._stop_timer()
        held = self._network.holds(self._direction)
        if not held and self._sink.transport is not None and not self._sink.transport.is_closing():
            self._pass_on(self._sink.transport)
        self._source.read(not held and self._size < _HELD_BYTES_MAX)

    def drop(self) -> None:
        """Forget everything."""
        self._stop_timer()
        self._waiting.clear()
        self._size = 0

    def _pass_on(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        delayed = self._network.delays
        while self._waiting and not self._sink.full:
            due, data = self._waiting[0]
            if delayed and due > loop.time():
                self._timer = loop.call_at(due, self.flush)
                return
            self._waiting.popleft()
            self._size -= len(data)
            if self._direction == "up":
                self._network.stats.bytes_up += len(data)
            else:
                self._network.stats.bytes_down += len(data)
            transport.write(data)
        # While the sink is full asyncio would end it later, by itself, and complain if the peer is gone by then.
        if self._eof and not self._waiting and not self.over and not self._sink.full:
            self.over = True
            # The peer may have reset it already: whoever reads there is about to hear of it.
            with contextlib.suppress(OSError):
                transport.write_eof()
            self._on_over()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
