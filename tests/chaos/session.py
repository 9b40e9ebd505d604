"""One stack for many runs; a new one only after a run in which something was wrong."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from stack import StackError

from .checker import check
from .drive import CannotPlay, Outcome, Run, Tell
from .plan import Plan, make_plan
from .report import Result
from .verdict import FINDINGS, STUCK, Verdict
from .world import World, open_world


class Session:
    """Plays plans one after the other; `tell` hears what is going on."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._open = contextlib.AsyncExitStack()
        self._world: World | None = None

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    def keep_logs(self, seed: int) -> Path:
        """Copy the parts' logs to where they outlive the stack, and say where that is."""
        assert self._world is not None
        kept = Path(tempfile.mkdtemp(prefix=f"natter-chaos-{seed}-"))
        shutil.copytree(self._world.stack.data_dir / "logs", kept, dirs_exist_ok=True)
        return kept

    async def renew(self) -> None:
        """Go on with a new stack."""
        self._tell("starting anew")
        await self._open.aclose()
        await self._start()

    async def play(self, seed: int, *, fault: str | None = None, messages: int) -> Result:
        """Play one run and judge it. What cannot be played is a result, too."""
        assert self._world is not None
        plan = make_plan(seed, fault=fault, messages=messages)
        began = asyncio.get_running_loop().time()
        try:
            outcome = await Run(self._world, plan, lambda words: self._tell(f"seed {seed}: {words}")).play()
        except CannotPlay as failed:
            took_s = asyncio.get_running_loop().time() - began
            return _not_played(plan, str(failed), took_s)
        verdict = check(outcome.evidence)
        try:
            await self._world.until_healthy()
        except StackError as failed:
            verdict.add(STUCK, str(failed))
        return _result(outcome, verdict)

    async def _start(self) -> None:
        self._open = contextlib.AsyncExitStack()
        self._world = await self._open.enter_async_context(open_world())


def _result(outcome: Outcome, verdict: Verdict) -> Result:
    evidence = outcome.evidence
    return Result(
        seed=outcome.plan.seed,
        kinds=tuple(fault.kind for fault in outcome.plan.faults),
        faults=tuple(outcome.events),
        messages=verdict.messages,
        deliveries=sum(shown.content is not None for device in evidence.devices for shown in device.shown),
        pushes=sum(push.state == "sent" for push in evidence.pushes),
        counts=dict(verdict.counts),
        heal_s=tuple(verdict.heal_s),
        took_s=outcome.took_s,
        words={kind: tuple(words) for kind, words in verdict.words.items()},
    )


def _not_played(plan: Plan, why: str, took_s: float) -> Result:
    return Result(
        seed=plan.seed,
        kinds=tuple(fault.kind for fault in plan.faults),
        faults=tuple(str(fault) for fault in plan.faults),
        messages=0,
        deliveries=0,
        pushes=0,
        counts=dict.fromkeys(FINDINGS, 0),
        heal_s=(),
        took_s=took_s,
        not_played=why,
    )
