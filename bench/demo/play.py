"""Plays a plan at a place: sets the scene, lets everybody talk, and waits until nothing can come any more."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from bench.demo.checker import Accepted, Evidence
from bench.demo.client import Api, Handset, until_taken
from bench.demo.errors import SetupFailed
from bench.demo.place import Place
from bench.demo.plan import Line, Path, Plan
from bench.demo.stats import Sample
from contracts.messages import MessageDraft
from contracts.pushes import PushRecord, PushState
from kit.tokens import Role, issue

T = TypeVar("T")

TOKEN_TTL_S = 3600.0
AT_ONCE = 16
POLL_S = 0.25
CALM_READINGS = 4
"""The list of pushes must be the same so many times in a row, after nothing is undecided any more."""
OPEN_DELIVERIES = "natter_fanout_open_deliveries"


@dataclass(slots=True)
class Tally:
    """How far the play is, for whoever shows it."""

    step: str = ""
    registered: int = 0
    opened: int = 0
    connected: int = 0
    sent: int = 0
    delivered: int = 0
    pushed: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """A line that the server has accepted; instants of `time.perf_counter`."""

    line: Line
    message_id: str
    seq: int
    sent_at: float
    accepted_at: float


@dataclass(slots=True)
class Outcome:
    """What is left of a run when the curtain has fallen."""

    evidence: Evidence
    samples: list[Sample]
    push_s: list[float]
    """Seconds from recording a message to handing its push over, by the server's own clocks."""
    rate: float
    """Messages per second as accepted."""
    troubles: list[str]
    excerpts: list[list[tuple[str, str]]] = field(default_factory=list)
    """For each language the first lines of one exchange, as a device got them: name and text."""


class Play:
    """One run. Use `stage`, which closes what this opens."""

    def __init__(self, place: Place, plan: Plan, tally: Tally) -> None:
        self._place = place
        self._plan = plan
        self._tally = tally
        self._tokens = {
            person.user_id: issue(
                place.secret, person.user_id, (person.role.value,), ttl_s=TOKEN_TTL_S, name=person.name
            )
            for person in plan.people.values()
        }
        self._api = Api(place, issue(place.secret, "demo-host", (Role.SERVICE.value,), ttl_s=TOKEN_TTL_S))
        self._handsets = {device.device_id: Handset(device, self._arrived) for device in plan.devices}
        self._conversations: list[str] = []
        self._said: list[Said] = []
        self._pushes: list[PushRecord] = []
        self._pushes_before = 0
        self._rate = 0.0

    async def close(self) -> None:
        """Close every socket and connection."""
        await _side_by_side(handset.close() for handset in self._handsets.values())
        self._api.close()

    def _arrived(self) -> None:
        self._tally.delivered += 1

    # --- before -------------------------------------------------------------------------------------------------------

    async def set_the_scene(self) -> None:
        """Register, open conversations, connect. Raises `SetupFailed`."""
        self._tally.step = "users, conversations, sockets"
        await self._api.check()
        if not self._place.fresh:
            _, self._pushes_before = await self._api.pushes(0)
        await _side_by_side(self._register(user_id) for user_id in self._plan.people)
        self._conversations = await _side_by_side(self._open(number) for number in range(len(self._plan.chats)))
        await _side_by_side(self._connect(handset) for handset in self._handsets.values())

    async def _register(self, user_id: str) -> None:
        person = self._plan.people[user_id]
        await self._api.register(user_id, person.name, person.role.value)
        self._tally.registered += 1

    async def _open(self, number: int) -> str:
        chat = self._plan.chats[number]
        others = [user_id for user_id in chat.member_ids if user_id != chat.owner_id]
        conversation_id = await self._api.open_conversation(self._tokens[chat.owner_id], chat.title, others)
        self._tally.opened += 1
        return conversation_id

    async def _connect(self, handset: Handset) -> None:
        await handset.connect(self._place.socket_urls, self._tokens[handset.device.user_id])
        self._tally.connected += 1

    # --- talking ------------------------------------------------------------------------------------------------------

    async def perform(self, rate: float) -> None:
        """Send every line at its moment, `rate` of them a second; in one conversation each waits for the one before.

        The clock does not wait for the server: whoever falls behind sends as soon as it can.
        """
        self._tally.step = "talking"
        loop = asyncio.get_running_loop()
        before: dict[int, asyncio.Task[None]] = {}
        # A collection in the middle would be measured as the server's.
        gc.collect()
        gc.disable()
        try:
            started = loop.time()
            async with asyncio.TaskGroup() as group:
                for number, line in enumerate(self._plan.lines):
                    pause = started + number / rate - loop.time()
                    if pause > 0:
                        await asyncio.sleep(pause)
                    before[line.chat] = group.create_task(self._say(line, before.get(line.chat)))
            self._rate = len(self._plan.lines) / max(loop.time() - started, 1e-9)
        except BaseExceptionGroup as failed:
            raise _first(failed) from None
        finally:
            gc.enable()

    async def _say(self, line: Line, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        conversation_id = self._conversations[line.chat]
        draft = MessageDraft(client_msg_id=line.client_msg_id, content=line.content, is_important=line.important)
        body = draft.model_dump(mode="json", exclude_none=True)
        send: Callable[[], Awaitable[tuple[float, str, int]]]
        if line.path is Path.SOCKET and line.device_id is not None:
            send = functools.partial(self._handsets[line.device_id].send, conversation_id, body)
        else:
            send = functools.partial(self._api.send, self._tokens[line.sender_id], conversation_id, body)
        sent_at = time.perf_counter()
        accepted_at, message_id, seq = await until_taken(send, f"sending over {line.path}")
        self._said.append(Said(line, message_id, seq, sent_at, accepted_at))
        self._tally.sent += 1

    # --- afterwards ---------------------------------------------------------------------------------------------------

    async def settle(self, *, timeout_s: float, watch_s: float) -> None:
        """Wait until everything due is here, at most `timeout_s`; then for what must not come.

        That is over when chat-api says that no delivery is undecided and the list of pushes rests; where nobody can
        ask chat-api, after `watch_s` seconds since the last message.
        """
        self._tally.step = "waiting for the last frames and pushes"
        last = time.monotonic()
        while time.monotonic() < last + timeout_s:
            await self._look_at_pushes()
            if self._tally.delivered >= self._plan.deliveries and self._tally.pushed >= self._plan.pushes:
                break
            await asyncio.sleep(POLL_S)
        self._tally.step = "watching for what must not come"
        calm = 0
        while calm < CALM_READINGS and time.monotonic() < last + watch_s:
            known = [(push.id, push.state) for push in self._pushes]
            undecided = await self._api.gauge(OPEN_DELIVERIES)
            await asyncio.sleep(POLL_S)
            await self._look_at_pushes()
            at_rest = undecided == 0 and known == [(push.id, push.state) for push in self._pushes]
            calm = calm + 1 if at_rest else 0

    async def _look_at_pushes(self) -> None:
        # From the start every time: states change, and ids may become visible in another order than they rise.
        found, _ = await self._api.pushes(self._pushes_before)
        self._pushes = [push for push in found if push.user_id in self._plan.people]
        self._tally.pushed = sum(push.state is PushState.SENT for push in self._pushes)

    async def outcome(self) -> Outcome:
        """Put together what was seen."""
        self._tally.step = "reading the record"
        pages = await _side_by_side(self._api.message_events(one) for one in self._conversations)
        events = [event for page in pages for event in page]
        evidence = Evidence(
            accepted=[self._accepted(said) for said in self._said],
            members={
                conversation_id: [self._plan.people[user_id] for user_id in chat.member_ids]
                for conversation_id, chat in zip(self._conversations, self._plan.chats, strict=True)
            },
            arrivals={device_id: tuple(handset.arrivals) for device_id, handset in self._handsets.items()},
            record=[(event["data"]["id"], event["id"]) for event in events],
            pushes=self._pushes,
        )
        troubles = [f"{one.device.device_id} {one.trouble}" for one in self._handsets.values() if one.trouble]
        return Outcome(evidence, self._samples(), self._push_s(events), self._rate, troubles, self._excerpts())

    def _accepted(self, said: Said) -> Accepted:
        line = said.line
        return Accepted(
            message_id=said.message_id,
            conversation_id=self._conversations[line.chat],
            seq=said.seq,
            sender_id=line.sender_id,
            content=line.content,
            important=line.important,
        )

    def _samples(self) -> list[Sample]:
        said_by_id = {said.message_id: said for said in self._said}
        samples = []
        for handset in self._handsets.values():
            for arrival in handset.arrivals:
                said = said_by_id.get(arrival.message_id)
                if said is None or said.line.sender_id == handset.device.user_id:
                    continue
                samples.append(Sample(self._way(said.line, handset), said.sent_at, said.accepted_at, arrival.at))
        return samples

    def _way(self, line: Line, to: Handset) -> str:
        if line.device_id is None:
            return "HTTP"
        same = self._handsets[line.device_id].edge_id == to.edge_id
        return "socket, same edge" if same else "socket, other edge"

    def _push_s(self, events: Iterable[dict[str, Any]]) -> list[float]:
        recorded = {event["id"]: datetime.fromisoformat(event["time"]) for event in events}
        return [
            (push.settled_at - recorded[push.event_id]).total_seconds()
            for push in self._pushes
            if push.state is PushState.SENT and push.settled_at is not None and push.event_id in recorded
        ]

    def _excerpts(self) -> list[list[tuple[str, str]]]:
        """For each language the opening of the first exchange that a single device got as it was said."""
        by_turn = {(said.line.chat, said.line.dialogue, said.line.turn): said for said in self._said}
        found: dict[str, list[tuple[str, str]]] = {}
        for number, chat in enumerate(self._plan.chats):
            opening = [by_turn.get((number, 0, turn)) for turn in (0, 1)]
            listeners = [device for user_id in chat.member_ids for device in self._plan.people[user_id].devices]
            if chat.language in found or None in opening or not listeners:
                continue
            texts = {one.message_id: one.content for one in self._handsets[listeners[0].device_id].arrivals}
            lines = [said for said in opening if said is not None and said.message_id in texts]
            if len(lines) == len(opening):
                people = self._plan.people
                found[chat.language] = [(people[s.line.sender_id].name, texts[s.message_id]) for s in lines]
        return list(found.values())


@contextlib.asynccontextmanager
async def stage(place: Place, plan: Plan, tally: Tally) -> AsyncIterator[Play]:
    """A play whose sockets and connections are closed at the end."""
    play = Play(place, plan, tally)
    try:
        yield play
    finally:
        await play.close()


async def _side_by_side(work: Iterable[Awaitable[T]]) -> list[T]:
    """Every result in order, `AT_ONCE` at a time; the first error ends the rest and goes through."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(part: Awaitable[T]) -> T:
        async with turns:
            return await part

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(part)) for part in work]
    except BaseExceptionGroup as failed:
        raise _first(failed) from None
    return [task.result() for task in tasks]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a person needs: ours if there is one."""
    ours = group.subgroup(SetupFailed)
    error: BaseException = ours or group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
