"""Live figures for admins' sockets: asked of chat-api once per edge, and only while somebody looks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from contracts.codec import encode
from contracts.commands import STATS, CommandReply, StatsCommand
from contracts.errors import Undecodable
from contracts.frames import ConnectionType, ServerAction, frame_bytes
from kit.logs import Stage, logger
from kit.tokens import Role
from ws_edge.bus import BusError
from ws_edge.commands import asker
from ws_edge.connection import Connection
from ws_edge.rfc6455 import Opcode, encode_frame

log = logger()

Ask = Callable[[str, bytes], Awaitable[CommandReply]]


class StatsFeed:
    """Holds the sockets that want figures; `run` is its task."""

    def __init__(self, ask: Ask, *, every_s: float) -> None:
        self._ask = ask
        self._every_s = every_s
        self._watchers: dict[Connection, None] = {}
        self._wake = asyncio.Event()

    def came(self, connection: Connection) -> None:
        """A socket was opened, or has got another token."""
        principal = connection.principal
        if connection.connection_type is ConnectionType.ADMIN and principal and Role.ADMIN in principal.roles:
            self._watchers[connection] = None
            self._wake.set()

    def left(self, connection: Connection) -> None:
        """The socket is gone, or is about to get another token."""
        self._watchers.pop(connection, None)

    async def run(self) -> None:
        """Ask and tell; runs until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._watchers:
                await self._tell()
                await asyncio.sleep(self._every_s)

    async def _tell(self) -> None:
        first = next(iter(self._watchers))
        if first.principal is None:
            return
        try:
            reply = await self._ask(STATS, encode(StatsCommand(asker=asker(first, first.principal))))
        except (BusError, Undecodable) as failed:
            log.debug("no figures", stage=Stage.LISTENER, error=type(failed).__name__)
            return
        if reply.ack is None:
            code = reply.error.code.value if reply.error else "empty"
            log.info("no figures", stage=Stage.LISTENER, code=code)
            return
        frame = encode_frame(Opcode.TEXT, frame_bytes(ServerAction.STATS, reply.ack))
        for connection in tuple(self._watchers):
            connection.send_live("stats", frame)
