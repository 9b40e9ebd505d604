"""Plays a plan on a running stack, and gathers the evidence."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from contracts.messages import Message
from natter_client import Rejected
from natter_client.asking import ask
from stack import StackError

from . import faults
from .evidence import Accepted, Evidence, Heal
from .ledger import missing
from .plan import LENGTH_S, Fault, Membership, Plan, Say
from .player import Player
from .record import Record
from .world import ACK_TIMEOUT_S, World

ANSWERS_WITHIN_S = 30.0
CAUGHT_UP_WITHIN_S = 30.0
PUSHED_WITHIN_S = 30.0
READY_WITHIN_S = 30.0
_REPEATING = "kill notifier"

Tell = Callable[[str], None]
"""Hears what is going on, in a few words."""


class CannotPlay(Exception):
    """The run could not be set up, or the stack did not come back: nothing can be said about messages."""


@dataclass
class Outcome:
    """A run that was played."""

    plan: Plan
    evidence: Evidence
    events: list[str] = field(default_factory=list)
    """What was done when: faults and their heals."""
    took_s: float = 0.0


class Run:
    """One plan on one world."""

    def __init__(self, world: World, plan: Plan, tell: Tell) -> None:
        self._world = world
        self._plan = plan
        self._tell = tell
        # Fresh users for each run, also when a seed is played twice on one stack.
        self._tag = f"s{plan.seed}-{secrets.token_hex(3)}"
        self._users = {person.name: f"{self._tag}-{person.name}" for person in plan.people}
        self._chats: dict[str, str] = {}
        owners = {device.name: person.name for person in plan.people for device in person.devices}
        self._players = {
            device.name: Player(world, device, self._users[owners[device.name]], world.doors.of_device(index))
            for index, device in enumerate(plan.devices)
        }
        self._begin = 0.0
        self._began_wall = 0.0
        self._accepted: list[Accepted] = []
        self._waiting: dict[str, str] = {}
        """What has no answer yet, and who sends it how."""
        self._refused: list[str] = []
        self._heals: list[Heal] = []
        self._events: list[str] = []

    async def play(self) -> Outcome:
        """Play it to the end. Raises CannotPlay."""
        started = time.monotonic()
        try:
            self._tell("setting the scene")
            await self._set_the_scene()
            self._tell(self._plan.kind)
            await self._perform()
            self._note("every message is accepted, every fault gone")
            self._tell("catching up")
            await self._catch_up()
            self._note("everybody has caught up")
            self._tell("waiting for pushes")
            evidence = await self._settle()
            self._note("pushes have settled")
        except (StackError, TimeoutError, OSError, httpx.HTTPError) as failed:
            raise CannotPlay(f"{type(failed).__name__}: {failed}") from failed
        finally:
            await self._close()
        return Outcome(self._plan, evidence, self._events, time.monotonic() - started)

    # --- before -------------------------------------------------------------------------------------------------------

    async def _set_the_scene(self) -> None:
        self._world.begin_log()
        async with asyncio.TaskGroup() as group:
            for user_id in self._users.values():
                group.create_task(self._made("/v1/users", {"user_id": user_id, "roles": ["customer"]}))

        async def open_chat(name: str, owner: str, others: list[str]) -> None:
            made = await self._made("/v1/conversations", {"owner_id": owner, "participant_ids": others, "title": name})
            self._chats[name] = made.json()["id"]

        async with asyncio.TaskGroup() as group:
            for chat in self._plan.chats:
                owner, *others = (self._users[member] for member in chat.members)
                group.create_task(open_chat(chat.name, owner, others))
        present = [player for player in self._players.values() if not player.plan.away_at(0.0)]
        async with asyncio.TaskGroup() as group:
            for player in present:
                group.create_task(player.open())
        async with asyncio.timeout(READY_WITHIN_S):
            for player in present:
                await player.synced()

    async def _made(self, path: str, body: dict[str, object]) -> httpx.Response:
        answer = await self._world.as_service("POST", path, body)
        if answer.status_code not in (200, 201):
            raise CannotPlay(f"POST {path}: {answer.status_code} {answer.text}")
        return answer

    # --- meanwhile ----------------------------------------------------------------------------------------------------

    async def _perform(self) -> None:
        loop = asyncio.get_running_loop()
        self._begin, self._began_wall = loop.time() + 0.05, time.time() + 0.05
        try:
            async with asyncio.TaskGroup() as group:
                for player in self._players.values():
                    group.create_task(player.live(self._begin))
                for change in self._plan.memberships:
                    group.create_task(self._change(change))
                for fault in self._plan.faults:
                    group.create_task(self._break(fault))
                answers = group.create_task(self._talk())
                await self._until(LENGTH_S)
                done, _ = await asyncio.wait({answers}, timeout=ANSWERS_WITHIN_S)
                if not done:
                    answers.cancel()  # what is still waiting is in `_waiting`, and a finding
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several

    async def _talk(self) -> None:
        async with asyncio.TaskGroup() as group:
            for say in self._plan.says:
                await self._until(say.at_s)
                group.create_task(self._say(say))

    async def _say(self, say: Say) -> None:
        content = f"{self._tag}:{say.content}"
        chat_id = self._chats[say.chat]
        self._waiting[content] = f"{say.device or say.sender} in {say.chat} since {say.at_s:.2f} s"
        seq: int | None = None
        try:
            if say.device is not None:
                player = self._players[say.device]
                ack = await player.send(chat_id, content, content, important=say.important)
                seq = ack.seq if ack is not None else None
            if seq is None:
                # No device, or one that was closed before it had an answer: whoever sends again does it by HTTP.
                self._waiting[content] += ", by HTTP"
                seq = await self._send_by_http(say, chat_id, content)
        except Rejected as refused:
            self._refused.append(f"{content}: {refused}")
        else:
            stream = f"conversation:{chat_id}"
            self._accepted.append(Accepted(time.time(), self._users[say.sender], stream, seq, content))
        del self._waiting[content]

    async def _send_by_http(self, say: Say, chat_id: str, content: str) -> int:
        url = f"{self._world.doors.of_nobody.api_url}/v1/conversations/{chat_id}/messages"
        headers = {"Authorization": f"Bearer {self._world.stack.token(self._users[say.sender])}"}
        body = {"client_msg_id": content, "content": content, "is_important": say.important}
        while True:
            with contextlib.suppress(httpx.HTTPError, TimeoutError):
                async with asyncio.timeout(3):
                    answer = await ask(self._world.http, "POST", url, json=body, headers=headers)
                if answer.status_code in (200, 201):
                    return Message.model_validate_json(answer.content).seq
                if 400 <= answer.status_code < 500 and answer.status_code != 429:
                    raise CannotPlay(f"a send was refused: {answer.status_code} {answer.text}")
            await asyncio.sleep(0.1)

    async def _change(self, change: Membership) -> None:
        await self._until(change.at_s)
        path = f"/v1/conversations/{self._chats[change.chat]}/participants"
        user_id = self._users[change.person]
        if change.joins:
            answer = await self._world.as_service("POST", path, {"user_ids": [user_id]})
        else:
            answer = await self._world.as_service("DELETE", f"{path}/{user_id}")
        # 404: it was carried out, and the answer got lost.
        if answer.status_code not in (200, 204, 404):
            raise CannotPlay(f"{change}: {answer.status_code} {answer.text}")
        self._note(f"{change.person} {'joined' if change.joins else 'left'} {change.chat}")

    async def _break(self, fault: Fault) -> None:
        await self._until(fault.begin_s)
        self._note(f"begins: {fault}")
        await faults.inject(self._world, self._plan, fault)
        await self._until(fault.end_s)
        self._note(f"is healed: {fault}")
        self._heals.append(Heal(fault.kind, time.time()))
        await faults.heal(self._world, self._plan, fault)
        self._note(f"is gone: {fault}")

    # --- afterwards ---------------------------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        present = [player for player in self._players.values() if not player.plan.stays_away]
        async with asyncio.TaskGroup() as group:
            for player in present:
                group.create_task(player.catch_up(CAUGHT_UP_WITHIN_S))

    async def _settle(self) -> Evidence:
        """Wait until every push that is due was sent, and long enough for those that are not due to come."""
        give_up = time.monotonic() + PUSHED_WITHIN_S
        streams = [f"conversation:{chat_id}" for chat_id in self._chats.values()]
        streams += [f"user:{user_id}" for user_id in self._users.values()]
        while True:
            record = await self._world.record(streams)
            pushes = await self._world.pushes(self._users.values())
            evidence = Evidence(
                devices=[seen for player in self._players.values() for seen in player.seen],
                record=record,
                sent=frozenset(f"{self._tag}:{say.content}" for say in self._plan.says),
                accepted=self._accepted,
                unanswered=[f"{content} ({how})" for content, how in self._waiting.items()],
                refused=self._refused + [player.failed for player in self._players.values() if player.failed],
                pushes=pushes,
                provider_pushes=self._world.provider_pushes(),
                heals=self._heals,
                ack_timeout_s=ACK_TIMEOUT_S,
                pushes_may_repeat=any(fault.kind == _REPEATING for fault in self._plan.faults),
            )
            last = max((row.at for row in record), default=0.0)
            quiet = time.time() > last + ACK_TIMEOUT_S + 1.0
            pending = any(push.state == "pending" for push in pushes)
            if quiet and not pending and not missing(evidence, Record(record)):
                return evidence
            if time.monotonic() > give_up:
                return evidence
            await asyncio.sleep(0.25)

    async def _close(self) -> None:
        self._world.heal_connections()
        closed = await asyncio.gather(*(player.close() for player in self._players.values()), return_exceptions=True)
        for one in closed:
            if isinstance(one, BaseException) and not isinstance(one, TimeoutError):
                raise one

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(self._begin + at_s - asyncio.get_running_loop().time())

    def _note(self, what: str) -> None:
        self._events.append(f"{time.time() - self._began_wall:6.2f} s  {what}")
