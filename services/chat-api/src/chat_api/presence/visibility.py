"""Whose presence somebody may see."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store import presence
from chat_api.store.database import translated
from kit.tokens import Role

SEES_EVERYBODY = frozenset((Role.SERVICE, Role.ADMIN, Role.CONSULTANT, Role.DOCTOR))


async def visible(engine: AsyncEngine, user_id: str, roles: Collection[str], user_ids: Sequence[str]) -> list[str]:
    """Those of `user_ids` whom the user may see, in the given order, each once.

    A host application, admins and staff see everybody; everybody else themselves, and with whom they share a
    conversation now.
    """
    asked = list(dict.fromkeys(user_ids))
    if not SEES_EVERYBODY.isdisjoint(roles):
        return asked
    others = [one for one in asked if one != user_id]
    known: set[str] = set()
    if others:
        async with translated(), engine.connect() as connection:
            known = await presence.companions(connection, user_id, others)
    return [one for one in asked if one == user_id or one in known]
