"""`natter.command.stats`: live figures for the sockets of admins."""

from __future__ import annotations

from chat_api.domain.errors import Forbidden
from chat_api.live_stats import LiveStats
from chat_api.sockets.handler import Handler, Reply, ack
from contracts.codec import decode
from contracts.commands import StatsCommand
from kit.tokens import Role


def stats(live: LiveStats) -> Handler:
    """The page, for whoever is an admin."""

    async def handle(data: bytes) -> Reply:
        asked = decode(StatsCommand, data)
        if Role.ADMIN not in asked.asker.roles:
            raise Forbidden("Only an admin may see that.")
        return ack(await live.now())

    return handle
