"""An edge and a chat-api of a few lines each, and a clock that a test turns by hand."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from contracts.codec import encode
from contracts.codes import ErrorCode
from contracts.frames import Connected, ServerAction, frame_bytes
from contracts.problems import problem
from contracts.times import rfc3339
from natter_client import ChatClient, ClientOptions, Clock, Delivered, Device, State

from .record import NOW, Cursor, Record

CONVERSATION = "00000000-0000-7000-8000-000000000000"
"""The first conversation of every Record."""
CONNECTION = "0000000a-0000-7000-8000-00000000000a"
WALL = 1_800_000_000.0

Frame = dict[str, Any]


async def until(look: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(timeout_s):
        while True:
            if look():
                return
            await asyncio.sleep(0.002)


class ManualClock:
    """Stands still until it is turned; what sleeps on it is known."""

    def __init__(self, lot: float = 0.5) -> None:
        self.now = 1_000.0
        self.wall_now = WALL
        self.lot = lot
        self.asked: list[float] = []
        """How long every sleep was to last."""
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def clock(self) -> Clock:
        """What a client takes."""
        return Clock(lambda: self.now, self.sleep, lambda: self.lot, lambda: self.wall_now)

    async def sleep(self, seconds: float) -> None:
        """Until the clock was turned so far."""
        self.asked.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, awake))
        await awake

    async def turn(self, seconds: float) -> None:
        """Forward, waking whoever is due in the order of their moments."""
        end = self.now + seconds
        while True:
            # What was set going before may want to sleep, too.
            for _ in range(20):
                await asyncio.sleep(0)
            self._sleepers = [one for one in self._sleepers if not one[1].done()]
            due = min((moment for moment, _ in self._sleepers), default=end)
            if due > end:
                break
            self.wall_now += max(0.0, due - self.now)
            self.now = max(self.now, due)
            woken = [awake for moment, awake in self._sleepers if moment <= self.now]
            if not woken:
                break
            for awake in woken:
                awake.set_result(None)
        self.wall_now += end - self.now
        self.now = end
        await asyncio.sleep(0)


class FakeEdge:
    """Takes sockets, keeps what they send, and answers what a test tells it to."""

    def __init__(self, **connected: Any) -> None:
        self.connected = {"heartbeat_interval_ms": 30_000, "connection_timeout_ms": 10_000, **connected}
        self.sockets: list[ServerConnection] = []
        """Those that are open."""
        self.most = 0
        self.requests: list[tuple[str, str]] = []
        """Path and Authorization of every request."""
        self.frames: list[Frame] = []
        self.answer: Callable[[Frame], Frame | None] = lambda frame: None
        """The answer to a client's frame, None for none."""
        self.greet: Callable[[ServerConnection], bool] = lambda socket: True
        """Whether to say `connected`; where it is False the socket is closed with `refuse_with`."""
        self.refuse_with = (4401, "no")
        self.closed_with: list[int | None] = []
        """The codes that clients closed with."""
        self._server: Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}/v1/ws"

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.requests.append((socket.request.path, socket.request.headers.get("Authorization", "")))
        if not self.greet(socket):
            await socket.close(*self.refuse_with)
            return
        self.sockets.append(socket)
        self.most = max(self.most, len(self.sockets))
        try:
            greeting = Connected(
                connection_id=CONNECTION,
                user_id="me",
                max_reconnect_attempts=15,
                edge_id="edge",
                **{"sync_interval_ms": 30_000, "features": ("messaging", "token_refresh"), **self.connected},
            )
            await socket.send(frame_bytes(ServerAction.CONNECTED, greeting.model_dump(mode="json")), text=True)
            async for text in socket:
                frame = json.loads(text)
                self.frames.append(frame)
                if (answer := self.answer(frame)) is not None:
                    await socket.send(json.dumps(answer))
        except ConnectionClosed:
            pass
        finally:
            self.sockets.remove(socket)
            self.closed_with.append(socket.close_code)

    async def tell(self, action: str, data: Frame | None = None, **fields: Any) -> None:
        """Send a frame to every socket."""
        for socket in self.sockets:
            await socket.send(json.dumps({"action": action, **fields, "data": data or {}}))

    async def show(self, event: Delivered) -> None:
        """Send the frame of an event."""
        actions = {
            "message.created": "new_message",
            "participant.joined": "participant_joined",
            "participant.left": "participant_left",
            "user.read_advanced": "read",
        }
        action = actions.get(event.type, "conversation_updated")
        await self.tell(action, event.data, stream=event.stream, seq=event.seq, id="1", time=rfc3339(NOW))

    async def close(self, code: int, reason: str = "") -> None:
        """Close every socket."""
        for socket in tuple(self.sockets):
            await socket.close(code, reason)

    def asked(self, action: str) -> list[Frame]:
        """The frames of one action."""
        return [frame for frame in self.frames if frame["action"] == action]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeEdge]:
        """Listen on a free port."""
        async with serve(self._serve, "127.0.0.1", 0, ping_interval=None, compression=None) as self._server:
            self.port = next(iter(self._server.sockets)).getsockname()[1]
            yield self


class FakeApi:
    """chat-api's answers about one Record."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.syncs: list[str | None] = []
        """The cursor of every page that was asked for."""
        self.repairs: list[tuple[str, int]] = []
        self.sent: list[Frame] = []
        self.tokens: list[str] = []
        self.on_send: Callable[[Frame], httpx.Response] = self.accept
        self.on_sync: Callable[[], httpx.Response | None] = lambda: None
        """An answer other than the right one."""
        self.on_events: Callable[[], httpx.Response | None] = lambda: None
        self.expired = False
        self._cursors: dict[str, Cursor] = {}

    def http(self) -> httpx.AsyncClient:
        """What a client takes."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def accept(self, body: Frame) -> httpx.Response:
        """Commit it and answer 201; a repeat is 200 and the first message."""
        return self.commit(body)

    def commit(self, body: Frame) -> httpx.Response:
        """Like chat-api: the same `client_msg_id` again is the first message."""
        for event in self.record.events:
            if event.type == "message.created" and event.data.get("client_msg_id") == body["client_msg_id"]:
                return httpx.Response(200, json=event.data)
        seq = self.record.heads[f"conversation:{CONVERSATION}"] + 1
        data = {
            "id": f"{seq:08x}-0000-7000-8000-00000000000b",
            "conversation_id": CONVERSATION,
            "seq": seq,
            "sender_id": "me",
            "sender_type": "chat",
            "message_type": "text",
            "content": body["content"],
            "client_msg_id": body["client_msg_id"],
            "created_at": rfc3339(NOW),
        }
        self.record.commit(CONVERSATION, "message.created", data)
        return httpx.Response(201, json=data)

    def ack(self, frame: Frame) -> Frame:
        """The edge's answer to `send_message`."""
        answer = self.commit(frame["data"])
        message = answer.json()
        data = {
            "message_id": message["id"],
            "conversation_id": CONVERSATION,
            "seq": message["seq"],
            "client_msg_id": message["client_msg_id"],
            "duplicate": answer.status_code == 200,
        }
        return {"action": "ack", "ref": frame["ref"], "data": data}

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.tokens.append(request.headers["Authorization"])
        path = request.url.path
        if path == "/v1/sync":
            return self.on_sync() or self._sync(request.url.params.get("cursor"))
        if path.endswith("/messages"):
            body = json.loads(request.content)
            self.sent.append(body)
            return self.on_send(body)
        stream = "conversation:" + path.split("/")[3]
        after_seq = int(request.url.params["after_seq"])
        self.repairs.append((stream, after_seq))
        return self.on_events() or self._events(stream, after_seq)

    def _sync(self, cursor: str | None) -> httpx.Response:
        self.syncs.append(cursor)
        place = None if cursor is None else self._cursors[cursor]
        page, following = self.record.sync(place, 100, expired=self.expired)
        self.expired = False
        self._cursors[page.next_cursor] = following
        return httpx.Response(200, content=encode(page))

    def _events(self, stream: str, after_seq: int) -> httpx.Response:
        found = self.record.history(stream, after_seq, 200)
        if found is None:
            return refusal(ErrorCode.NOT_FOUND)
        events = [json.loads(encode(self.record.at(stream, event.seq))) for event in found[0]]
        return httpx.Response(200, json={"events": events, "last_seq": found[1]})


def refusal(code: ErrorCode, **headers: str) -> httpx.Response:
    """A problem."""
    return httpx.Response(code.status, content=encode(problem(code, "because")), headers=headers)


def jwt(name: str, life_s: float, issued: float = WALL) -> str:
    """A token that nobody verifies."""
    claims = json.dumps({"sub": "me", "jti": name, "iat": issued, "exp": issued + life_s}).encode()
    return f"head.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.{name}"


class World:
    """Edges, an API, a record in which `me` has one conversation, and a client that is told nothing yet."""

    def __init__(self, edges: list[FakeEdge], lot: float = 0.5) -> None:
        self.edges = edges
        self.time = ManualClock(lot)
        self.record = Record("me")
        self.record.create(with_me=True)
        self.record.wire.clear()
        self.api = FakeApi(self.record)
        self.events: list[Delivered] = []
        self.states: list[State] = []
        self.tokens = 0
        self.token_life_s = 100_000.0

    @property
    def edge(self) -> FakeEdge:
        """The only edge, or the one where the socket is."""
        return next((edge for edge in self.edges if edge.sockets), self.edges[0])

    async def token(self) -> str:
        """A fresh token; they are numbered."""
        self.tokens += 1
        return jwt(f"t{self.tokens}", self.token_life_s, self.time.wall_now)

    def client(self, **options: Any) -> ChatClient:
        """A client of this world."""
        return ChatClient(
            api_url="http://api",
            socket_urls=[edge.url for edge in self.edges],
            user_id="me",
            token=self.token,
            device=Device("phone-1", "mobile"),
            options=ClientOptions(**options),
            on_event=self.events.append,
            on_state=self.states.append,
            clock=self.time.clock(),
            http=self.api.http(),
        )

    def post(self, count: int = 1) -> list[Delivered]:
        """Others say something; returns what an edge would show."""
        for _ in range(count):
            self.record.commit(CONVERSATION, "message.created", {"conversation_id": CONVERSATION})
        frames, self.record.wire = self.record.wire, []
        return frames

    def shown(self) -> list[int]:
        """The seqs of the conversation, as shown."""
        return [event.seq for event in self.events if event.stream == f"conversation:{CONVERSATION}"]


@asynccontextmanager
async def world(edges: int = 1, lot: float = 0.5, **connected: Any) -> AsyncIterator[World]:
    """A world with running edges."""
    running = [FakeEdge(**connected) for _ in range(edges)]
    async with running[0].running():
        if edges == 1:
            yield World(running, lot)
        else:
            async with running[1].running():
                yield World(running, lot)
