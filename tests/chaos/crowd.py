"""Thousands of clients that talk a little: who they are, what they saw, and when each was sent away and came back."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Coroutine, Sequence

import httpx

from contracts.frames import ServerAction
from natter_client import ChatClient, ClientOptions, Delivered, Device, State, Stopped
from natter_client.frames import Frame
from natter_client.session import Session
from stack import Stack

from .evidence import Accepted, DeviceSeen, Shown
from .world import World

DEVICES_PER_USER = 10
PEOPLE_PER_CHAT = 5
MESSAGES_PER_S = 8.0
_CONNECTING_AT_ONCE = 100
_REGISTERING_AT_ONCE = 20
_WITHIN_S = 180.0

CLIENT = ClientOptions(
    backoff_base_s=1.0,
    backoff_cap_s=5.0,
    connect_timeout_s=20.0,
    request_timeout_s=20.0,
    send_attempt_timeout_s=5.0,
    # What is measured is the way back; the syncs of production come each 25 s.
    sync_interval_s=60.0,
    sync_after_connect_s=10.0,
)


class Crowd:
    """All clients of all users, and what they saw."""

    def __init__(self, world: World, clients: int) -> None:
        tag = f"roll-{secrets.token_hex(3)}"
        users = -(-clients // DEVICES_PER_USER)
        self.users = [f"{tag}-{number}" for number in range(users)]
        self.devices = [DeviceSeen(f"d{index}", self.users[index // DEVICES_PER_USER]) for index in range(clients)]
        self.members: dict[str, list[str]] = {}
        self.accepted: list[Accepted] = []
        self.sent: set[str] = set()
        self.clients: list[_Member] = []
        self.told: list[float] = []
        self.came: list[float] = []
        self._world = world
        self._talking = True
        self._began = 0.0
        self._http = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=200), timeout=20, trust_env=False
        )
        self._tag = tag
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Crowd:
        return self

    async def __aexit__(self, *_: object) -> None:
        await _at_once([self._close(member) for member in self.clients], _CONNECTING_AT_ONCE)
        await self._http.aclose()

    async def settle_in(self) -> None:
        """Register, open conversations, connect everybody and let them sync once."""
        await _at_once([self._register(user_id) for user_id in self.users], _REGISTERING_AT_ONCE)
        chats = [self.users[at : at + PEOPLE_PER_CHAT] for at in range(0, len(self.users), PEOPLE_PER_CHAT)]
        await _at_once([self._chat(people) for people in chats], _REGISTERING_AT_ONCE)
        await _at_once([self._connect(seen) for seen in self.devices], _CONNECTING_AT_ONCE)

    async def talk(self) -> None:
        """Send a little, evenly, until `hush`; every message is waited for."""
        chats = list(self.members)
        async with asyncio.TaskGroup() as group:
            number = 0
            while self._talking:
                chat_id = chats[number % len(chats)]
                group.create_task(self._say(chat_id, number))
                number += 1
                await asyncio.sleep(1 / MESSAGES_PER_S)

    def hush(self) -> None:
        """Let `talk` end."""
        self._talking = False

    def watch(self) -> None:
        """Forget who came back until now, and count from here."""
        self._began = time.monotonic()
        self.told.clear()
        self.came.clear()

    async def all_connected(self) -> None:
        """Wait until every client has its socket. Raises TimeoutError."""
        async with asyncio.timeout(_WITHIN_S):
            while any(member.state is not State.CONNECTED for member in self.clients):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def all_caught_up(self) -> None:
        """Let every client say that it has everything."""

        async def one(member: _Member) -> None:
            with contextlib.suppress(TimeoutError, Stopped):
                async with asyncio.timeout(_WITHIN_S):
                    await member.caught_up()
                    member.seen.caught_up = True

        for seen in self.devices:
            seen.present_at_end = True
        await _at_once([one(member) for member in self.clients], _CONNECTING_AT_ONCE)

    def on_told(self, after_s: float) -> None:
        """A client was told when to come back."""
        self.told.append(after_s)

    def on_connected(self) -> None:
        """A client has a socket."""
        self.came.append(time.monotonic() - self._began)

    async def _register(self, user_id: str) -> None:
        answer = await self._world.as_service("POST", "/v1/users", {"user_id": user_id, "roles": ["customer"]})
        answer.raise_for_status()

    async def _chat(self, people: list[str]) -> None:
        body = {"owner_id": people[0], "participant_ids": people[1:]}
        answer = await self._world.as_service("POST", "/v1/conversations", body)
        answer.raise_for_status()
        self.members[answer.json()["id"]] = people

    async def _connect(self, seen: DeviceSeen) -> None:
        member = _Member(self, self._world.stack, seen, self._http)
        await member.__aenter__()
        self.clients.append(member)
        async with asyncio.timeout(_WITHIN_S):
            await member.caught_up()
        seen.complete_since = time.time()

    async def _say(self, chat_id: str, number: int) -> None:
        people = self.members[chat_id]
        sender = people[number // len(self.members) % len(people)]
        client = next(member for member in self.clients if member.seen.user_id == sender)
        content = f"{self._tag}:{number}"
        self.sent.add(content)
        ack = await client.send(chat_id, content, content)
        self.accepted.append(Accepted(time.time(), sender, f"conversation:{chat_id}", ack.seq, content))

    async def _close(self, member: _Member) -> None:
        await member.__aexit__(None, None, None)


class _Member(ChatClient):
    """One device; tells the crowd when it was told to leave, and when it was back."""

    def __init__(self, crowd: Crowd, stack: Stack, seen: DeviceSeen, http: httpx.AsyncClient) -> None:
        token = stack.token(seen.user_id, ttl_s=86_400)

        async def give() -> str:
            return token

        super().__init__(
            api_url=stack.api_url,
            socket_urls=stack.edge_urls,
            user_id=seen.user_id,
            token=give,
            device=Device(seen.name, "mobile"),
            options=CLIENT,
            on_event=self._show,
            on_state=self._note,
            http=http,
        )
        self.seen = seen
        self._crowd = crowd

    def _show(self, event: Delivered) -> None:
        content = str(event.data["content"]) if event.type == "message.created" else None
        self.seen.shown.append(Shown(time.time(), event.stream, event.seq, event.type, content))

    def _note(self, state: State) -> None:
        if self.seen.sockets and self.seen.sockets[-1][1] == float("inf"):
            self.seen.sockets[-1] = (self.seen.sockets[-1][0], time.time())
        if state is State.CONNECTED:
            self.seen.sockets.append((time.time(), float("inf")))
            self._crowd.on_connected()

    def _on_frame(self, session: Session, frame: Frame) -> None:
        if frame.stream is not None:
            self.seen.frames.setdefault((frame.stream, frame.seq), time.time())
        elif frame.action == ServerAction.RECONNECT:
            self._crowd.on_told(frame.data["after_ms"] / 1000)
        super()._on_frame(session, frame)


async def _at_once(work: Sequence[Coroutine[None, None, None]], at_once: int) -> None:
    gate = asyncio.Semaphore(at_once)

    async def one(coroutine: Coroutine[None, None, None]) -> None:
        async with gate:
            await coroutine

    async with asyncio.TaskGroup() as group:
        for coroutine in work:
            group.create_task(one(coroutine))
