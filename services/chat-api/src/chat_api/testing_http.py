"""The HTTP application in this process, on a real Postgres: for tests that look at both sides of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.access import Access
from chat_api.commands import handlers
from chat_api.commands.batcher import SendBatcher
from chat_api.commands.devices import Devices
from chat_api.commands.handlers import SendResult
from chat_api.domain.commands import SendMessage
from chat_api.http.app import create_app
from chat_api.http.context import Context
from chat_api.http.passwords import Passwords
from chat_api.presence.book import PresenceBook
from chat_api.settings import ChatApiSettings
from chat_api.signals import Signals
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.sync_notes import SyncNotes
from contracts.ids import new_id
from kit import tokens
from kit.health import Health

PASSWORD = "correct horse"  # noqa: S105 - of nobody


@dataclass
class Served:
    """A client of the application, and the parts behind it."""

    http: httpx.AsyncClient
    access: Access
    settings: ChatApiSettings

    def token(self, user_id: str, *roles: str, **more: Any) -> str:
        """A token that a host application would sign."""
        secret = self.settings.jwt_secret.get_secret_value()
        return tokens.issue(secret, user_id, roles or ("customer",), ttl_s=600, **more)

    async def call(
        self, method: str, path: str, token: str | None = None, *, status: int = 200, **options: Any
    ) -> httpx.Response:
        """A request that must be answered with `status`; without a token it is a service's, "" is none at all."""
        token = self.token("host", "service") if token is None else token
        headers = ({"authorization": f"Bearer {token}"} if token else {}) | options.pop("headers", {})
        answer = await self.http.request(method, path, headers=headers, **options)
        assert answer.status_code == status, f"{answer.status_code} {answer.text[:500]}"
        return answer

    async def account(self, name: str = "alice", *roles: str) -> str:
        """A fresh user with a password."""
        user_id = f"{name}-{new_id()[-12:]}"
        body = {"user_id": user_id, "name": name.title(), "roles": roles or ["customer"], "password": PASSWORD}
        await self.call("POST", "/v1/users", json=body, status=201)
        return user_id

    async def sign_in(self, user_id: str, password: str = PASSWORD, *, status: int = 200) -> dict[str, Any]:
        """A session's first pair of tokens, or the problem."""
        body = {"user_id": user_id, "password": password}
        answer: dict[str, Any] = (await self.call("POST", "/v1/auth/token", "", json=body, status=status)).json()
        return answer

    async def refresh(self, token: str, *, status: int = 200) -> dict[str, Any]:
        """The next pair of tokens, or the problem."""
        answer = await self.call("POST", "/v1/auth/refresh", "", json={"refresh_token": token}, status=status)
        body: dict[str, Any] = answer.json()
        return body

    async def me(self, token: str, *, status: int = 200) -> dict[str, Any]:
        """What the token is good for."""
        body: dict[str, Any] = (await self.call("GET", "/v1/users/me", token, status=status)).json()
        return body


@asynccontextmanager
async def served(
    settings: ChatApiSettings,
    engine: AsyncEngine,
    uow: PostgresUnitOfWork,
    *,
    address: str = "192.0.2.1",
    **more: Any,
) -> AsyncIterator[Served]:
    """The application, its sends and its issuers at work; `address` is where the client seems to be, `more` are further
    parts of the context."""

    async def carry(commands: Sequence[SendMessage]) -> list[SendResult]:
        return await handlers.send_messages(commands, uow)

    sends = SendBatcher(carry, lanes=1, batch_max=16, queue_max=64)
    access = Access.of(settings, uow)
    parts: dict[str, Any] = {
        "settings": settings,
        "engine": engine,
        "uow": uow,
        "sends": sends,
        "passwords": Passwords(2),
        "health": Health(),
        "presence": PresenceBook(),
        "signals": Signals(settings, engine),
        "access": access,
        "devices": Devices(uow),
        "sync_notes": SyncNotes(engine),
    } | more
    # Routes that need more are tested elsewhere, with what they need.
    absent: dict[str, Any] = {field.name: None for field in fields(Context) if field.name not in parts}
    app = create_app(Context(**parts, **absent))
    tasks = [asyncio.create_task(sends.run()), asyncio.create_task(access.verifier.issuers.run())]
    transport = httpx.ASGITransport(app=app, client=(address, 4321))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://natter") as http:
            yield Served(http, access, settings)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await app.state.push_records.close()
