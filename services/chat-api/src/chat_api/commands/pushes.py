"""What admins do with pushes, recorded in their own streams."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chat_api.commands.ports import Recordable, UnitOfWork
from contracts.events import AdminAct, AdminActed
from contracts.stream_ids import UserStream


async def record_act(admin_id: str, act: AdminAct, details: dict[str, Any], now: datetime, uow: UnitOfWork) -> None:
    """An admin has done this."""
    event = AdminActed(user_id=admin_id, act=act, details=details, acted_at=now)
    async with uow.begin({UserStream(admin_id)}) as transaction:
        await transaction.append([Recordable(UserStream(admin_id), event, {"actor": admin_id})], now)
