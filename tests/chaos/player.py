"""One device of a run: connects, goes away and comes back as planned, and writes down everything it shows."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any

from contracts.frames import Ack
from natter_client import Bookmark, ChatClient, ClientOptions, Clock, Delivered, Device, State, Stopped
from natter_client.frames import Frame
from natter_client.session import Session

from .doors import Door, Doors
from .evidence import DeviceSeen, Shown
from .plan import Absence, Away, DevicePlan
from .world import World

TOKEN_TTL_S = 3600.0
SHORT_TOKEN_TTL_S = 5.0
QUICK = ClientOptions(
    # As in production, only faster.
    backoff_base_s=0.2,
    backoff_cap_s=1.5,
    stable_after_s=2.0,
    connect_timeout_s=3.0,
    close_timeout_s=0.3,
    request_timeout_s=3.0,
    send_attempt_timeout_s=1.5,
    send_retry_base_s=0.1,
    send_retry_cap_s=1.0,
    slow_retry_s=2.0,
    sync_after_connect_s=1.0,
    burst_tail_s=1.0,
    resync_jitter_s=0.3,
    sync_spacing_s=0.3,
    refresh_spacing_s=1.0,
)
_CLOSE_WITHIN_S = 10.0


class _Watched(ChatClient):
    """Writes down which durable frames came, also those whose events were known: each of them was confirmed."""

    def __init__(self, seen: DeviceSeen, **named: Any) -> None:
        super().__init__(**named)
        self._seen = seen

    def _on_frame(self, session: Session, frame: Frame) -> None:
        if frame.stream is not None:
            self._seen.frames.setdefault((frame.stream, frame.seq), time.time())
        super()._on_frame(session, frame)


class Player:
    """Plays one device. `seen` has an entry for each life of its application."""

    def __init__(self, world: World, plan: DevicePlan, user_id: str, door: Door) -> None:
        self.plan = plan
        self.user_id = user_id
        self.seen: list[DeviceSeen] = []
        self.client: ChatClient | None = None
        """None while the application is closed."""
        self.failed = ""
        """Why the client stopped although nobody told it to."""
        self._world = world
        self._door = door
        self._bookmark: Bookmark | None = None
        self._watching: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        """Set when it is away and will not come back."""

    @property
    def doors(self) -> Doors:
        """Everybody's ways to the servers."""
        return self._world.doors

    async def open(self) -> None:
        """Start the application, where it left off if it has a bookmark."""
        seen = self._life()
        options = dataclasses.replace(QUICK, bookmark=self._bookmark)
        client = _Watched(
            seen,
            api_url=self._door.api_url,
            socket_urls=self._door.socket_urls,
            user_id=self.user_id,
            token=self._token,
            device=Device(self.plan.name, self.plan.type),
            options=options,
            on_event=_recorder(seen),
            on_state=_state_recorder(seen),
            clock=Clock(wall=lambda: self._world.wall(self.plan.name)),
            http=self._world.http,
        )
        await client.__aenter__()
        self.client = client
        if seen.complete_since is None:
            self._watching = asyncio.create_task(self._first_sync(client, seen))

    async def close(self) -> None:
        """End the application."""
        client, self.client = self.client, None
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        if client is None:
            return
        if client.error is not None:
            self.failed = f"{self.plan.name} stopped: {client.error}"
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            await client.__aexit__(None, None, None)
        self._bookmark = client.bookmark
        _end_socket(self.seen[-1])

    async def synced(self) -> None:
        """Wait until the first sync of its application is over."""
        if self._watching is not None:
            await asyncio.shield(self._watching)

    async def live(self, begin: float) -> None:
        """Go away and come back as planned; `begin` is the run's start by the loop's clock."""
        loop = asyncio.get_running_loop()
        for absence in self.plan.absences:
            await asyncio.sleep(begin + absence.begin_s - loop.time())
            await self._leave(absence)
            if absence.end_s is None:
                self._gone.set()
                return
            await asyncio.sleep(begin + absence.end_s - loop.time())
            await self._return(absence)

    async def send(self, conversation_id: str, content: str, client_msg_id: str, *, important: bool) -> Ack | None:
        """Send through the client; None if it is closed or off the net for good before there is an answer."""
        client = self.client
        if client is None:
            return None
        sending = asyncio.ensure_future(client.send(conversation_id, content, client_msg_id, is_important=important))
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                with contextlib.suppress(Stopped):
                    return sending.result()
        finally:
            sending.cancel()
            gone.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
        return None

    async def catch_up(self, within_s: float) -> bool:
        """Whether the device, being there, could say in time that it has everything."""
        seen = self.seen[-1]
        seen.present_at_end = True
        if self.client is None:
            return False
        with contextlib.suppress(TimeoutError, Stopped):
            async with asyncio.timeout(within_s):
                await self.client.caught_up()
                seen.caught_up = True
        return seen.caught_up

    async def _leave(self, absence: Absence) -> None:
        if absence.how in (Away.CLOSED, Away.RESTARTED):
            if absence.how is Away.CLOSED or absence.end_s is None:
                await self._lose_the_net()
            await self.close()
            if absence.how is Away.CLOSED:
                self._bookmark = None
            self.doors.come_back(self._door)
            return
        self.doors.leave(self._door, absence.how)
        self.seen[-1].away.append((time.time(), float("inf")))

    async def _lose_the_net(self) -> None:
        """What has reached the socket, and was confirmed, shall be shown before the application is gone for good."""
        self.doors.leave(self._door, Away.CUT)
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            while self.client is not None and self.client.state is State.CONNECTED:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def _return(self, absence: Absence) -> None:
        if absence.how in (Away.CLOSED, Away.RESTARTED):
            await self.open()
            return
        self.doors.come_back(self._door)
        went, _ = self.seen[-1].away.pop()
        self.seen[-1].away.append((went, time.time()))

    def _life(self) -> DeviceSeen:
        """Who goes on where he left off is still the same device; anybody else is a new one."""
        if self._bookmark is None or not self.seen:
            life = f"{self.plan.name}.{len(self.seen) + 1}" if self.seen else self.plan.name
            self.seen.append(DeviceSeen(life, self.user_id))
        return self.seen[-1]

    async def _token(self) -> str:
        ttl_s = SHORT_TOKEN_TTL_S if self.plan.short_tokens else TOKEN_TTL_S
        return self._world.stack.token(self.user_id, ttl_s=ttl_s)

    async def _first_sync(self, client: ChatClient, seen: DeviceSeen) -> None:
        with contextlib.suppress(Stopped):
            await client.caught_up()
            seen.complete_since = time.time()


def _recorder(seen: DeviceSeen) -> Callable[[Delivered], None]:
    def record(event: Delivered) -> None:
        content = str(event.data["content"]) if event.type == "message.created" else None
        seen.shown.append(Shown(time.time(), event.stream, event.seq, event.type, content))

    return record


def _state_recorder(seen: DeviceSeen) -> Callable[[State], None]:
    def record(state: State) -> None:
        _end_socket(seen)
        if state is State.CONNECTED:
            seen.sockets.append((time.time(), float("inf")))

    return record


def _end_socket(seen: DeviceSeen) -> None:
    if seen.sockets and seen.sockets[-1][1] == float("inf"):
        begin, _ = seen.sockets.pop()
        seen.sockets.append((begin, time.time()))
