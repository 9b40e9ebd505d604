"""Pushes to browsers, encrypted for each of them, at the service that its browser uses."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime

import httpcore
import httpx

from contracts import times
from contracts.devices import PushService, SubscriptionKeys
from notifier.errors import ConfigError
from notifier.providers.base import PermanentPushError, TokenGoneError
from notifier.providers.shared import http
from notifier.providers.shared.standing import Standing
from notifier.providers.webpush import endpoints, errors, payload
from notifier.providers.webpush.settings import WebPushSettings
from notifier.providers.webpush.vapid import Vapid
from notifier.push import Push, PushKind

ANSWER_BYTES_MAX = 4_096
"""So much of an answer is read; the endpoint is not ours, and could go on for ever."""


class WebPushProvider:
    """All browsers, with one key pair. Redirections are not followed, and proxies of the environment not used: the
    address that was checked is the address that is called."""

    name = "webpush"
    services = frozenset({PushService.WEBPUSH})
    can_retract = True
    retractions_per_hour: int | None = None

    def __init__(
        self,
        settings: WebPushSettings,
        *,
        anywhere: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = times.now,
    ) -> None:
        """Reads the key; raises `ConfigError`. The rest is for tests: `anywhere` also pushes to this machine."""
        http.keep_quiet()
        if not settings.hosts:
            raise ConfigError("NATTER_WEBPUSH_ALLOWED_HOSTS names no host")
        self._hosts = settings.hosts
        self._anywhere = anywhere
        self._vapid = Vapid(settings, now)
        self._now = now
        self._standing = Standing()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(),
            max_connections=http.CONNECTIONS_MAX,
            max_keepalive_connections=http.CONNECTIONS_MAX,
            keepalive_expiry=http.KEEPALIVE_S,
            network_backend=None if anywhere else endpoints.PublicAddressesOnly(),
        )

    @property
    def public_key(self) -> str:
        """What a page subscribes with (`applicationServerKey`), base64url."""
        return self._vapid.public_key

    async def send(self, push: Push) -> str | None:
        """Hand it over; returns None: what services give back is an address with which a push can be taken back, and
        nobody shall find that in a record. Raises `PushError`."""
        token, keys = _subscription(push)
        to = endpoints.endpoint(token, self._hosts, anywhere=self._anywhere)
        if push.kind is PushKind.RETRACTION and to.host.endswith("push.apple.com"):
            # Safari takes the permission away from a page that gets pushes and shows nothing.
            raise PermanentPushError("Web Push: Safari has no push that shows nothing")
        headers = payload.headers(push)
        headers["authorization"] = self._vapid.authorization(to.origin)
        status, retry_after, answer = await self._post(to, headers, payload.encrypted(payload.body(push), keys))
        if 200 <= status < 300:
            self._standing.accepted(to.origin)
            return None
        raise errors.error(
            status,
            answer,
            retry_after_s=http.retry_after_s(retry_after, self._now()),
            token=token,
            origin=to.origin,
            standing=self._standing,
        )

    async def close(self) -> None:
        """End the connections."""
        await self._pool.aclose()

    async def _post(
        self, to: endpoints.Endpoint, headers: dict[str, str], body: bytes
    ) -> tuple[int, str | None, bytes]:
        """Status, `Retry-After` and the beginning of the answer."""
        url = httpcore.URL(scheme=to.scheme, host=to.host, port=to.port, target=to.target)
        limits = {"timeout": http.timeouts().as_dict()}
        try:
            async with self._pool.stream(
                "POST",
                url,
                headers=[("host", to.origin.partition("://")[2]), *headers.items()],
                content=body,
                extensions=limits,
            ) as answer:
                found = b""
                async for part in answer.aiter_stream():
                    found += part
                    if len(found) >= ANSWER_BYTES_MAX:
                        break
                asked = next((value.decode("latin-1") for name, value in answer.headers if _is_retry_after(name)), None)
                return answer.status, asked, found[:ANSWER_BYTES_MAX]
        except (
            httpcore.TimeoutException,
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.ConnectionNotAvailable,
            OSError,
        ) as lost:
            raise http.unreachable(f"Web Push at {to.origin}", lost) from None


def from_environment() -> WebPushProvider:
    """The provider as the environment describes it; raises `ConfigError`."""
    return WebPushProvider(WebPushSettings())


def _is_retry_after(name: bytes) -> bool:
    return name.lower() == b"retry-after"


def _subscription(push: Push) -> tuple[str, SubscriptionKeys]:
    if push.target is None:
        raise PermanentPushError("Web Push needs a device")
    if push.target.keys is None:
        raise TokenGoneError("Web Push: the subscription has no keys")
    return push.target.token, push.target.keys
