"""Whose presence is followed by sockets here: one subscription per followed user, and only changes are told.

The edge puts a user's state together by itself, from what every edge has written (`contracts.presence`). So what the
first answer says and what later frames say come from one source, in one order: nothing falls between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from contracts.codec import decode
from contracts.codes import ErrorCode
from contracts.commands import CommandReply
from contracts.devices import DeviceType
from contracts.errors import Undecodable
from contracts.frames import FrameError, PresenceStates, PresenceUpdate, ServerAction, frame_bytes
from contracts.presence import PRESENCE_BUCKET, EdgePresence, parse_presence_key
from kit import buckets
from kit.backoff import full_jitter
from kit.logs import Stage, logger
from ws_edge.bus import BusError, Incoming, NoAnswer
from ws_edge.connection import Connection
from ws_edge.kv import Buckets, is_conditional, is_deletion
from ws_edge.rfc6455 import Opcode, encode_frame
from ws_edge.subscriptions import Broker, Interests

log = logger()

FOLLOWED_USERS_MAX = 50_000
"""Different users who are followed on one edge; above it `presence_subscribe` is answered with `unavailable`."""
READ_AGAIN_AFTER_S = 2.0
"""After NATS was away, edges write everything anew; whoever reads before that takes people for gone."""

_KEY_AT = len(buckets.subject(PRESENCE_BUCKET, ""))


class _Followed:
    """One user: what each edge says, what the followers were told, and who they are."""

    __slots__ = ("edges", "followers", "heard", "known", "pins", "told")

    def __init__(self) -> None:
        self.edges: dict[str, tuple[DeviceType, ...]] = {}
        self.followers: dict[Connection, int] = {}  # -> which subscription of that socket
        self.pins = 0  # sockets that are being answered
        self.known = False
        self.heard: set[str] | None = None  # edges that spoke while the bucket was read
        self.told: tuple[bool, tuple[DeviceType, ...]] | None = None

    @property
    def state(self) -> tuple[bool, tuple[DeviceType, ...]]:
        return bool(self.edges), tuple(sorted({device for devices in self.edges.values() for device in devices}))


class Following:
    """Follows exactly those users whom some socket here follows; `run` keeps what it knows right."""

    def __init__(self, broker: Broker, kv: Buckets, *, timeout_s: float, users_max: int = FOLLOWED_USERS_MAX) -> None:
        self._kv = kv
        self._timeout_s = timeout_s
        self._users_max = users_max
        self._users: dict[str, _Followed] = {}
        self._of: dict[Connection, tuple[str, ...]] = {}
        self._generation = 0
        self._reading = asyncio.Lock()
        self._doubted: set[str] = set()
        self._missed = False
        self._wake = asyncio.Event()
        self.interests = Interests(
            broker,
            self._on_message,
            wanted=self._users.__contains__,
            subject=lambda user_id: buckets.subject(PRESENCE_BUCKET, f"{user_id}.*"),
        )

    def __len__(self) -> int:
        return len(self._users)

    # --- who follows whom ---

    async def follow(
        self, connection: Connection, user_ids: Iterable[str], ask: Callable[[], Awaitable[CommandReply]]
    ) -> CommandReply:
        """Replace whom this socket follows by those of `user_ids` whom chat-api lets it see (`ask`); raises `BusError`.

        Subscribe, then read, then ask: whatever changes meanwhile is heard. If anything fails, all stays as it was.
        """
        wanted = tuple(dict.fromkeys(user_ids))
        new = sum(1 for user_id in wanted if user_id not in self._users)
        if new and len(self._users) + new > self._users_max:
            error = FrameError(code=ErrorCode.UNAVAILABLE, message="too many users are followed", retry_after_ms=10_000)
            return CommandReply(error=error)
        for user_id in wanted:
            self._users.setdefault(user_id, _Followed()).pins += 1
        try:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self.interests.stand(wanted)
                    await self._read([user_id for user_id in wanted if not self._users[user_id].known])
            except TimeoutError:
                raise NoAnswer from None
            reply = await ask()
            if reply.ack is None:
                return reply
            seen = {state.user_id for state in PresenceStates.model_validate(reply.ack).users}
            visible = tuple(user_id for user_id in wanted if user_id in seen)
            # From here to the socket's queue nothing waits: a change comes behind the answer.
            self._replace(connection, visible)
            return CommandReply(ack=self._states(visible).model_dump(mode="json"))
        except ValueError as invalid:
            raise Undecodable("not PresenceStates") from invalid
        finally:
            for user_id in wanted:
                self._users[user_id].pins -= 1
                self._let_go(user_id)

    def left(self, connection: Connection) -> None:
        """The socket is gone."""
        for user_id in self._of.pop(connection, ()):
            del self._users[user_id].followers[connection]
            self._let_go(user_id)

    def _replace(self, connection: Connection, user_ids: tuple[str, ...]) -> None:
        self.left(connection)
        if connection.closed or not user_ids:
            return
        self._generation += 1
        for user_id in user_ids:
            # Told are changes only: who has followed all along knows the state, the new one gets it with the answer.
            self._users[user_id].followers[connection] = self._generation
        self._of[connection] = user_ids

    def _let_go(self, user_id: str) -> None:
        followed = self._users.get(user_id)
        if followed is not None and not followed.followers and not followed.pins:
            del self._users[user_id]
            self.interests.left(user_id)

    def _states(self, user_ids: Sequence[str]) -> PresenceStates:
        states = []
        for user_id in user_ids:
            online, devices = self._users[user_id].state
            states.append(PresenceUpdate(user_id=user_id, online=online, device_types=devices))
        return PresenceStates(users=tuple(states))

    # --- what edges say ---

    def _on_message(self, user_id: str, message: Incoming) -> None:
        followed = self._users.get(user_id)
        if followed is None:
            return
        _, edge_id = parse_presence_key(message.subject[_KEY_AT:])
        if is_conditional(message):
            # Somebody cleans up behind a dead edge, and may have come too late: then the bucket has refused it.
            self._doubted.add(user_id)
            self._wake.set()
            return
        if followed.heard is not None:
            followed.heard.add(edge_id)
        self._note(followed, edge_id, None if is_deletion(message) else message.data)
        self._tell(user_id, followed)

    def _note(self, followed: _Followed, edge_id: str, value: bytes | None) -> None:
        try:
            connections = () if value is None else decode(EdgePresence, value).connections
        except Undecodable as broken:
            log.warning("an edge's entry makes no sense", stage=Stage.PRESENCE, edge_id=edge_id, reason=str(broken))
            return
        if connections:
            followed.edges[edge_id] = tuple(sorted({one.device_type for one in connections}))
        else:
            followed.edges.pop(edge_id, None)

    def _tell(self, user_id: str, followed: _Followed) -> None:
        state = followed.state
        if not followed.known or state == followed.told:
            return
        followed.told = state
        online, devices = state
        data = PresenceUpdate(user_id=user_id, online=online, device_types=devices).model_dump(mode="json")
        frame = encode_frame(Opcode.TEXT, frame_bytes(ServerAction.PRESENCE, data))
        for connection, generation in tuple(followed.followers.items()):
            # The number: a frame must not take the place of an unsent one that stands before a newer answer.
            connection.send_live(f"presence:{generation}:{user_id}", frame)

    # --- what the bucket says ---

    def interrupted(self) -> None:
        """Something may have been missed."""
        self._missed = True
        self._wake.set()

    async def run(self) -> None:
        """Read again whatever is in doubt; runs until cancelled."""
        waits = full_jitter(0.2, 2.0)
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._missed:
                await asyncio.sleep(READ_AGAIN_AFTER_S)
                self._missed = False
                self._doubted.update(self._users)
            doubted, self._doubted = self._doubted, set()
            try:
                await self._read(doubted)
                waits = full_jitter(0.2, 2.0)
            except BusError as failed:
                log.debug("presence cannot be read", stage=Stage.PRESENCE, error=type(failed).__name__)
                self._doubted |= doubted & self._users.keys()
                self._wake.set()
                await asyncio.sleep(next(waits))

    async def _read(self, user_ids: Iterable[str]) -> None:
        """What all edges have written of these users. What is heard meanwhile is newer, and stays."""
        # One at a time: two that overlap would each take the other's news for its own.
        async with self._reading:
            reading = {user_id: self._users[user_id] for user_id in user_ids if user_id in self._users}
            if not reading:
                return
            for followed in reading.values():
                followed.heard = set()
            try:
                entries = await self._kv.read(PRESENCE_BUCKET, [f"{user_id}.*" for user_id in reading])
                found: dict[str, dict[str, bytes | None]] = {user_id: {} for user_id in reading}
                for entry in entries:
                    user_id, edge_id = parse_presence_key(entry.key)
                    found.get(user_id, {})[edge_id] = entry.value
                for user_id, followed in reading.items():
                    self._take_over(user_id, followed, found[user_id])
            finally:
                for followed in reading.values():
                    followed.heard = None

    def _take_over(self, user_id: str, followed: _Followed, found: dict[str, bytes | None]) -> None:
        heard = followed.heard or set()
        for edge_id in (found.keys() | followed.edges.keys()) - heard:
            self._note(followed, edge_id, found.get(edge_id))
        if not followed.known:
            followed.known = True
            followed.told = followed.state
        self._tell(user_id, followed)
