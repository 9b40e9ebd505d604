"""Access tokens for Google: fetched beside the event loop, kept for their hour, renewed early and by one at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from google.auth import exceptions
from google.auth.transport import Request
from google.oauth2.service_account import Credentials

from notifier.providers.base import ProviderRefusedError, PushError, TransientPushError
from notifier.providers.shared.http import ServiceUnreachable, timeouts

RENEW_EARLY_S = 300.0
"""So long before its end a token is replaced, while pushes still go out with it."""
USABLE_S = 30.0
"""A token that ends sooner is not used any more: the request would arrive too late."""
PAUSE_S = 10.0
"""After a failure nobody asks again for so long."""


class AccessTokens:
    """The one valid token of a service account."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = credentials
        self._now = now
        self._clock = clock
        self._request = _HttpxRequest()
        self._token = ""
        self._ends = datetime.min.replace(tzinfo=UTC)
        self._renewing: asyncio.Task[None] | None = None
        self._failed: PushError | None = None
        self._failed_at = 0.0

    async def get(self) -> str:
        """A token that is good for a while; raises `PushError`."""
        left_s = (self._ends - self._now()).total_seconds()
        if left_s > RENEW_EARLY_S:
            return self._token
        usable = left_s > USABLE_S
        if self._failed is not None and self._clock() - self._failed_at < PAUSE_S:
            if usable:
                return self._token
            raise self._failed.with_traceback(None)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(), name="fcm access token")
        if not usable:
            # Shielded: a push that is given up must not take the token from the others that wait for it.
            await asyncio.shield(self._renewing)
            if self._failed is not None:
                raise self._failed.with_traceback(None)
        return self._token

    def forget(self, token: str) -> None:
        """`token` was refused: whoever comes next asks for another, unless there is another already."""
        if token == self._token:
            self._ends = datetime.min.replace(tzinfo=UTC)

    async def close(self) -> None:
        """End what is under way; it cannot take longer than one request's limits."""
        self._request.close()
        if self._renewing is not None:
            await asyncio.wait({self._renewing})

    async def _renew(self) -> None:
        """Never raises: what failed is said to each one who asks, in `get`."""
        try:
            await asyncio.to_thread(self._credentials.refresh, self._request)
            token, ends = self._credentials.token, self._credentials.expiry
        except exceptions.GoogleAuthError as failed:
            self._failed, self._failed_at = _push_error(failed), self._clock()
            return
        except ValueError:
            self._failed, self._failed_at = TransientPushError("Google's answer cannot be read"), self._clock()
            return
        if not token or ends is None:
            self._failed, self._failed_at = TransientPushError("Google gave no token"), self._clock()
            return
        # google-auth's instants are UTC without saying so.
        self._token, self._ends, self._failed = token, ends.replace(tzinfo=UTC), None


def _push_error(failed: exceptions.GoogleAuthError) -> PushError:
    """What a failed renewal means; of the answer only OAuth's error code is repeated."""
    if isinstance(failed, exceptions.TransportError):
        return ServiceUnreachable("Google's token endpoint does not answer")
    answer = failed.args[1] if len(failed.args) > 1 else None
    code = answer.get("error") if isinstance(answer, Mapping) else None
    said = f": {code}" if isinstance(code, str) and code.replace("_", "").isalpha() else ""
    if failed.retryable:
        return TransientPushError(f"Google's token endpoint cannot answer now{said}")
    return ProviderRefusedError(f"Google refuses the service account of FIREBASE_CREDENTIALS_PATH{said}")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    data: bytes


class _HttpxRequest(Request):
    """google-auth's way to the network, over httpx; runs in a thread."""

    def __init__(self) -> None:
        self._client: httpx.Client | None = None
        self._closed = False

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_more: Any,
    ) -> _Answer:
        """One request; `timeout` is not asked for: the limits are ours."""
        if self._closed:
            raise exceptions.TransportError("closed")  # type: ignore[no-untyped-call]
        if self._client is None:
            self._client = httpx.Client(timeout=timeouts(), follow_redirects=False)
        try:
            answer = self._client.request(method, url, content=body, headers=headers)
        except (httpx.HTTPError, OSError, RuntimeError) as lost:
            # RuntimeError: closed meanwhile.
            raise exceptions.TransportError(type(lost).__name__) from None  # type: ignore[no-untyped-call]
        return _Answer(answer.status_code, answer.headers, answer.content)

    def close(self) -> None:
        """No further request; google-auth tries three times otherwise."""
        self._closed = True
        if self._client is not None:
            self._client.close()
