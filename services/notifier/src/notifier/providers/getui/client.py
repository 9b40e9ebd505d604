"""Pushes to Getui's REST API V2, one request per push."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from contracts import times
from contracts.devices import PushService
from notifier.errors import ConfigError
from notifier.providers.base import PermanentPushError
from notifier.providers.getui import errors, payload
from notifier.providers.getui.settings import GetuiSettings
from notifier.providers.getui.tokens import AccessTokens
from notifier.providers.shared import http
from notifier.providers.shared.answers import child, json_object, number, ref
from notifier.providers.shared.standing import Standing
from notifier.push import Push

BASE_URL = "https://restapi.getui.com"


class GetuiProvider:
    """One application at Getui, Android and iOS alike."""

    name = "getui"
    services = frozenset({PushService.GETUI})
    can_retract = True
    retractions_per_hour: int | None = 2
    """iPhones get theirs through Apple, which delivers two or three background pushes an hour."""

    def __init__(
        self, settings: GetuiSettings, *, base_url: str = BASE_URL, now: Callable[[], datetime] = times.now
    ) -> None:
        """Raises `ConfigError`. `base_url` and `now` are for tests."""
        secret = settings.getui_master_secret.get_secret_value()
        for name, value in (
            ("NATTER_GETUI_APP_ID", settings.getui_app_id),
            ("NATTER_GETUI_APP_KEY", settings.getui_app_key),
            ("NATTER_GETUI_MASTER_SECRET", secret),
        ):
            if not value:
                raise ConfigError(f"NOTIFICATION_PROVIDER=getui needs {name}")
        self._settings = settings
        self._now = now
        self._client = http.client()
        url = f"{base_url}/v2/{quote(settings.getui_app_id, safe='')}"
        self._url = f"{url}/push/single/cid"
        self._tokens = AccessTokens(self._client, f"{url}/auth", settings.getui_app_key, secret, now=now)
        self._standing = Standing()

    async def send(self, push: Push) -> str | None:
        """Hand it over; returns Getui's task id. Raises `PushError`."""
        if push.target is None:
            raise PermanentPushError("Getui needs a device")
        body = payload.body(
            push,
            push.target,
            channel=self._settings.getui_channel,
            channel_important=self._settings.getui_channel_important,
        )
        answer = await self._post(body)
        if _code(answer) == errors.TOKEN_INVALID:
            # "When a call answers 10001, fetch another": it may end early, or another process has fetched one.
            answer = await self._post(body)
        if answer.status_code != 200 or _code(answer) != errors.OK:
            raise errors.error(
                answer.status_code,
                answer.content,
                retry_after_s=http.retry_after_s(answer.headers.get("retry-after"), self._now()),
                standing=self._standing,
            )
        self._standing.accepted(errors.SERVER)
        task, outcome = _told(child(json_object(answer.content), "data"))
        if outcome == errors.IGNORED:
            raise PermanentPushError("Getui: the app was not opened for 90 days")
        return task

    async def close(self) -> None:
        """End the connections."""
        await self._tokens.close()
        await self._client.aclose()

    async def _post(self, body: bytes) -> httpx.Response:
        access = await self._tokens.get()
        headers = {"token": access, "content-type": "application/json;charset=utf-8"}
        answer = await http.post(self._client, "Getui", self._url, body, headers)
        if _code(answer) == errors.TOKEN_INVALID:
            self._tokens.forget(access)
        return answer


def from_environment() -> GetuiProvider:
    """The provider as the environment describes it; raises `ConfigError`."""
    return GetuiProvider(GetuiSettings())


def _code(answer: httpx.Response) -> int | None:
    return number(json_object(answer.content).get("code"))


def _told(data: dict[str, Any]) -> tuple[str | None, str | None]:
    """`{"<task>": {"<cid>": "<outcome>"}}` as task and outcome; an answer without them is still an acceptance."""
    for task, outcomes in data.items():
        told = next(iter(outcomes.values()), None) if isinstance(outcomes, dict) else None
        return ref(task), told if isinstance(told, str) else None
    return None, None
