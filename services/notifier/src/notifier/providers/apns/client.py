"""Pushes to APNs over HTTP/2, on connections that stay."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from datetime import datetime

from contracts import times
from contracts.devices import PushService
from notifier.providers.apns import errors, payload
from notifier.providers.apns.settings import ApnsSettings
from notifier.providers.apns.tokens import ProviderTokens
from notifier.providers.base import PermanentPushError, TokenGoneError
from notifier.providers.shared import http
from notifier.push import Push, Target

PRODUCTION_URL = "https://api.push.apple.com"
SANDBOX_URL = "https://api.sandbox.push.apple.com"

UNNAMED_APP = "default"
"""What a registration without an `app_id` has in its place."""

_TOKEN = re.compile(r"[0-9A-Fa-f]{16,400}")


class ApnsProvider:
    """One developer account with all its apps."""

    name = "apns"
    services = frozenset({PushService.APNS})
    can_retract = True
    retractions_per_hour: int | None = 2
    """Of background pushes Apple delivers two or three an hour, and none to whoever sends more."""

    def __init__(
        self,
        settings: ApnsSettings,
        *,
        production_url: str = PRODUCTION_URL,
        sandbox_url: str = SANDBOX_URL,
        verify: ssl.SSLContext | bool = True,
        now: Callable[[], datetime] = times.now,
    ) -> None:
        """Reads the key; raises `ConfigError`. Addresses, certificates and clock are for tests."""
        self._topic = settings.apns_topic
        self._tokens = ProviderTokens(settings, now)
        self._urls = {False: production_url, True: sandbox_url}
        self._now = now
        self._client = http.client(http2=True, verify=verify)
        self._unbroken = http.Unbroken()

    async def send(self, push: Push) -> str | None:
        """Hand it over; returns its `apns-id`. Raises `PushError`."""
        if push.target is None:
            raise PermanentPushError("APNs needs a device")
        # The token becomes part of an address: nothing but digits may get there.
        if _TOKEN.fullmatch(push.target.token) is None:
            raise TokenGoneError("APNs: what was registered is no device token")
        now = self._now()
        headers = payload.headers(push, self._topic_of(push.target), now)
        headers["authorization"] = f"bearer {self._tokens.get()}"
        url = f"{self._urls[push.target.sandbox]}/3/device/{push.target.token}"
        answer = await self._unbroken.run(http.post(self._client, "APNs", url, payload.body(push), headers))
        if answer.status_code == 200:
            return str(answer.headers.get("apns-id", push.id))
        if errors.reason_of(answer.status_code, answer.content) == errors.EXPIRED:
            self._tokens.refused()
        raise errors.error(
            answer.status_code,
            answer.content,
            retry_after_s=http.retry_after_s(answer.headers.get("retry-after"), now),
        )

    async def close(self) -> None:
        """End the connections."""
        await self._unbroken.close()
        await self._client.aclose()

    def _topic_of(self, target: Target) -> str:
        topic = self._topic if target.app_id == UNNAMED_APP else target.app_id
        if not topic:
            raise PermanentPushError("APNs: the device was registered without app_id, and NATTER_APNS_TOPIC is not set")
        return topic


def from_environment() -> ApnsProvider:
    """The provider as the environment describes it; raises `ConfigError`."""
    return ApnsProvider(ApnsSettings())
