"""Three edges restarted one after the other under thousands of clients: nothing is lost, and nobody crowds back.

python -m tests.chaos.rolling --clients 3000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import resource
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvloop
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from stack import StackError, StackOptions

from .checker import check
from .crowd import Crowd
from .evidence import Evidence
from .kinds import EDGES
from .verdict import Verdict
from .world import World, open_world

DRAIN_WINDOW_S = 10.0
LARGE_WINDOW_S = 60.0
"""For thousands of clients on the same few cores as everything else: enough for `RECONNECTS_PER_S` to be kept to."""
ACK_TIMEOUT_S = 10.0
CROWD = 1.5
"""How far the busiest moment of a restart may lie above the even rate."""
_MOMENTS = 5
"""The busiest moment is looked for in stretches of this part of the window, or of a second if that is shorter."""
_FILES_PER_CLIENT = 4

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Restarted:
    """What one edge's restart did."""

    edge: str
    clients: int
    window_s: float
    exit_code: int | None
    told: Sequence[float]
    """When each client was told to come back, in seconds from the beginning of the drain."""
    came: Sequence[float]
    """When each was connected again."""

    @property
    def stretch_s(self) -> float:
        """Over how long a crowd is measured."""
        return min(1.0, self.window_s / _MOMENTS)

    @property
    def even_per_s(self) -> float:
        """Clients divided by the window."""
        return self.clients / self.window_s if self.window_s else 0.0

    @property
    def told_per_s(self) -> float:
        """The busiest moment as the edge planned it."""
        return busiest(self.told, self.stretch_s)

    @property
    def came_per_s(self) -> float:
        """The busiest moment as it was; never measured over less than a second."""
        return busiest(self.came, 1.0)


@dataclass
class Rolled:
    """The whole."""

    restarts: list[Restarted] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words; empty if nothing is."""
        found = [
            f"{kind}: {words[0]} ({self.verdict.counts[kind]} in all)" for kind, words in self.verdict.words.items()
        ]
        for one in self.restarts:
            if one.exit_code != 0:
                found.append(f"{one.edge} ended with {one.exit_code}")
            if one.told_per_s > CROWD * one.even_per_s:
                found.append(f"{one.edge} planned {one.told_per_s:.0f}/s, even would be {one.even_per_s:.0f}/s")
        return found

    @property
    def crowds(self) -> list[str]:
        """Restarts after which more clients came back in one second than allowed; the machine's own delays count."""
        return [
            f"{one.edge}: {one.came_per_s:.0f} reconnects in one second, {CROWD:g} × {one.even_per_s:.0f} are allowed"
            for one in self.restarts
            if one.window_s >= 1.0 and one.came_per_s > CROWD * one.even_per_s
        ]


def busiest(moments: Sequence[float], stretch_s: float) -> float:
    """The highest rate per second in any stretch of that length."""
    ordered = sorted(moments)
    most = max((bisect_left(ordered, at + stretch_s) - index for index, at in enumerate(ordered)), default=0)
    return most / stretch_s if stretch_s else 0.0


async def roll(clients: int, tell: Tell = lambda _: None, window_s: float = DRAIN_WINDOW_S) -> Rolled:
    """Restart each edge in turn under that many clients. Raises StackError, TimeoutError."""
    rolled = Rolled()
    async with open_world(_options(window_s)) as world, Crowd(world, clients) as crowd:
        tell(f"connecting {clients} clients")
        await crowd.settle_in()
        # Thousands of clients are millions of objects: a collection of them all would stop the clock for everybody.
        gc.freeze()
        async with asyncio.TaskGroup() as group:
            talking = group.create_task(crowd.talk())
            for edge in EDGES:
                tell(f"restarting {edge}")
                rolled.restarts.append(await _restart(world, crowd, edge))
            crowd.hush()
            await talking
        tell("catching up")
        await crowd.all_caught_up()
        tell("looking")
        streams = [f"conversation:{chat_id}" for chat_id in crowd.members]
        evidence = Evidence(
            devices=crowd.devices,
            record=await world.record(streams),
            sent=frozenset(crowd.sent),
            accepted=crowd.accepted,
            unanswered=sorted(crowd.sent - {one.content for one in crowd.accepted}),
            refused=[str(member.error) for member in crowd.clients if member.error is not None],
            pushes=await world.pushes(crowd.users),
            provider_pushes=Counter(),
            heals=(),
            ack_timeout_s=ACK_TIMEOUT_S,
            pushes_may_repeat=False,
        )
        # The events of the users' own streams are not asked for: nobody joins or leaves.
        for seen in crowd.devices:
            seen.shown = [shown for shown in seen.shown if shown.stream.startswith("conversation:")]
        rolled.verdict = check(evidence)
    return rolled


async def _restart(world: World, crowd: Crowd, edge: str) -> Restarted:
    part = world.stack.part(edge)
    log = world.stack.data_dir / "logs" / f"{edge}.log"
    read = log.stat().st_size
    crowd.watch()
    await part.terminate()
    exit_code = part.exit_code
    await crowd.all_connected()
    drain = _draining(log.read_bytes()[read:].decode("utf-8", "replace"))
    told, came = list(crowd.told), list(crowd.came)
    await part.start()
    return Restarted(edge, int(drain["connections"]), float(drain["window_s"]), exit_code, told, came)


def _draining(log: str) -> dict[str, Any]:
    """The line with which an edge says how many sockets it sends away, and over how long."""
    for line in log.splitlines():
        _, brace, rest = line.partition("{")
        with contextlib.suppress(ValueError):
            entry: dict[str, Any] = json.loads(brace + rest)
            if entry.get("event") == "draining":
                return entry
    raise StackError("the edge did not say that it drains")


def _options(window_s: float) -> StackOptions:
    quick = {"NATTER_DRAIN_WINDOW_S": f"{window_s:g}", "DELIVERY_ACK_TIMEOUT": f"{ACK_TIMEOUT_S:g}"}
    return StackOptions(
        edges=len(EDGES), split_chat_api=True, env={"*": quick}, log_format="json", stop_grace_s=window_s + 20
    )


def possible(clients: int) -> int:
    """As many clients as the files that one process may open allow, at most `clients`."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(clients, (hard if hard != resource.RLIM_INFINITY else 1 << 20) // _FILES_PER_CLIENT)


def table(rolled: Rolled) -> Table:
    """One line per edge."""
    drawn = Table(box=SIMPLE)
    for column in ("edge", "clients", "window", "even", "planned peak", "measured peak", "allowed", "exit"):
        drawn.add_column(column, justify="left" if column == "edge" else "right")
    for one in rolled.restarts:
        rates = (one.even_per_s, one.told_per_s, one.came_per_s, CROWD * one.even_per_s)
        drawn.add_row(
            one.edge,
            str(one.clients),
            f"{one.window_s:.1f} s",
            *(f"{rate:.0f}/s" for rate in rates),
            str(one.exit_code),
        )
    return drawn


def main() -> int:
    """Exit 0: nothing lost, no crowd, every edge ended with 0; 1: something else; 2: there was no stack."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.rolling", description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=3000, help="default: %(default)s")
    parser.add_argument(
        "--window", type=float, default=LARGE_WINDOW_S, help="NATTER_DRAIN_WINDOW_S, seconds; default: %(default)s"
    )
    arguments = parser.parse_args()
    wanted = arguments.clients
    clients = possible(wanted)
    logging.getLogger("natter_client").addHandler(logging.NullHandler())
    console = Console(width=None if sys.stdout.isatty() else 130)
    if clients < wanted:
        console.print(f"this process may open files for {clients} clients only")
    try:
        rolled = uvloop.run(roll(clients, lambda words: console.print(f"[cyan]•[/cyan] {words}"), arguments.window))
    except (StackError, TimeoutError) as failed:
        Console(stderr=True).print(f"error: {failed!r}")
        return 2
    console.print(table(rolled))
    problems = rolled.problems + rolled.crowds
    for problem in problems:
        console.print(f"[red]✗[/red] {problem}", soft_wrap=True)
    devices = f"{clients} clients, {rolled.verdict.messages} messages"
    console.print(f"{devices}: {'nothing lost, nobody crowded' if not problems else 'something is wrong'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
