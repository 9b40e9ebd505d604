"""One HTTP call until it has an answer: repeated while that may help, under a limit that holds for all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic_core import PydanticSerializationError, to_json

from contracts.codes import ErrorCode
from natter_client.api import failure
from natter_client.asking import ask
from natter_client.backoff import exponential
from natter_client.clock import Clock
from natter_client.errors import Rejected, RequestFailed
from natter_client.options import ClientOptions
from natter_client.tokens import Tokens


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Limits of a host application's calls. Times in seconds."""

    connections_max: int = 20
    """Open connections to chat-api; further calls wait for one."""
    idle_connections_max: int = 10
    """Kept open while nothing is to be said."""
    connect_timeout_s: float = 2.0
    request_timeout_s: float = 5.0
    """How long one attempt may take."""
    total_timeout_s: float = 10.0
    """How long a call may take with all its attempts: as long may a request of the host application be held up."""
    attempts_max: int = 5
    backoff_base_s: float = 0.1
    """The wait before the second attempt is a random part of this; then of twice as much, and so on."""
    backoff_cap_s: float = 2.0

    def __post_init__(self) -> None:
        if min(self.connections_max, self.idle_connections_max, self.attempts_max) < 1:
            raise ValueError("connections_max, idle_connections_max and attempts_max must be at least 1")
        if not 0 < self.request_timeout_s <= self.total_timeout_s:
            raise ValueError("request_timeout_s must be above 0 and at most total_timeout_s")


class Caller:
    """A pool of connections to the chat-api at `url`, which calls in the name of one token."""

    def __init__(
        self,
        url: str,
        token: str | Callable[[], Awaitable[str]],
        options: CallOptions,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._url = url.rstrip("/") + "/v1"
        self._options = options
        self._clock = clock or Clock()
        self._token_renews = not isinstance(token, str)
        fetch = _always(token) if isinstance(token, str) else token
        limits = ClientOptions(request_timeout_s=options.request_timeout_s)
        self._tokens = Tokens(fetch, limits, self._clock)
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(options.request_timeout_s, connect=options.connect_timeout_s),
            limits=httpx.Limits(
                max_connections=options.connections_max, max_keepalive_connections=options.idle_connections_max
            ),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        attempts_max: int | None = None,
    ) -> Any:
        """The answer's JSON, None if it has none. The request must be safe to repeat: it is sent the same each time.

        `attempts_max` replaces that of the options. Raises `Rejected` if the server refuses it for good, and
        `RequestFailed` if it came to nothing.
        """
        content = None
        if body is not None:
            try:
                content = to_json(body)
            except PydanticSerializationError as wrong:
                raise Rejected(ErrorCode.VALIDATION_FAILED, f"{method} {path}: {wrong}") from None
        attempts_max = attempts_max or self._options.attempts_max
        last: RequestFailed | None = None
        ends_at = self._clock.monotonic() + self._options.total_timeout_s
        try:
            async with asyncio.timeout(self._options.total_timeout_s):
                for attempt in range(1, attempts_max + 1):
                    try:
                        return await self._attempt(method, path, content, headers)
                    except RequestFailed as failed:
                        last = failed
                        if attempt == attempts_max or not self._may_help(failed, attempt):
                            break
                    wait_s = self._wait_s(attempt, last)
                    if self._clock.monotonic() + wait_s >= ends_at:
                        # Whoever waits for us need not wait for nothing.
                        break
                    await self._clock.sleep(wait_s)
        except TimeoutError:
            told = f" ({last.detail})" if last is not None else ""
            raise RequestFailed(
                f"{method} {path}: no success within {self._options.total_timeout_s:g} s{told}",
                status=last.status if last is not None else None,
                code=last.code if last is not None else None,
            ) from last
        assert last is not None
        if last.refusal is not None:
            raise Rejected(last.refusal, last.detail) from last
        raise last

    async def _attempt(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str] | None) -> Any:
        token = await self._tokens.current()
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        if content is not None:
            sent["Content-Type"] = "application/json"
        try:
            # httpx limits each step; whoever sends a byte now and then would never end.
            async with asyncio.timeout(self._options.request_timeout_s):
                response = await ask(self._http, method, self._url + path, content=content, headers=sent)
        except TimeoutError:
            raise RequestFailed(f"{method} {path}: no answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as broken:
            raise RequestFailed(f"{method} {path}: {broken!r}") from broken
        if not response.is_success:
            refused = failure(f"{method} {path}", response)
            if refused.token_refused:
                self._tokens.refused(token)
            raise refused
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise RequestFailed(f"{method} {path}: the answer is no JSON", status=response.status_code) from None

    def _may_help(self, failed: RequestFailed, attempt: int) -> bool:
        """Whether another attempt may fare better."""
        if failed.token_refused:
            # Another token may; the same one will not, nor will a third.
            return self._token_renews and attempt == 1
        return failed.status is None or failed.status == 429 or failed.status >= 500

    def _wait_s(self, attempt: int, failed: RequestFailed) -> float:
        """What was asked for, and on top full jitter, so that many callers do not come back together."""
        ceiling_s = exponential(attempt, self._options.backoff_base_s, self._options.backoff_cap_s)
        return failed.retry_after_s + self._clock.random() * ceiling_s


def _always(token: str) -> Callable[[], Awaitable[str]]:
    async def given() -> str:
        return token

    return given
