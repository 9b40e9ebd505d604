"""Speaks chat-api's HTTP as a host application and as its users would."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import httpx

from contracts.ids import new_id
from stack import Stack


class Api:
    """HTTP calls in the name of `user_id`; a service by default."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient, user_id: str, roles: Sequence[str]) -> None:
        self.user_id = user_id
        self.token = stack.token(user_id, roles=roles)
        self._http = http
        self._base = stack.api_url

    def through(self, base: str) -> Api:
        """The same user through another chat-api process."""
        other = copy(self)
        other._base = base
        return other

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any call; the answer whatever its status."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return await self._http.request(method, self._base + path, headers=headers, **options)

    async def ok(self, method: str, path: str, **options: Any) -> Any:
        """A call that must succeed; the answer's JSON, or None without a body."""
        response = await self.call(method, path, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    async def open_conversation(self, *others: str, **fields: Any) -> str:
        """A conversation that this user owns, with `others`; returns its id."""
        created = await self.ok("POST", "/v1/conversations", json={"participant_ids": list(others), **fields})
        return str(created["id"])

    async def send(self, conversation_id: str, content: str, **fields: Any) -> dict[str, Any]:
        """Send a message; returns it as accepted."""
        body = {"client_msg_id": new_id(), "content": content, **fields}
        sent = await self.ok("POST", f"/v1/conversations/{conversation_id}/messages", json=body)
        assert isinstance(sent, dict)
        return sent
