"""Pushes to JPush's REST API, one request per push."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from datetime import datetime

import httpx

from contracts import times
from contracts.devices import PushService
from notifier.errors import ConfigError
from notifier.providers.base import PermanentPushError, TransientPushError
from notifier.providers.jpush import errors, payload
from notifier.providers.jpush.cids import Cids
from notifier.providers.jpush.settings import JPushSettings
from notifier.providers.shared import http
from notifier.providers.shared.answers import json_object, ref
from notifier.providers.shared.standing import Standing
from notifier.push import Push

BASE_URL = "https://api.jpush.cn"
RESET_HEADER = "x-rate-limit-reset"
"""Seconds until calls are counted anew."""
CIDS_TIMEOUT_S = 2.0
"""Much shorter than a push may take: without an id it goes out as well."""


class JPushProvider:
    """One application at JPush, Android and iOS alike."""

    name = "jpush"
    services = frozenset({PushService.JPUSH})
    can_retract = True
    retractions_per_hour: int | None = 2
    """iPhones get theirs through Apple, which delivers two or three background pushes an hour."""

    def __init__(
        self,
        settings: JPushSettings,
        *,
        base_url: str = BASE_URL,
        cids_timeout_s: float = CIDS_TIMEOUT_S,
        now: Callable[[], datetime] = times.now,
    ) -> None:
        """Raises `ConfigError`. The rest is for tests."""
        secret = settings.jpush_master_secret.get_secret_value()
        if not settings.jpush_app_key:
            raise ConfigError("NOTIFICATION_PROVIDER=jpush needs NATTER_JPUSH_APP_KEY")
        if not secret:
            raise ConfigError("NOTIFICATION_PROVIDER=jpush needs NATTER_JPUSH_MASTER_SECRET")
        basic = base64.b64encode(f"{settings.jpush_app_key}:{secret}".encode()).decode()
        self._headers = {"authorization": f"Basic {basic}", "content-type": "application/json"}
        self._settings = settings
        self._url = f"{base_url}/v3/push"
        self._cids_timeout_s = cids_timeout_s
        self._now = now
        self._client = http.client()
        self._cids = Cids(self._fetch_cids)
        self._standing = Standing()

    async def send(self, push: Push) -> str | None:
        """Hand it over; returns JPush's `msg_id`. Raises `PushError`."""
        if push.target is None:
            raise PermanentPushError("JPush needs a device")
        body = payload.body(
            push,
            push.target,
            await self._cids.of(push.id),
            channel=self._settings.jpush_channel,
            channel_important=self._settings.jpush_channel_important,
        )
        answer = await http.post(self._client, "JPush", self._url, body, self._headers)
        if answer.status_code == 200:
            self._standing.accepted(errors.SERVER)
            self._cids.done(push.id)
            return ref(json_object(answer.content).get("msg_id"))
        failed = errors.error(
            answer.status_code, answer.content, retry_after_s=self._wait_s(answer), standing=self._standing
        )
        if not isinstance(failed, TransientPushError):
            self._cids.done(push.id)
        raise failed

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()

    def _wait_s(self, answer: httpx.Response) -> float | None:
        asked = http.retry_after_s(answer.headers.get("retry-after"), self._now())
        if asked is None and answer.status_code == 429:
            return http.retry_after_s(answer.headers.get(RESET_HEADER), self._now())
        return asked

    async def _fetch_cids(self, count: int) -> Sequence[str]:
        """From "获取推送唯一标识 (cid)"; none if JPush does not answer: the push goes out without."""
        try:
            async with asyncio.timeout(self._cids_timeout_s):
                answer = await self._client.get(f"{self._url}/cid", params={"count": count}, headers=self._headers)
        except (httpx.HTTPError, OSError):
            return ()
        found = json_object(answer.content).get("cidlist") if answer.status_code == 200 else None
        return [cid for cid in found if isinstance(cid, str)] if isinstance(found, list) else ()


def from_environment() -> JPushProvider:
    """The provider as the environment describes it; raises `ConfigError`."""
    return JPushProvider(JPushSettings())
