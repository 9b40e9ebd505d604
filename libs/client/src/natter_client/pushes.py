"""What a device and its user say about pushes: over HTTP, one request each; whoever wants another attempt makes it."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import httpx

from contracts.codec import Contract
from contracts.devices import DeviceDraft, RegisteredDevice, UnregisterKey
from contracts.preferences import Mute, MuteDraft, NotificationSettings
from natter_client.api import Api
from natter_client.errors import Rejected, RequestFailed

M = TypeVar("M", bound=Contract)


class Pushes:
    """`ChatClient.pushes`. Needs no socket. Each method raises Rejected if the server refuses it for good, and
    RequestFailed if it came to nothing: it may then have been done or not, and doing it again is safe."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def register_device(self, draft: DeviceDraft) -> RegisteredDevice:
        """Pushes come to this device from now on; to be said at each start of the app and when its token changes.

        Keep `id` and `unregister_key`: whoever signs out without a network needs them later.
        """
        return await self._ask(RegisteredDevice, "POST", "/devices", draft)

    async def remove_device(self, device: str) -> None:
        """No more pushes to it; `device` is the `id` of its registration."""
        await self._do("DELETE", f"/devices/{device}")

    async def unregister(self, device: str, unregister_key: str) -> None:
        """The same, by who has signed out already. A device that is gone is no error."""
        await self._do("POST", f"/devices/{device}/unregister", UnregisterKey(unregister_key=unregister_key), False)

    async def notification_settings(self) -> NotificationSettings:
        """What the user wants to be told."""
        return await self._ask(NotificationSettings, "GET", "/notification-settings")

    async def set_notification_settings(self, settings: NotificationSettings) -> NotificationSettings:
        """What the user wants from now on, as a whole."""
        return await self._ask(NotificationSettings, "PUT", "/notification-settings", settings)

    async def mute(self, conversation_id: str, muted: bool = True, until: datetime | None = None) -> Mute:
        """No pushes from this conversation, for ever or `until`; or all of them again. Returns what holds then."""
        draft = MuteDraft(muted=muted, until=until)
        return await self._ask(Mute, "PUT", f"/conversations/{conversation_id}/mute", draft)

    async def _ask(self, answer: type[M], method: str, path: str, body: Contract | None = None) -> M:
        return self._api.read(answer, await self._do(method, path, body))

    async def _do(self, method: str, path: str, body: Contract | None = None, signed_in: bool = True) -> httpx.Response:
        content = None if body is None else body.model_dump(mode="json", exclude_none=True)
        try:
            return await self._api.call(method, path, signed_in=signed_in, json=content)
        except RequestFailed as failed:
            if failed.refusal is not None:
                raise Rejected(failed.refusal, failed.detail) from failed
            raise
