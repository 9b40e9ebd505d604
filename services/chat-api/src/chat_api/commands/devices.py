"""Commands about devices that can be pushed, and about what their users want to be told."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from chat_api.commands.ports import Once, Recordable, Transaction
from chat_api.domain.accounts import Session, Standing
from chat_api.domain.errors import LimitReached, NotFound, SessionOver, UserIsBlocked
from contracts.devices import DEVICES_PER_USER_MAX, DeviceDraft, RegisteredDevice
from contracts.events import UserConversationMuted, UserSettingsChanged
from contracts.ids import new_id
from contracts.preferences import Mute, MuteDraft, NotificationSettings
from contracts.stream_ids import StreamId, UserStream


class KnownDevice(Protocol):
    """A registration that is there already."""

    @property
    def id(self) -> str: ...
    @property
    def same_token(self) -> bool: ...
    @property
    def registered_at(self) -> datetime: ...


class DeviceStore(Protocol):
    """Where devices are kept."""

    async def known(self, user_id: str, draft: DeviceDraft) -> KnownDevice | None: ...
    async def count(self, user_id: str) -> int: ...
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
    ) -> None: ...
    async def forget(self, device: str, user_id: str) -> bool: ...
    async def forget_by_key(self, device: str, unregister_key: str) -> bool: ...


class SessionStore(Protocol):
    """Where sessions are kept."""

    async def standing(self, user_id: str) -> Standing | None: ...
    async def session(self, session_id: str) -> Session | None: ...


class PreferencesStore(Protocol):
    """Where wishes are kept."""

    async def settings(self, user_id: str) -> NotificationSettings: ...
    async def mute(self, conversation_id: str, user_id: str) -> Mute: ...


class DeviceTransaction(Transaction, Protocol):
    """A transaction that also sees devices and wishes."""

    @property
    def devices(self) -> DeviceStore: ...
    @property
    def preferences(self) -> PreferencesStore: ...
    @property
    def accounts(self) -> SessionStore: ...


class DeviceUnitOfWork(Protocol):
    """Begins them."""

    def begin(
        self, streams: Collection[StreamId], *, once: Once | None = None
    ) -> AbstractAsyncContextManager[DeviceTransaction]: ...


class Devices:
    """Every command about devices. All about one user's happens under the lock of that user's stream."""

    def __init__(self, uow: DeviceUnitOfWork) -> None:
        self._uow = uow

    async def register(
        self, user_id: str, session_id: str | None, draft: DeviceDraft, now: datetime
    ) -> tuple[RegisteredDevice, bool]:
        """Register a device, or renew it; returns it and whether it is new. Each time its key is another one."""
        key = secrets.token_urlsafe(32)
        async with self._uow.begin({UserStream(user_id)}) as transaction:
            session_id = await _still_signed_in(transaction, user_id, session_id)
            known = await transaction.devices.known(user_id, draft)
            if known is None and await transaction.devices.count(user_id) >= DEVICES_PER_USER_MAX:
                raise LimitReached(f"A user has at most {DEVICES_PER_USER_MAX} devices: remove one.")
            device = new_id() if known is None else known.id
            # The same token is as old as it was: what a push service said about it since then still holds.
            registered_at = known.registered_at if known is not None and known.same_token else now
            await transaction.devices.keep(
                device,
                user_id,
                draft,
                session_id=session_id,
                unregister_key=key,
                registered_at=registered_at,
                now=now,
            )
        registered = RegisteredDevice(
            id=device,
            device_id=draft.device_id,
            app_id=draft.app_id,
            platform=draft.platform,
            push_service=draft.service,
            device_type=draft.device_type,
            locale=draft.locale,
            app_version=draft.app_version,
            sandbox=draft.sandbox,
            registered_at=registered_at,
            last_seen_at=now,
            unregister_key=key,
        )
        return registered, known is None

    async def remove(self, user_id: str, device: str) -> None:
        """No push to it any more; raises `NotFound`."""
        async with self._uow.begin({UserStream(user_id)}) as transaction:
            if not await transaction.devices.forget(device, user_id):
                raise NotFound

    async def unregister(self, device: str, unregister_key: str) -> None:
        """By who has its key, signed in or not. A wrong key, or a device that is gone, looks like success."""
        async with self._uow.begin(set()) as transaction:
            await transaction.devices.forget_by_key(device, unregister_key)

    async def change_settings(self, user_id: str, settings: NotificationSettings, now: datetime) -> None:
        """The user's wishes from now on; the same ones again change nothing."""
        async with self._uow.begin({UserStream(user_id)}) as transaction:
            if await transaction.user(user_id) is None:
                raise NotFound
            if await transaction.preferences.settings(user_id) == settings:
                return
            event = UserSettingsChanged(user_id=user_id, settings=settings, changed_at=now)
            await transaction.append([Recordable(UserStream(user_id), event, {"actor": user_id})], now)

    async def mute(self, user_id: str, conversation_id: str, draft: MuteDraft, now: datetime) -> Mute:
        """Mute a conversation or take that back; returns what holds then."""
        # An end that has passed is none.
        muted = draft.muted and (draft.until is None or draft.until > now)
        wanted = Mute(conversation_id=conversation_id, muted=muted, until=draft.until if muted else None)
        async with self._uow.begin({UserStream(user_id)}) as transaction:
            if await transaction.membership(conversation_id, user_id) is None:
                raise NotFound
            if await transaction.preferences.mute(conversation_id, user_id) == wanted:
                return wanted
            event = UserConversationMuted(
                user_id=user_id, conversation_id=conversation_id, muted=muted, until=wanted.until, changed_at=now
            )
            await transaction.append([Recordable(UserStream(user_id), event, {"actor": user_id})], now)
        return wanted


async def _still_signed_in(transaction: DeviceTransaction, user_id: str, session_id: str | None) -> str | None:
    """The session if it is one of ours; refuses what ended while the request was on its way: its devices are gone."""
    standing = await transaction.accounts.standing(user_id)
    if standing is not None and standing.blocked_at is not None:
        raise UserIsBlocked
    session = None if session_id is None else await transaction.accounts.session(session_id)
    if session is None:  # none, or one of a host application's own
        return None
    if session.ended_at is not None:
        raise SessionOver
    return session_id
