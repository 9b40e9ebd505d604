"""The notifier over HTTP: what it decided about an event, an app's word that a push arrived, and its dead letters.

Helps for people and apps; no delivery depends on any of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr, TypeAdapter

from contracts.codec import Contract, decode
from contracts.errors import Undecodable
from contracts.pushes import PushRecord
from kit import tokens
from kit.logs import Stage, logger

log = logger()

TIMEOUT_S = 1.0
"""Whoever looks at a message's story would rather see less of it than wait; an app says again that it has a push."""
DEAD_TIMEOUT_S = 10.0
"""For dead letters: there may be very many, and an admin would rather wait than not know what was done."""
PAGE_MAX = 1000
TOKEN_TTL_S = 60.0

C = TypeVar("C", bound=Contract)

_RECORDS = TypeAdapter(list[PushRecord])


class NotifierAway(Exception):
    """The notifier does not answer, or nobody said where it is (`NATTER_NOTIFIER_URL`)."""


class DeadPage(Contract):
    """One page of dead letters, oldest first; ask again with `after_id=next_after_id` until a page is empty."""

    pushes: tuple[PushRecord, ...]
    next_after_id: int


class DeadCount(Contract):
    """So many dead letters were replayed or dropped."""

    count: int


class PushRecords:
    """Asks the notifier at `url`; an empty one means that there is nobody to ask."""

    def __init__(self, url: str, jwt_secret: SecretStr, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        self._secret = jwt_secret
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    @property
    def configured(self) -> bool:
        """Whether there is somebody to ask."""
        return bool(self._url)

    async def close(self) -> None:
        """Close the connections to the notifier; the next question opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def of(self, event_id: str, user_ids: Collection[str]) -> dict[str, PushRecord] | None:
        """The records of these users; None if the notifier does not answer in time."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._ask(event_id, frozenset(user_ids))
        except (httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError) as failed:
            log.warning("the notifier does not say what it did", stage=Stage.DELIVER, error=type(failed).__name__)
            return None

    async def _ask(self, event_id: str, user_ids: frozenset[str]) -> dict[str, PushRecord]:
        found: dict[str, PushRecord] = {}
        after_id = 0
        while len(found) < len(user_ids):
            answer = await self._http().get(
                "/v1/pushes",
                params={"event_id": event_id, "after_id": after_id, "limit": PAGE_MAX},
                headers=self._headers(),
            )
            answer.raise_for_status()
            page = answer.json()
            records = _RECORDS.validate_python(page["pushes"])
            found |= {record.user_id: record for record in records if record.user_id in user_ids}
            if len(records) < PAGE_MAX:
                break
            after_id = page["next_after_id"]
        return found

    async def acknowledge(self, push_id: str, user_id: str) -> bool:
        """The app has shown it; False if there is no such push of this user. Raises `NotifierAway`."""
        answer = await self._call("POST", f"/v1/pushes/{push_id}/ack", TIMEOUT_S, json={"user_id": user_id})
        if answer.status_code not in (204, 404):
            raise _refusal(answer.status_code)
        return answer.status_code == 204

    async def dead(self, params: dict[str, str | int]) -> DeadPage:
        """A page of dead letters; raises `NotifierAway`."""
        return await self._told(DeadPage, "GET", "/v1/pushes/dead", params=params)

    async def decide(self, act: str, ids: Collection[int] | None) -> int:
        """`replay` or `drop` dead letters, some or (None) all; returns how many. Raises `NotifierAway`."""
        body = {"all": True} if ids is None else {"ids": list(ids)}
        return (await self._told(DeadCount, "POST", f"/v1/pushes/dead/{act}", json=body)).count

    async def _told(self, model: type[C], method: str, path: str, **options: Any) -> C:
        answer = await self._call(method, path, DEAD_TIMEOUT_S, **options)
        if answer.status_code != 200:
            raise _refusal(answer.status_code)
        try:
            return decode(model, answer.content)
        except Undecodable as nonsense:
            log.warning("the notifier says what nobody understands", stage=Stage.LOCAL_PUSH, path=path)
            raise NotifierAway from nonsense

    async def _call(self, method: str, path: str, timeout_s: float, **options: Any) -> httpx.Response:
        if not self._url:
            raise NotifierAway
        try:
            async with asyncio.timeout(timeout_s):
                return await self._http().request(method, path, headers=self._headers(), timeout=timeout_s, **options)
        except (httpx.HTTPError, TimeoutError) as failed:
            log.warning("the notifier does not answer", stage=Stage.LOCAL_PUSH, error=type(failed).__name__)
            raise NotifierAway from failed

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(base_url=self._url, timeout=TIMEOUT_S, transport=self._transport)
        return self._client

    def _headers(self) -> dict[str, str]:
        token = tokens.issue(self._secret.get_secret_value(), "chat-api", ("service",), ttl_s=TOKEN_TTL_S)
        return {"Authorization": f"Bearer {token}"}


def _refusal(status: int) -> NotifierAway:
    log.warning("the notifier refuses", stage=Stage.LOCAL_PUSH, status=status)
    return NotifierAway()
