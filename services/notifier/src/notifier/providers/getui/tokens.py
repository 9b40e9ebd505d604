"""Access tokens for Getui: good for a day, fetched by one at a time, renewed early."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx

from notifier.providers.base import PushError, TransientPushError
from notifier.providers.getui import errors
from notifier.providers.shared import http
from notifier.providers.shared.answers import child, instant_of_ms, json_object
from notifier.providers.shared.fitting import dump

RENEW_EARLY_S = 3_600.0
"""So long before its end a token is replaced, while pushes still go out with it."""
USABLE_S = 30.0
"""A token that ends sooner is not used any more: the request would arrive too late."""
PAUSE_S = 10.0
"""After a failure nobody asks again for so long: Getui answers a hundred such requests a minute."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class AccessTokens:
    """The one valid token of an application ("鉴权API")."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        app_key: str,
        master_secret: str,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`url` is where tokens are given out."""
        self._client = client
        self._url = url
        self._app_key = app_key
        self._secret = master_secret
        self._now = now
        self._clock = clock
        self._token = ""
        self._ends = _NEVER
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
            self._renewing = asyncio.create_task(self._renew(), name="getui access token")
        if not usable:
            # Shielded: a push that is given up must not take the token from the others that wait for it.
            await asyncio.shield(self._renewing)
            if self._failed is not None:
                raise self._failed.with_traceback(None)
        return self._token

    def forget(self, token: str) -> None:
        """`token` was refused: whoever comes next asks for another, unless there is another already."""
        if token == self._token:
            self._ends = _NEVER

    async def close(self) -> None:
        """End what is under way."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    async def _renew(self) -> None:
        """Never raises: what failed is said to each one who asks, in `get`."""
        try:
            self._token, self._ends = await self._fetch()
            self._failed = None
        except PushError as failed:
            self._failed, self._failed_at = failed, self._clock()

    async def _fetch(self) -> tuple[str, datetime]:
        timestamp = str(int(self._now().timestamp() * 1_000))
        sign = hashlib.sha256(f"{self._app_key}{timestamp}{self._secret}".encode()).hexdigest()
        asked = dump({"sign": sign, "timestamp": timestamp, "appkey": self._app_key})
        headers = {"content-type": "application/json;charset=utf-8"}
        answer = await http.post(self._client, "Getui", self._url, asked, headers)
        found = json_object(answer.content)
        if answer.status_code != 200 or found.get("code") != errors.OK:
            wait_s = http.retry_after_s(answer.headers.get("retry-after"), self._now())
            raise errors.refused_token(answer.status_code, answer.content, retry_after_s=wait_s)
        data = child(found, "data")
        token, ends = data.get("token"), instant_of_ms(data.get("expire_time"))
        if not isinstance(token, str) or not token or ends is None:
            raise TransientPushError("Getui gave no access token")
        return token, ends
