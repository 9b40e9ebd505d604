"""The token in hand: asked for when there is none, when it was refused, and before it is over."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable

from natter_client.clock import Clock
from natter_client.errors import RequestFailed
from natter_client.options import ClientOptions

_AGE_MAX_S = 86_400.0
"""When to ask for another token although this one does not say when it is over."""


class Tokens:
    """Keeps one token; `fetch` is the host application's way to get one."""

    def __init__(self, fetch: Callable[[], Awaitable[str]], options: ClientOptions, clock: Clock) -> None:
        self._fetch = fetch
        self._options = options
        self._clock = clock
        self._token: str | None = None
        self._lock = asyncio.Lock()
        self.refresh_at = 0.0
        """Moment of `monotonic` from which on another one should be used."""

    async def current(self) -> str:
        """A token that is not about to expire; raises RequestFailed if there is none to be had."""
        async with self._lock:
            if self._token is None or self._clock.monotonic() >= self.refresh_at:
                self._token = await self._fresh()
                self.refresh_at = self._clock.monotonic() + self._good_for_s(self._token)
            return self._token

    def refused(self, token: str | None) -> None:
        """The server does not take this one (any more)."""
        if token == self._token:
            self._token = None

    def put_off(self) -> None:
        """Getting or using a new one failed: not again at once."""
        self.refresh_at = self._clock.monotonic() + self._options.refresh_spacing_s

    async def _fresh(self) -> str:
        try:
            async with asyncio.timeout(self._options.request_timeout_s):
                return await self._fetch()
        except TimeoutError:
            raise RequestFailed("no token in time") from None
        except Exception as failed:
            # Whatever it is that the host application's function raises, the next attempt may succeed.
            raise RequestFailed(f"no token: {failed!r}") from failed

    def _good_for_s(self, token: str) -> float:
        """Seconds until the next one is due. A clock that is set wrong makes it earlier or later, never a loop."""
        expires, issued = _times(token)
        if expires is None:
            return _AGE_MAX_S
        due_s = self._options.refresh_at * (expires - self._clock.wall())
        if issued is not None:
            due_s = min(due_s, self._options.refresh_at * (expires - issued))
        return max(due_s, self._options.refresh_spacing_s)


def _times(token: str) -> tuple[float | None, float | None]:
    """`exp` and `iat` of a JWT, unverified: verifying is the server's business."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        expires, issued = claims.get("exp"), claims.get("iat")
    except (ValueError, IndexError, AttributeError):
        return None, None
    return (
        float(expires) if isinstance(expires, (int, float)) else None,
        float(issued) if isinstance(issued, (int, float)) else None,
    )
