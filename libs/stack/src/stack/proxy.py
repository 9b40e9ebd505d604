"""A TCP proxy that does to connections what a bad network does: cut them, silence them, slow them down, heal."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from stack import ports
from stack.proxy_link import Direction, Link, Mode, Network, ProxyStats

_BACKLOG = 1024
_PORT_ATTEMPTS = 5
_CLOSE_S = 0.5
"""How long a closed proxy waits for the last connection to be gone."""


class FaultProxy:
    """Listens on a port of the loopback interface and passes everything to one server, until told otherwise.

    `async with FaultProxy(host, port) as proxy:` — one fault at a time: each call replaces the last one, holds for
    existing and new connections alike, and takes effect at once; heal() ends it at once. The port stays the same, and
    the server may come and go: while it is away, who connects is reset.

    It belongs to the event loop that started it. What it holds back is bounded: beyond that it stops reading.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self.target = (target_host, target_port)
        self._network = Network()
        self._port: int | None = None
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen. Raises OSError if no port can be had."""
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            port = ports.free_port()
            try:
                self._server = await asyncio.get_running_loop().create_server(
                    self._accept, ports.HOST, port, backlog=_BACKLOG
                )
            except OSError:
                if attempt == _PORT_ATTEMPTS:
                    raise
            else:
                self._port = port
                return

    async def close(self) -> None:
        """Stop listening and reset every connection; returns when none is left, or soon. Harmless when not running."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for link in list(self._links):
            link.reset()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._idle.wait()

    @property
    def port(self) -> int:
        """The port to connect to instead of the server's."""
        if self._port is None:
            raise RuntimeError("the proxy has not been started")
        return self._port

    @property
    def stats(self) -> ProxyStats:
        """What went through it so far; live."""
        return self._network.stats

    @property
    def open_connections(self) -> int:
        """How many connections there are now, silenced ones included."""
        return len(self._links)

    def cut(self) -> None:
        """Reset every connection, and every new one as soon as it is made."""
        self._become(Mode.CUT)
        for link in list(self._links):
            link.reset()

    def stall(self, direction: Direction = "both") -> None:
        """Half-open: nothing is closed and nothing arrives; new connections are accepted and silent.

        What is sent meanwhile (also the end of a connection) flows after heal(). Of what was already on its way, at
        most one chunk per connection, which the other side was too slow to read, may still arrive.
        """
        self._network.held = direction
        self._become(Mode.STALLED)

    def delay(self, seconds: float, jitter_s: float = 0.0) -> None:
        """Let every byte arrive `seconds` late, both ways, and by up to `jitter_s` more at random; order is kept."""
        self._become(Mode.OPEN, delay_s=seconds, jitter_s=jitter_s)

    def heal(self) -> None:
        """End whatever was wrong; what was held back goes out now. Connections that were reset stay so."""
        self._become(Mode.OPEN)

    def _become(self, mode: Mode, delay_s: float = 0.0, jitter_s: float = 0.0) -> None:
        self._network.mode, self._network.delay_s, self._network.jitter_s = mode, delay_s, jitter_s
        for link in list(self._links):
            link.look_again()

    def _accept(self) -> asyncio.Protocol:
        self.stats.connections += 1
        link = Link(self.target, self._network, self._forget)
        self._links.add(link)
        self._idle.clear()
        if self._network.mode is Mode.CUT or self._server is None:
            link.reset()
        return link.client

    def _forget(self, link: Link) -> None:
        self._links.discard(link)
        if not self._links:
            self._idle.set()
