"""Plays hostile dialogues against an edge, and holds every answer against what is documented."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
from pydantic import ValidationError

from contracts.asyncapi import LIVE_DATA, durable_data
from contracts.codes import CloseCode
from contracts.frames import FrameError, ServerAction
from contracts.ids import new_id

from . import wire
from .generate import Case, Generator, Outcome

ANSWER_S = 20.0
"""How long an answer may take. Generous: what is shown is that it comes, not how fast."""

NEVER_SENT = 1005
"""Stands for a close frame without a code."""
GONE = 1006
"""Stands for the end of TCP without a close frame."""


class Undocumented(Exception):
    """The edge did something that no page tells."""


class NotAdmitted(Exception):
    """The edge could not let anybody in at that moment (1011, documented): nothing was played."""


@dataclass
class Tally:
    """What was played, and what came of it."""

    frames: int = 0
    dialogues: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    closes: Counter[int] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """One line per dialogue that went wrong, with what plays it again."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """Who attacks which edge; `conversation_id` is one that the user is in."""

    url: str
    user_id: str
    token: str
    conversation_id: str


class Dialogue:
    """One socket: sends the cases, reads everything, judges."""

    def __init__(self, hostile: Hostile, tally: Tally) -> None:
        self._hostile = hostile
        self._tally = tally
        self._refs: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._greeted = False
        self._closed: int | None = None
        self._fault: BaseException | None = None

    async def play(self, cases: list[Case], ping: Callable[[], Case]) -> None:
        """Raises `Undocumented` at the first answer that is."""
        reader, writer = await wire.connect(self._hostile.url, self._hostile.token, device_id=new_id())
        listening = asyncio.create_task(self._listen(reader, writer))
        try:
            await self._until(lambda: self._greeted, "not greeted")
            if not self._greeted and self._closed == CloseCode.INTERNAL_ERROR:
                raise NotAdmitted
            for case in cases:
                await self._one(case, writer, ping)
                if self._closed is not None or case.outcome in (Outcome.CLOSED, Outcome.TORN):
                    break
            else:
                await self._good(writer, ping())
        finally:
            writer.close()
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if self._fault is not None:
            raise self._fault

    async def _one(self, case: Case, writer: asyncio.StreamWriter, ping: Callable[[], Case]) -> None:
        self._tally.kinds[case.kind] += 1
        self._tally.frames += case.frames
        await self._write(writer, case.data)
        match case.outcome:
            case Outcome.ANSWERED:
                await self._until(lambda: case.ref in self._refs, f"no answer to {case.kind}")
                if case.ref not in self._refs:
                    raise Undocumented(f"{case.kind}: closed with {self._closed} instead of an answer")
            case Outcome.CLOSED:
                await self._until(lambda: self._closed is not None, f"not closed after {case.kind}")
                if self._closed not in case.codes:
                    raise Undocumented(f"{case.kind}: closed with {self._closed}, not one of {sorted(case.codes)}")
            case Outcome.EITHER:
                question = ping()
                await self._write(writer, question.data)
                await self._until(lambda: question.ref in self._refs, f"no answer after {case.kind}")
                if self._closed not in (None, CloseCode.BAD_FRAME, CloseCode.INVALID_TEXT, CloseCode.FRAME_TOO_BIG):
                    raise Undocumented(f"{case.kind}: closed with {self._closed}")
            case Outcome.STAYS | Outcome.TORN:
                pass

    async def _good(self, writer: asyncio.StreamWriter, question: Case) -> None:
        """The socket is still open, and answers."""
        await self._write(writer, question.data)
        await self._until(lambda: question.ref in self._refs, "no answer at the end")
        if question.ref not in self._refs:
            raise Undocumented(f"closed with {self._closed} although nothing was wrong")

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            async with asyncio.timeout(ANSWER_S):
                await writer.drain()

    async def _until(self, true: Callable[[], bool], what: str) -> None:
        """Wait until it is true or the socket is closed."""
        try:
            async with asyncio.timeout(ANSWER_S):
                while not true() and self._closed is None and self._fault is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Undocumented(what) from None
        if self._fault is not None:
            raise self._fault

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                opcode, payload = await wire.read(reader)
                if opcode == wire.PING:
                    writer.write(wire.frame(wire.PONG, payload, b"mask"))
                elif opcode == wire.TEXT:
                    self._heard(payload)
                elif opcode == wire.CLOSE:
                    self._closed = int.from_bytes(payload[:2], "big") if payload else NEVER_SENT
                    self._tally.closes[self._closed] += 1
                    payload[2:].decode()
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self._closed = self._closed or GONE
            self._tally.closes[GONE] += 1
        except (wire.WrongFrame, Undocumented, ValueError) as fault:
            self._fault = fault if isinstance(fault, Undocumented) else Undocumented(f"{fault!r}")
        finally:
            self._changed.set()

    def _heard(self, payload: bytes) -> None:
        told = json.loads(payload)
        name = judge(told)
        self._tally.answers[name] += 1
        self._greeted = self._greeted or name == ServerAction.CONNECTED.value
        ref = told.get("ref")
        if isinstance(ref, str):
            self._refs[ref] = name
        self._changed.set()


def judge(told: object) -> str:
    """The action of a frame, with the code of an error; raises `Undocumented` if it is not as the contracts say."""
    if not isinstance(told, dict) or not isinstance(told.get("data"), dict):
        raise Undocumented(f"no frame: {str(told)[:200]}")
    try:
        action = ServerAction(str(told.get("action")))
    except ValueError:
        raise Undocumented(f"action {told.get('action')!r}") from None
    for shape in (*LIVE_DATA.get(action, ()), *durable_data(action)):
        try:
            fitting = shape.model_validate(told["data"])
        except ValidationError:
            continue
        return f"error {fitting.code.value}" if isinstance(fitting, FrameError) else action.value
    raise Undocumented(f"data of {action.value}: {str(told['data'])[:200]}")


class Edge:
    """An edge's process as the system sees it."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)

    def rss_bytes(self) -> int:
        """Memory that it holds."""
        return int(self.process.memory_info().rss)

    def sockets(self) -> int:
        """TCP sockets that it holds; none that only wait to be forgotten."""
        return sum(1 for one in self.process.net_connections("tcp") if one.status != psutil.CONN_TIME_WAIT)

    def open_files(self) -> int:
        """Everything that it holds open."""
        return int(self.process.num_fds())


async def _admitted(hostile: Hostile, tally: Tally, cases: list[Case], generator: Generator) -> None:
    """Play a dialogue; a busy edge gets a second and a third chance to let us in."""
    for last in (False, False, True):
        try:
            await Dialogue(hostile, tally).play(cases, generator.ping)
        except NotAdmitted:
            if last:
                raise
        else:
            return


async def play(
    attackers: list[Hostile], *, frames: int, seed: int, tally: Tally, progress: Callable[[int], object]
) -> None:
    """Each attacker plays dialogues, one after the other, until together they have sent `frames`.

    `progress` is told how many they are. What went wrong stands in `tally.wrong`, with the numbers of attacker and
    dialogue: the same seed gives it again.
    """

    async def attack(number: int, hostile: Hostile) -> None:
        generator = Generator(seed * 1_000 + number, hostile.conversation_id)
        played = 0
        while tally.frames < frames and len(tally.wrong) < 20:
            played += 1
            cases = generator.dialogue()
            try:
                await _admitted(hostile, tally, cases, generator)
            except (NotAdmitted, Undocumented, ConnectionError, TimeoutError, asyncio.IncompleteReadError) as fault:
                kinds = [case.kind for case in cases]
                tally.wrong.append(f"seed {seed}, attacker {number}, dialogue {played} {kinds}: {fault!r}")
            tally.dialogues += 1
            progress(tally.frames)

    async with asyncio.TaskGroup() as group:
        for number, hostile in enumerate(attackers):
            group.create_task(attack(number, hostile))
