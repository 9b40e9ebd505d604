"""What exists when an attack begins: made through the API, so that an attack comes further than a 404."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from websockets.exceptions import WebSocketException

from contracts.ids import new_id
from tests.integration.clients.api import Api
from tests.integration.clients.socket import device
from tests.integration.world import World

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@dataclass(frozen=True, slots=True)
class Account:
    """Who can sign in, or brings a token that the host application has signed."""

    user_id: str
    password: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """Who attacks, and what there is."""

    attacker: Account
    stranger: Account
    """A customer who must see nothing of what the attacker makes."""
    ids: Mapping[str, Sequence[str]]
    """By kind (`conversation`, `message`, …), the most promising first."""
    victim_id: str
    """A user whom nobody needs: blocked, disconnected, signed out, as the attack likes."""


@asynccontextmanager
async def known(world: World, role: str, *, signing_in: bool = True) -> AsyncIterator[Known]:
    """A new user of `role` in the middle of things; its devices come back until the end, whoever closes them."""
    attacker, stranger = [await _account(world, each, signing_in=signing_in) for each in (role, "customer")]
    owner = Api(world.stack, world.http, attacker.user_id, [role])
    customer = owner if role == "customer" else await world.person("customer")
    consultant = owner if role == "consultant" else await world.person("consultant", roles=("consultant",))
    peer, victim = await world.people("peer", "victim")
    async with (
        online(world, owner, role),
        online(world, consultant, "consultant"),
        online(world, peer, "customer"),
        online(world, victim, "customer"),
    ):
        ids = await _things(world, owner, customer, consultant, peer, victim)
        yield Known(attacker, stranger, ids, victim.user_id)


async def _account(world: World, role: str, *, signing_in: bool) -> Account:
    user_id = f"{role}-{new_id()[-12:]}"
    account = Account(user_id, new_id(), None if signing_in else world.stack.token(user_id, roles=[role]))
    body = {"user_id": account.user_id, "password": account.password, "name": role.title(), "roles": [role]}
    await world.service.ok("POST", "/v1/users", json=body)
    return account


async def _things(
    world: World, owner: Api, customer: Api, consultant: Api, peer: Api, victim: Api
) -> dict[str, list[str]]:
    """Conversations, consults in each state, notes, messages with and without a file, a broadcast."""
    taken, waiting, closed = [await _consult(customer, topic) for topic in ("taken", "waiting", "closed")]
    for one in (taken, closed):
        await consultant.ok("POST", f"/v1/conversations/{one}/consult/take")
    await consultant.ok("POST", f"/v1/conversations/{closed}/consult/close")
    note = await consultant.ok(
        "POST", f"/v1/conversations/{taken}/notes", json={"client_msg_id": new_id(), "content": "a note"}
    )
    chat = await owner.open_conversation(peer.user_id)
    upload = {"file": ("a.png", PNG)}
    sent, unsent = [await owner.ok("POST", "/v1/attachments", files=upload) for _ in range(2)]
    plain = await owner.send(chat, "something to change")
    with_file = await owner.send(chat, "look", message_type="image", attachment_id=sent["id"])
    others = await peer.send(chat, "somebody else's")
    notice = {"title": "Soon", "content": "Something will happen.", "type": "soon"}
    broadcast = await world.service.ok("POST", "/v1/admin/broadcasts", json={**notice, "roles": ["doctor"]})
    return {
        "conversation": [taken, chat, waiting, closed, note["conversation_id"]],
        "message": [plain["id"], with_file["id"], others["id"], note["id"]],
        "attachment": [sent["id"], unsent["id"]],
        "broadcast": [broadcast["broadcast_id"]],
        "user": [peer.user_id, owner.user_id, customer.user_id, consultant.user_id, victim.user_id],
    }


async def _consult(customer: Api, topic: str) -> str:
    opened = await customer.ok("POST", "/v1/consults", json={"topic": topic, "content": "Who can help?"})
    return str(opened["consult"]["conversation_id"])


@asynccontextmanager
async def online(world: World, who: Api, role: str) -> AsyncIterator[None]:
    """A device of `who` that connects again, with a new token, whenever its socket is closed or refused."""
    began = asyncio.Event()
    coming_back = asyncio.create_task(_come_back(world, who.user_id, role, began))
    try:
        async with asyncio.timeout(30):
            await began.wait()
        yield
    finally:
        coming_back.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await coming_back


async def _come_back(world: World, user_id: str, role: str, began: asyncio.Event) -> None:
    while True:
        token = world.stack.token(user_id, roles=[role])
        # Refused, or closed at once: it was blocked, or its tokens were revoked in this very second.
        with contextlib.suppress(OSError, WebSocketException, TimeoutError):
            async with device(world.stack.edge_urls[0], token, user_id) as one:
                began.set()
                while one.close_code is None:  # noqa: ASYNC110 - a device has no event for its end
                    await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
