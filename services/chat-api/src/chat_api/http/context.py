"""What routes need, made once by `bootstrap` and handed to each request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.access import Access
from chat_api.broadcaster import Broadcaster
from chat_api.commands.batcher import SendBatcher
from chat_api.commands.devices import Devices
from chat_api.commands.ports import Once, UnitOfWork
from chat_api.control import Control
from chat_api.files import Files
from chat_api.http.passwords import Passwords
from chat_api.live_stats import LiveStats
from chat_api.presence.book import PresenceBook
from chat_api.settings import ChatApiSettings
from chat_api.signals import Signals
from chat_api.sync_notes import SyncNotes
from kit.health import Health


@dataclass(frozen=True, slots=True)
class Context:
    """The process's parts, as routes see them."""

    settings: ChatApiSettings
    engine: AsyncEngine
    uow: UnitOfWork
    sends: SendBatcher
    passwords: Passwords
    health: Health
    presence: PresenceBook
    signals: Signals
    access: Access
    stats: LiveStats
    control: Control
    broadcaster: Broadcaster
    files: Files
    devices: Devices
    sync_notes: SyncNotes


async def _context(request: Request) -> Context:
    # A plain function would be sent to a thread by FastAPI, for every request.
    found: Context = request.app.state.context
    return found


ContextDep = Annotated[Context, Depends(_context)]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,128}$",
        description="A repeat with the same key within 24 hours gets the first answer and changes nothing.",
    ),
]


def once(user_id: str, key: str | None, request: Request, body: bytes) -> Once | None:
    """What an `Idempotency-Key` stands for: this user's request with this method, path and body."""
    if key is None:
        return None
    digest = hashlib.sha256(b"\0".join((request.method.encode(), request.url.path.encode(), body))).digest()
    return Once(user_id, key, digest)
