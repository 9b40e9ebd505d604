"""What is said to all edges at once, at the moment: close these sockets."""

from __future__ import annotations

import nats.errors
from nats.aio.client import Client

from chat_api.domain.notices import DisconnectUser
from contracts import subjects
from contracts.codec import encode
from contracts.control import Disconnect
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()


class Control:
    """One per process that serves. Best effort: what must hold for longer than a moment is a revocation."""

    def __init__(self) -> None:
        self.client: Client | None = None
        """Given when NATS is there."""

    async def disconnect(self, command: DisconnectUser) -> None:
        """Tell every edge to close the user's sockets; without NATS nobody hears it, and the sockets are open still."""
        word = Disconnect(user_id=command.user_id, connection_id=command.connection_id, device_type=command.device_type)
        try:
            if self.client is None or not self.client.is_connected:
                raise nats.errors.ConnectionClosedError
            await self.client.publish(subjects.DISCONNECT, encode(word))
        except AWAY as away:
            log.warning("nobody was told to disconnect", stage=Stage.PRESENCE, error=type(away).__name__)
