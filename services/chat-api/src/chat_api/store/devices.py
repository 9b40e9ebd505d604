"""Registered devices: a plain table beside the record, because a token is a secret of the device and goes with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.codec import encode
from contracts.devices import (
    Device,
    DeviceDraft,
    DeviceType,
    Platform,
    PushDevice,
    PushService,
    SubscriptionKeys,
)

_COLUMNS = """id, user_id, device_id, app_id, platform, push_service, device_type, token, CAST(keys AS text) AS keys,
    locale, app_version, sandbox, registered_at, last_seen_at"""

_OF_USERS = text(f"""
SELECT {_COLUMNS} FROM push_devices WHERE user_id = ANY(CAST(:user_ids AS text[])) ORDER BY user_id, registered_at, id
""")  # noqa: S608

TOKEN_LOCK_CLASS = 0x4E54
"""First half of the advisory locks' keys ("NT") by which registrations of one token take turns."""

# Two phones that exchange their tokens would otherwise each wait for the other's row; two that come with the same one
# would both find it free.
_TURN = text("""
SELECT pg_advisory_xact_lock(:class, key) FROM (SELECT DISTINCT unnest(CAST(:keys AS int[])) AS key ORDER BY 1) ordered
""")

_SAME = text("""
SELECT id, token_hash, registered_at FROM push_devices
WHERE user_id = :user_id AND app_id = :app_id AND device_id = :device_id
""")

# Whoever had the token before is told nothing through it any more.
_DETACH = text("""
DELETE FROM push_devices
WHERE push_service = :push_service AND app_id = :app_id AND token_hash = :token_hash AND id <> CAST(:id AS uuid)
""")

_COUNT = text("SELECT count(*) FROM push_devices WHERE user_id = :user_id")

_KEEP = text("""
INSERT INTO push_devices (id, user_id, app_id, device_id, platform, push_service, token, token_hash, keys, device_type,
                          locale, app_version, sandbox, session_id, unregister_hash, registered_at, last_seen_at)
VALUES (:id, :user_id, :app_id, :device_id, :platform, :push_service, :token, :token_hash, CAST(:keys AS jsonb),
        :device_type, :locale, :app_version, :sandbox, :session_id, :unregister_hash, :registered_at, :now)
ON CONFLICT (user_id, app_id, device_id) DO UPDATE
SET platform = excluded.platform, push_service = excluded.push_service, token = excluded.token,
    token_hash = excluded.token_hash, keys = excluded.keys, device_type = excluded.device_type,
    locale = excluded.locale, app_version = excluded.app_version, sandbox = excluded.sandbox,
    session_id = excluded.session_id, unregister_hash = excluded.unregister_hash,
    registered_at = excluded.registered_at, last_seen_at = excluded.last_seen_at
""")

_FORGET = text("DELETE FROM push_devices WHERE id = CAST(:id AS uuid) AND user_id = :user_id")

_FORGET_BY_KEY = text("DELETE FROM push_devices WHERE id = CAST(:id AS uuid) AND unregister_hash = :unregister_hash")

# Instants travel with milliseconds.
_FORGET_TOKEN = text("""
DELETE FROM push_devices
WHERE id = CAST(:id AS uuid) AND date_trunc('milliseconds', registered_at) <= CAST(:registered_at AS timestamptz)
""")

_FORGET_OF_SESSIONS = text("""
DELETE FROM push_devices WHERE user_id = :user_id AND session_id = ANY(CAST(:session_ids AS uuid[]))
""")

_FORGET_OF_USER = text("DELETE FROM push_devices WHERE user_id = :user_id")


@dataclass(frozen=True, slots=True)
class Known:
    """A registration that is there already."""

    id: str
    same_token: bool
    registered_at: datetime


def digest(secret: str) -> bytes:
    """What is stored of a key, and what tokens are compared by."""
    return hashlib.sha256(secret.encode()).digest()


class PostgresDevices:
    """The `DeviceStore` port on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def known(self, user_id: str, draft: DeviceDraft) -> Known | None:
        """The same app on the same device, if it was registered before.

        Until the transaction ends nobody else registers the token that it had, or the one that it gets.
        """
        values = {"user_id": user_id, "app_id": draft.app_id, "device_id": draft.device_id}
        token_hash = digest(draft.token)
        row = (await self._connection.execute(_SAME, values)).one_or_none()
        tokens = [token_hash] if row is None else [token_hash, bytes(row.token_hash)]
        keys = [int.from_bytes(token[:4], signed=True) for token in tokens]
        await self._connection.execute(_TURN, {"class": TOKEN_LOCK_CLASS, "keys": keys})
        if row is not None:
            # Somebody else may have taken the token, and the registration with it, while this waited.
            row = (await self._connection.execute(_SAME, values)).one_or_none()
        if row is None:
            return None
        return Known(str(row.id), bytes(row.token_hash) == token_hash, row.registered_at)

    async def count(self, user_id: str) -> int:
        """How many devices the user has."""
        return int(await self._connection.scalar(_COUNT, {"user_id": user_id}) or 0)

    async def keep(
        self,
        device_id: str,
        user_id: str,
        draft: DeviceDraft,
        *,
        session_id: str | None,
        unregister_key: str,
        registered_at: datetime,
        now: datetime,
    ) -> None:
        """Register, or replace; whoever else had this token loses it."""
        values: dict[str, Any] = {
            "id": device_id,
            "user_id": user_id,
            "app_id": draft.app_id,
            "device_id": draft.device_id,
            "platform": draft.platform.value,
            "push_service": draft.service.value,
            "token": draft.token,
            "token_hash": digest(draft.token),
            "keys": None if draft.keys is None else encode(draft.keys).decode(),
            "device_type": draft.device_type.value,
            "locale": draft.locale,
            "app_version": draft.app_version,
            "sandbox": draft.sandbox,
            "session_id": session_id,
            "unregister_hash": digest(unregister_key),
            "registered_at": registered_at,
            "now": now,
        }
        detach = {name: values[name] for name in ("id", "push_service", "app_id", "token_hash")}
        await self._connection.execute(_DETACH, detach)
        await self._connection.execute(_KEEP, values)

    async def forget(self, device: str, user_id: str) -> bool:
        """One device of the user; returns whether it was there."""
        return bool((await self._connection.execute(_FORGET, {"id": device, "user_id": user_id})).rowcount)

    async def forget_by_key(self, device: str, unregister_key: str) -> bool:
        """The same, by who has its key."""
        values = {"id": device, "unregister_hash": digest(unregister_key)}
        return bool((await self._connection.execute(_FORGET_BY_KEY, values)).rowcount)

    async def forget_of_sessions(self, user_id: str, session_ids: Sequence[str]) -> None:
        """Those that were registered in these sessions."""
        await self._connection.execute(_FORGET_OF_SESSIONS, {"user_id": user_id, "session_ids": list(session_ids)})

    async def forget_of_user(self, user_id: str) -> None:
        """All of a user's."""
        await self._connection.execute(_FORGET_OF_USER, {"user_id": user_id})


async def remove(connection: AsyncConnection, device: str, registered_at: datetime) -> bool:
    """Its token is good no more, as a push service says of the one that was registered then; a later one stays."""
    done = await connection.execute(_FORGET_TOKEN, {"id": device, "registered_at": registered_at})
    return bool(done.rowcount)


async def of_user(connection: AsyncConnection, user_id: str) -> list[Device]:
    """A user's devices without their tokens, oldest registration first."""
    rows = await connection.execute(_OF_USERS, {"user_ids": [user_id]})
    return [device(row) for row in rows]


async def of_users(connection: AsyncConnection, user_ids: Sequence[str]) -> dict[str, tuple[PushDevice, ...]]:
    """Their devices with tokens, for pushes; users without one are left out."""
    found: dict[str, list[PushDevice]] = {}
    for row in await connection.execute(_OF_USERS, {"user_ids": list(user_ids)}):
        found.setdefault(row.user_id, []).append(
            PushDevice(
                id=str(row.id),
                app_id=row.app_id,
                platform=Platform(row.platform),
                push_service=PushService(row.push_service),
                device_type=DeviceType(row.device_type),
                token=row.token,
                keys=None if row.keys is None else SubscriptionKeys.model_validate_json(row.keys),
                locale=row.locale,
                sandbox=row.sandbox,
                registered_at=row.registered_at,
            )
        )
    return {user_id: tuple(devices) for user_id, devices in found.items()}


def device(row: Any) -> Device:
    """A row as its owner reads it."""
    return Device(
        id=str(row.id),
        device_id=row.device_id,
        app_id=row.app_id,
        platform=Platform(row.platform),
        push_service=PushService(row.push_service),
        device_type=DeviceType(row.device_type),
        locale=row.locale,
        app_version=row.app_version,
        sandbox=row.sandbox,
        registered_at=row.registered_at,
        last_seen_at=row.last_seen_at,
    )
