"""A running Natter with people in it: what every black-box test begins with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import httpx
import nats
from nats.aio.client import Client

from contracts.ids import new_id
from stack import Stack

from .clients.api import Api
from .clients.pushes import Pushes
from .clients.socket import Device, device, mute_device


@dataclass(frozen=True)
class World:
    """The stack, and ways to be somebody in it. Every person is new, so that tests cannot disturb each other."""

    stack: Stack
    http: httpx.AsyncClient

    @property
    def service(self) -> Api:
        """The host application."""
        return Api(self.stack, self.http, "host-application", ["service"])

    @property
    def pushes(self) -> Pushes:
        """The notifier's records."""
        return Pushes(self.stack, self.http)

    async def pushed(self, who: Api, count: int) -> bool:
        """Whether exactly so many pushes have been sent to a user."""
        return len(await self.pushes.sent_to(who.user_id)) == count

    async def person(self, name: str = "person", roles: Sequence[str] = ("customer",)) -> Api:
        """A registered user with a name like `name-…`."""
        user_id = f"{name}-{new_id()[-12:]}"
        body = {"user_id": user_id, "name": name.title(), "roles": list(roles)}
        await self.service.ok("POST", "/v1/users", json=body)
        return Api(self.stack, self.http, user_id, roles)

    async def people(self, *names: str) -> list[Api]:
        """Several registered users."""
        return [await self.person(name) for name in names]

    def device(self, who: Api, edge: int = 1, **options: str) -> AbstractAsyncContextManager[Device]:
        """A device of `who` on one of the edges (counted from 1)."""
        return device(self.stack.edge_urls[edge - 1], who.token, who.user_id, **options)  # type: ignore[arg-type]

    @asynccontextmanager
    async def observer(self) -> AsyncIterator[Client]:
        """A NATS user who may do everything: to look at the road, and to damage it."""
        client = await nats.connect(
            self.stack.nats_url, user="observer", password=self.stack.nats_password("observer"), connect_timeout=5
        )
        try:
            yield client
        finally:
            await client.close()

    def mute_device(self, who: Api, edge: int = 1) -> AbstractAsyncContextManager[asyncio.StreamReader]:
        """A device that takes frames and answers nothing."""
        return mute_device(self.stack.edge_urls[edge - 1], who.token)
