"""Posts pushes to an address, signed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from contracts import times
from contracts.devices import PushService
from notifier.errors import ConfigError
from notifier.providers.shared import http
from notifier.providers.webhook import errors, payload
from notifier.providers.webhook.settings import WebhookSettings
from notifier.push import Push

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class WebhookProvider:
    """Carries what no other provider does, also for users without a device."""

    name = "webhook"
    services: frozenset[PushService] = frozenset()
    can_retract = True
    retractions_per_hour: int | None = None

    def __init__(self, settings: WebhookSettings, *, now: Callable[[], datetime] = times.now) -> None:
        """Raises `ConfigError`."""
        parts = urlsplit(settings.webhook_url)
        local = parts.scheme == "http" and parts.hostname in _THIS_MACHINE
        if not parts.hostname or not (parts.scheme == "https" or local) or parts.username or parts.password:
            raise ConfigError("NOTIFICATION_PROVIDER=webhook needs NATTER_WEBHOOK_URL: an https address")
        try:
            self._keys = payload.keys(settings.webhook_secret.get_secret_value())
        except ValueError as wrong:
            raise ConfigError(f"NATTER_WEBHOOK_SECRET: {wrong}") from None
        self._url = settings.webhook_url
        self._tokens = settings.webhook_tokens
        self._now = now
        self._client = http.client()

    async def send(self, push: Push) -> str | None:
        """Post it; raises `PushError`. Any 2xx is acceptance."""
        at = self._now()
        content = payload.body(push, at, tokens=self._tokens)
        headers = {"content-type": "application/json", **payload.signed(push.id, at, content, self._keys)}
        answer = await http.post(self._client, "webhook", self._url, content, headers)
        if 200 <= answer.status_code < 300:
            return None
        raise errors.error(
            answer.status_code, retry_after_s=http.retry_after_s(answer.headers.get("retry-after"), self._now())
        )

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()


def from_environment() -> WebhookProvider:
    """The provider as the environment describes it; raises `ConfigError`."""
    return WebhookProvider(WebhookSettings())
