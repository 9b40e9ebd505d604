"""What a client says about pushes, against an API that a test writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from contracts.codes import ErrorCode
from contracts.devices import DeviceDraft
from contracts.preferences import NotificationSettings
from contracts.times import rfc3339
from natter_client import ChatClient, Device, Rejected, RequestFailed

from .fakes import CONVERSATION, refusal
from .record import NOW

ID = "0000000d-0000-7000-8000-00000000000d"
REGISTERED = {
    "id": ID,
    "device_id": "phone-1",
    "app_id": "default",
    "platform": "android",
    "push_service": "fcm",
    "device_type": "mobile",
    "registered_at": rfc3339(NOW),
    "last_seen_at": rfc3339(NOW),
    "unregister_key": "the-key",
}


class Api:
    """Keeps requests, and answers each the same."""

    def __init__(self, answer: Callable[[], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer

    def client(self) -> ChatClient:
        """Somebody's client; it needs no socket for this."""
        return ChatClient(
            api_url="http://api",
            socket_urls=["ws://nowhere"],
            user_id="me",
            token=self._token,
            device=Device("phone-1", "mobile"),
            http=httpx.AsyncClient(transport=httpx.MockTransport(self._take)),
        )

    @property
    def said(self) -> tuple[str, str, Any]:
        """Method, path and body of the only request."""
        [one] = self.requests
        return one.method, one.url.path, json.loads(one.content) if one.content else None

    async def _token(self) -> str:
        return "a-token"

    def _take(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer()


async def test_a_device_is_registered() -> None:
    """With what was said and nothing else; the answer has the key for later."""
    api = Api(lambda: httpx.Response(201, json=REGISTERED))
    draft = DeviceDraft(device_id="phone-1", platform="android", token="t", locale="zh-CN")
    device = await api.client().pushes.register_device(draft)
    assert (device.id, device.unregister_key) == (ID, "the-key")
    method, path, body = api.said
    assert (method, path) == ("POST", "/v1/devices")
    assert DeviceDraft.model_validate(body) == draft
    assert None not in body.values()
    assert api.requests[0].headers["authorization"] == "Bearer a-token"


async def test_who_signed_out_unregisters_without_a_token() -> None:
    """Nobody is asked for one: there may be none any more."""
    api = Api(lambda: httpx.Response(204))
    await api.client().pushes.unregister(ID, "the-key")
    assert api.said == ("POST", f"/v1/devices/{ID}/unregister", {"unregister_key": "the-key"})
    assert "authorization" not in api.requests[0].headers


async def test_a_device_is_removed() -> None:
    """By the id of its registration."""
    api = Api(lambda: httpx.Response(204))
    await api.client().pushes.remove_device(ID)
    assert api.said == ("DELETE", f"/v1/devices/{ID}", None)


async def test_wishes_are_read_and_said() -> None:
    """As a whole, both ways."""
    api = Api(lambda: httpx.Response(200, json={"pushes": True, "show_text": False}))
    wishes = NotificationSettings(show_text=False)
    assert await api.client().pushes.notification_settings() == wishes
    assert api.said == ("GET", "/v1/notification-settings", None)
    api.requests.clear()
    assert await api.client().pushes.set_notification_settings(wishes) == wishes
    method, path, body = api.said
    assert (method, path) == ("PUT", "/v1/notification-settings")
    assert NotificationSettings.model_validate(body) == wishes


async def test_a_conversation_is_muted_until_a_moment() -> None:
    """And for ever, and not at all."""
    until = datetime(2026, 2, 1, tzinfo=UTC)
    muted = {"conversation_id": CONVERSATION, "muted": True, "until": rfc3339(until)}
    api = Api(lambda: httpx.Response(200, json=muted))
    assert (await api.client().pushes.mute(CONVERSATION, until=until)).until == until
    assert api.said == ("PUT", f"/v1/conversations/{CONVERSATION}/mute", {"muted": True, "until": rfc3339(until)})
    api.requests.clear()
    await api.client().pushes.mute(CONVERSATION, False)
    assert api.said[2] == {"muted": False}


async def test_a_refusal_says_why_and_whether_to_come_again() -> None:
    """One that lasts is Rejected; one that may pass, and what was nobody's of ours, is RequestFailed."""
    draft = DeviceDraft(device_id="phone-1", platform="android", token="t")
    with pytest.raises(Rejected) as lasting:
        await Api(lambda: refusal(ErrorCode.LIMIT_REACHED)).client().pushes.register_device(draft)
    assert lasting.value.code is ErrorCode.LIMIT_REACHED
    with pytest.raises(RequestFailed) as passing:
        await Api(lambda: refusal(ErrorCode.RATE_LIMITED, **{"Retry-After": "3"})).client().pushes.unregister(ID, "k")
    assert passing.value.retry_after_s == 3
    with pytest.raises(RequestFailed):
        await Api(lambda: httpx.Response(200, text="<html>")).client().pushes.notification_settings()
