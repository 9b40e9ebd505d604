"""Frames → natter.command.*: one socket's commands go out one after another, so their order is the client's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from contracts import subjects
from contracts.codec import decode
from contracts.codes import ErrorCode
from contracts.commands import Asker, CommandReply
from contracts.errors import Undecodable
from contracts.frames import ServerAction, frame_bytes
from kit.logs import Stage, logger
from kit.tokens import Principal
from ws_edge.bus import BusError, NoAnswer
from ws_edge.connection import Connection
from ws_edge.metrics import Figures
from ws_edge.rfc6455 import Opcode, encode_frame
from ws_edge.session.live import Ref, SendFrame, error

log = logger()

RETRY_AFTER_MS = 1_000
"""When a client may try again what nobody could take; chat-api restarts in about that time."""

Request = Callable[[str, bytes, float], Awaitable[bytes]]
"""Subject, payload and timeout in seconds → the answer; raises `BusError`."""

Ask = Callable[[str, bytes], Awaitable[CommandReply]]
"""Command's name and payload → chat-api's reply; raises `BusError` or `Undecodable`."""


class Job(Protocol):
    """One command of one socket."""

    @property
    def ref(self) -> Ref:
        """Comes back in the answer."""

    @property
    def when_late(self) -> str:
        """What a client is told if there was no answer in time."""

    async def run(self, ask: Ask) -> CommandReply:
        """Do it; the reply goes to the client. Raises what `ask` raises."""


class Commands:
    """Asks chat-api on behalf of sockets, and tells them what it said."""

    def __init__(
        self,
        request: Request,
        tasks: asyncio.TaskGroup,
        figures: Figures,
        *,
        waiting_max: int,
        timeout_s: float,
    ) -> None:
        """`tasks` owns one task for each socket that has commands under way, and for no longer."""
        self._request = request
        self._tasks = tasks
        self._figures = figures
        self._waiting_max = waiting_max
        self._timeout_s = timeout_s
        self._waiting: dict[str, deque[Job]] = {}

    @property
    def under_way(self) -> int:
        """Sockets with a command that is not answered."""
        return len(self._waiting)

    def busy(self, connection: Connection) -> bool:
        """Whether this socket has a command that is not answered."""
        return connection.id in self._waiting

    def take(self, connection: Connection, job: Job) -> SendFrame | None:
        """Do `job` after those that this socket sent before; returns the refusal if too many wait."""
        waiting = self._waiting.get(connection.id)
        if waiting is not None and len(waiting) >= self._waiting_max:
            self._figures.commands["refused"] += 1
            return error(
                ErrorCode.RATE_LIMITED,
                "too many commands wait for their answer",
                ref=job.ref,
                retry_after_ms=RETRY_AFTER_MS,
            )
        if waiting is not None:
            waiting.append(job)
        else:
            self._waiting[connection.id] = deque((job,))
            self._tasks.create_task(self._work_off(connection))
        return None

    async def ask(self, name: str, payload: bytes) -> CommandReply:
        """One command, one reply; raises `BusError` or `Undecodable`."""
        return decode(CommandReply, await self._request(subjects.command(name), payload, self._timeout_s))

    async def _work_off(self, connection: Connection) -> None:
        waiting = self._waiting[connection.id]
        try:
            # The one under way stays in the queue until it is answered, so the limit counts it too.
            while waiting and not connection.closed:
                await self._do(connection, waiting[0])
                waiting.popleft()
        finally:
            # What a closed socket had not sent yet is not sent any more: its client asks again with the same
            # client_msg_id, and could not learn the outcome here.
            del self._waiting[connection.id]

    async def _do(self, connection: Connection, job: Job) -> None:
        ref = job.ref
        try:
            reply = await job.run(self.ask)
        except NoAnswer:
            outcome = "timeout"
            answer = error(ErrorCode.TIMEOUT, job.when_late, ref=ref).payload
        except BusError as failed:
            outcome = "unavailable"
            log.info("nobody takes commands", stage=Stage.LISTENER, error=type(failed).__name__)
            answer = error(
                ErrorCode.UNAVAILABLE, "not possible now: try again", ref=ref, retry_after_ms=RETRY_AFTER_MS
            ).payload
        except Undecodable as broken:
            outcome = "internal"
            log.error("chat-api's answer makes no sense", stage=Stage.LISTENER, reason=str(broken))
            answer = error(ErrorCode.INTERNAL, "the answer was not understood", ref=ref).payload
        else:
            outcome, answer = _answer(reply, ref)
        self._figures.commands[outcome] += 1
        connection.send(encode_frame(Opcode.TEXT, answer))


def asker(connection: Connection, principal: Principal) -> Asker:
    """Who asks over this socket, as chat-api is told."""
    return Asker(
        user_id=principal.user_id,
        name=principal.name,
        roles=tuple(sorted(principal.roles)),
        issuer=principal.issuer,
        connection_id=connection.id,
    )


def _answer(reply: CommandReply, ref: Ref) -> tuple[str, bytes]:
    if reply.ack is not None:
        return "ack", frame_bytes(ServerAction.ACK, reply.ack, ref=ref)
    if reply.error is not None:
        data = reply.error.model_dump(mode="json", exclude_none=True)
        return reply.error.code.value, frame_bytes(ServerAction.ERROR, data, ref=ref)
    return "internal", error(ErrorCode.INTERNAL, "the answer was empty", ref=ref).payload
