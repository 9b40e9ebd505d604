"""`natter.command.presence`: who may be followed, and how they are now."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.access import Doorkeeper
from chat_api.limits.operations import Operation
from chat_api.presence.book import PresenceBook, Unheard
from chat_api.presence.visibility import visible
from chat_api.sockets.handler import Handler, Reply, ack
from contracts.codec import decode
from contracts.commands import PresenceCommand
from contracts.frames import PresenceStates, PresenceUpdate


def presence(book: PresenceBook, engine: AsyncEngine, door: Doorkeeper) -> Handler:
    """The states of those whom the asker may see; the others are left out."""

    async def handle(data: bytes) -> Reply:
        asked = decode(PresenceCommand, data)
        await door.admit_asker(Operation.READ, asked.asker)
        seen = await visible(engine, asked.asker.user_id, asked.asker.roles, asked.subscribe.user_ids)
        if not book.hearing:
            raise Unheard
        states = [book.state(user_id) for user_id in seen]
        return ack(
            PresenceStates(
                users=tuple(
                    PresenceUpdate(user_id=one.user_id, online=one.online, device_types=one.device_types)
                    for one in states
                )
            )
        )

    return handle
