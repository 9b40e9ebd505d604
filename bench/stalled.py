"""`python -m bench.stalled`: what 1,000 healthy sockets notice of one that does not read, on one edge.

Plays one large conversation: each message is published once for each of its users, as fan-out does, with a receipt
asked for. What it counts: milliseconds from just before a publish until that user's frame is read from its socket.
Rounds alternate: in one kind the extra socket reads like all others, in the other kind it reads nothing, after its
buffer was filled nearly up to the cap. A trickle of large frames for it, the same in both, overflows it now and then:
it is closed with 4408, comes back, and stalls again. Reported: p99 of the healthy sockets beside it divided by p99
without it, and by how much the edge's memory grew at most since before the first one stalled. NATS and one edge share
the machine with the sockets, which have a process of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nats
import psutil
from nats.aio.client import Client

from bench.circumstances import RESULTS, circumstances
from bench.demo.stats import Summary, percentile, summary
from bench.stalled_clients import MARK
from contracts import subjects
from contracts.delivery import DELIVERY_HEADER, Durable, delivery_header
from contracts.ids import new_id
from stack import Backend, Stack, StackOptions

FILLER_BYTES = 60_000
PREFILLED = 0.9
"""Part of the cap that is filled before a round with a stalled socket."""
TRICKLE_EVERY_S = 0.1
BODY_BYTES = 300
READY_TIMEOUT_S = 60.0
EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Round:
    """One round's figures."""

    stalled: bool
    ages_s: list[float]
    expected: int
    highest_rss_bytes: int
    slow_closes: int

    @property
    def p99_ms(self) -> float:
        """Of the healthy sockets."""
        return percentile(sorted(self.ages_s), 99) * 1000


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.stalled", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sockets", type=int, default=1000, help="healthy ones, default: %(default)s")
    parser.add_argument("--rate", type=float, default=4.0, help="messages per second, default: %(default)s")
    parser.add_argument("--seconds", type=float, default=10.0, help="per round, default: %(default)s")
    parser.add_argument("--rounds", type=int, default=6, help="of each kind, default: %(default)s")
    parser.add_argument("--cap-mib", type=int, default=16, help="send buffer per socket, default: %(default)s")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="where to add the line; default: beside this file"
    )
    parser.add_argument("--note", default="", help="a word on the circumstances, kept in the line")
    return parser.parse_args(argv)


class Crowd:
    """The process that holds the sockets."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def say(self, line: str) -> dict[str, Any]:
        """One line there, one answer back."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(READY_TIMEOUT_S):
            answer = await self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the process of the sockets has ended")
        return dict(json.loads(answer))


class Scene:
    """One edge, its sockets, and who publishes."""

    def __init__(self, options: argparse.Namespace, stack: Stack, publisher: Client, crowd: Crowd) -> None:
        self._options, self._stack, self._publisher, self._crowd = options, stack, publisher, crowd
        part = stack.part("edge-1")
        self._address = (part.host, part.port)
        assert part.pid is not None
        self._edge = psutil.Process(part.pid)
        self._users = [user(number) for number in range(options.sockets)]
        self._cap_bytes = options.cap_mib * 2**20
        self._seq = 0
        self._filler_seq = 0
        self._highest_rss = 0

    async def round(self, *, stalled: bool, seconds: float) -> Round:
        """One round: the extra socket comes, is filled, and then the conversation goes on beside it."""
        closes = await self._slow_closes()
        await self._crowd.say("healthy")
        self._highest_rss = self._edge.memory_info().rss
        if stalled:
            await self._crowd.say("stalled")
            await self._fill(int(self._cap_bytes * PREFILLED) // FILLER_BYTES)
        await self._crowd.say("collect")
        messages = await self._converse(seconds, stalled)
        expected = messages * len(self._users)
        ages: list[int] = []
        give_up = time.monotonic() + READY_TIMEOUT_S
        while len(ages) < expected and time.monotonic() < give_up:
            await asyncio.sleep(0.1)
            ages += (await self._crowd.say("collect"))["ages_ns"]
        closed = await self._slow_closes() - closes
        return Round(stalled, [age / 1e9 for age in ages], expected, self._highest_rss, closed)

    async def _converse(self, seconds: float, stalled: bool) -> int:
        """Publish at a steady rate; returns how many messages there were."""
        inbox, messages = new_id(), 0
        body = b'"body":"' + b"x" * BODY_BYTES + b'"}'
        start = time.monotonic()
        trickled, looked = start, start
        closes = await self._slow_closes()
        while (now := time.monotonic()) < start + seconds:
            if now >= start + messages / self._options.rate:
                messages += 1
                self._seq += 1
                headers = {DELIVERY_HEADER: delivery_header(Durable("conversation:bench", self._seq))}
                for ticket, name in enumerate((*self._users, EXTRA)):
                    payload = MARK + b"%d," % time.monotonic_ns() + body
                    reply = subjects.receipt(inbox, ticket)
                    await self._publisher.publish(subjects.user(name), payload, reply=reply, headers=headers)
            if now >= trickled + TRICKLE_EVERY_S:
                trickled = now
                await self._fill(1)
            if stalled and now >= looked + 0.5:
                looked = now
                if (seen := await self._slow_closes()) > closes:
                    closes = seen
                    await self._crowd.say("stalled")
            self._highest_rss = max(self._highest_rss, self._edge.memory_info().rss)
            await asyncio.sleep(0.01)
        await self._publisher.flush()
        return messages

    async def _fill(self, frames: int) -> None:
        payload = b'{"filler":"' + b"x" * FILLER_BYTES + b'"}'
        for number in range(frames):
            self._filler_seq += 1
            headers = {DELIVERY_HEADER: delivery_header(Durable("user:filler", self._filler_seq))}
            await self._publisher.publish(subjects.user(EXTRA), payload, headers=headers)
            if number % 20 == 19:
                await self._publisher.flush()
                self._highest_rss = max(self._highest_rss, self._edge.memory_info().rss)
        await self._publisher.flush()

    async def _slow_closes(self) -> int:
        reader, writer = await asyncio.open_connection(*self._address)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        return int(float(text.partition("\nnatter_edge_slow_closes_total ")[2].split()[0]))


def user(number: int) -> str:
    """Name of one of the healthy users."""
    return f"user-{number}"


@contextlib.asynccontextmanager
async def scene(options: argparse.Namespace) -> AsyncIterator[Scene]:
    """NATS, one edge and all sockets, until the end of the block."""
    cap = {
        "NATTER_SEND_BUFFER_BYTES_MAX": str(options.cap_mib * 2**20),
        "NATTER_SEND_BUFFER_FRAMES_MAX": "1000000",
        # A stalled socket owes a pong; here only its buffer may end it.
        "WS_CONNECTION_TIMEOUT": "3600000",
        "NATTER_LOG_LEVEL": "WARNING",
    }
    stack_options = StackOptions(
        backend=Backend.EMBEDDED,
        postgres=False,
        chat_api=False,
        notifier=False,
        migrate=False,
        edges=1,
        env={"edge-1": cap},
    )
    async with Stack(stack_options) as stack:
        password = stack.nats_password("observer")
        publisher = await nats.connect(stack.nats_url, user="observer", password=password, connect_timeout=5)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.stalled_clients",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 26,
        )
        try:
            crowd = Crowd(process)
            tokens = [stack.token(user(number)) for number in range(options.sockets)]
            setup = {"port": stack.part("edge-1").port, "tokens": tokens, "extra": stack.token(EXTRA)}
            await crowd.say(json.dumps(setup))
            yield Scene(options, stack, publisher, crowd)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await publisher.close()


async def measure(options: argparse.Namespace) -> tuple[int, list[Round]]:
    """The edge's memory in bytes before anything stalled, and every round, after one of each kind to warm up."""
    rounds: list[Round] = []
    async with scene(options) as stage:
        warm_up_s = min(3.0, options.seconds)
        before = (await stage.round(stalled=False, seconds=warm_up_s)).highest_rss_bytes
        await stage.round(stalled=True, seconds=warm_up_s)
        for number in range(options.rounds):
            # Which kind comes first alternates, too: what drifts during the run favours neither.
            for stalled in ((False, True), (True, False))[number % 2]:
                found = await stage.round(stalled=stalled, seconds=options.seconds)
                rounds.append(found)
                kind = "beside a stalled socket" if stalled else "all reading"
                print(f"round {number + 1}, {kind}: p99 {found.p99_ms:.1f} ms, {found.slow_closes} closed 4408")
    return before, rounds


def result(options: argparse.Namespace, rss_before: int, rounds: list[Round]) -> dict[str, object]:
    """What is kept of a run."""
    without = [one for one in rounds if not one.stalled]
    beside = [one for one in rounds if one.stalled]
    ratios = [b.p99_ms / a.p99_ms for a, b in zip(without, beside, strict=True)]
    return {
        **circumstances("stalled", options.note),
        "load": {"sockets": options.sockets, "rate": options.rate, "seconds": options.seconds},
        "all_reading": asdict(pooled(without)),
        "beside_stalled": asdict(pooled(beside)),
        "p99_ratio": round(pooled(beside).p99_ms / pooled(without).p99_ms, 3),
        "p99_ratio_of_pairs": [round(ratio, 3) for ratio in sorted(ratios)],
        "p99_ms_of_rounds": {
            "all_reading": [round(one.p99_ms, 2) for one in without],
            "beside_stalled": [round(one.p99_ms, 2) for one in beside],
        },
        "missing_frames": sum(one.expected - len(one.ages_s) for one in rounds),
        "closed_4408": sum(one.slow_closes for one in rounds),
        "cap_mib": options.cap_mib,
        "rss_grew_mib": round((max(one.highest_rss_bytes for one in beside) - rss_before) / 2**20, 1),
    }


def pooled(rounds: list[Round]) -> Summary:
    """The distribution over all rounds of one kind."""
    found = summary(age for one in rounds for age in one.ages_s)
    if found is None:
        raise RuntimeError("not a single frame arrived")
    return found


def main(argv: list[str] | None = None) -> int:
    """0 if every frame arrived at the healthy sockets."""
    options = arguments(argv)
    kept = result(options, *asyncio.run(measure(options)))
    line = json.dumps(kept)
    with options.results.open("a", encoding="utf-8") as results:
        results.write(line + "\n")
    print(line)
    return 0 if kept["missing_frames"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
