"""Pushes to Umeng's API, one request per push."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from contracts import times
from contracts.devices import Platform, PushService
from notifier.errors import ConfigError
from notifier.providers.base import PermanentPushError, TokenGoneError
from notifier.providers.shared import http
from notifier.providers.shared.answers import child, json_object, ref
from notifier.providers.shared.standing import Standing
from notifier.providers.umeng import errors, payload
from notifier.providers.umeng.settings import UmengSettings
from notifier.push import Push

BASE_URL = "https://msgapi.umeng.com"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True, slots=True)
class _Application:
    key: str
    secret: str = field(repr=False)


class UmengProvider:
    """Two applications at Umeng, one for Android and one for iPhones; or one of them.

    Umeng does not know a push again: when an answer is lost, a device may get it twice. iPhones show it once; Android
    does if the app goes by `message_id`.
    """

    name = "umeng"
    services = frozenset({PushService.UMENG})
    can_retract = True
    retractions_per_hour: int | None = 2
    """iPhones get theirs through Apple, which delivers two or three background pushes an hour."""

    def __init__(
        self, settings: UmengSettings, *, base_url: str = BASE_URL, now: Callable[[], datetime] = times.now
    ) -> None:
        """Raises `ConfigError`. `base_url` and `now` are for tests."""
        self._android = _application(
            "ANDROID", settings.umeng_android_app_key, settings.umeng_android_master_secret.get_secret_value()
        )
        self._ios = _application("IOS", settings.umeng_ios_app_key, settings.umeng_ios_master_secret.get_secret_value())
        if self._android is None and self._ios is None:
            raise ConfigError(
                "NOTIFICATION_PROVIDER=umeng needs NATTER_UMENG_ANDROID_APP_KEY or NATTER_UMENG_IOS_APP_KEY"
            )
        self._mi_activity = settings.umeng_mi_activity
        self._url = f"{base_url}/api/send"
        self._now = now
        self._client = http.client()
        self._standing = Standing()

    async def send(self, push: Push) -> str | None:
        """Hand it over; returns Umeng's `msg_id`. Raises `PushError`."""
        if push.target is None:
            raise PermanentPushError("Umeng needs a device")
        # With a comma it would be a list of devices.
        if _TOKEN.fullmatch(push.target.token) is None:
            raise TokenGoneError("Umeng: what was registered is no device token")
        application = self._ios if push.target.platform is Platform.IOS else self._android
        if application is None:
            raise PermanentPushError(f"Umeng: there is no application for {push.target.platform.value}")
        body = payload.body(push, push.target, application.key, self._now(), mi_activity=self._mi_activity)
        sign = payload.signature(self._url, body, application.secret)
        answer = await http.post(
            self._client, "Umeng", f"{self._url}?sign={sign}", body, {"content-type": "application/json"}
        )
        if _is_success(answer):
            self._standing.accepted(errors.SERVER)
            return ref(child(json_object(answer.content), "data").get("msg_id"))
        raise errors.error(
            answer.status_code,
            answer.content,
            retry_after_s=http.retry_after_s(answer.headers.get("retry-after"), self._now()),
            token=push.target.token,
            alone=self._android is None or self._ios is None,
            standing=self._standing,
        )

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()


def from_environment() -> UmengProvider:
    """The provider as the environment describes it; raises `ConfigError`."""
    return UmengProvider(UmengSettings())


def _application(platform: str, key: str, secret: str) -> _Application | None:
    if not key:
        if secret:
            raise ConfigError(f"NATTER_UMENG_{platform}_MASTER_SECRET needs NATTER_UMENG_{platform}_APP_KEY")
        return None
    if not secret:
        raise ConfigError(f"NATTER_UMENG_{platform}_APP_KEY needs NATTER_UMENG_{platform}_MASTER_SECRET")
    return _Application(key, secret)


def _is_success(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and json_object(answer.content).get("ret") == errors.SUCCESS
