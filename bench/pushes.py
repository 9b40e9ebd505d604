"""`python -m bench.pushes`: how soon and how many pushes leave, and what a backlog costs.

Three figures of one notifier with the provider `stub`, everything else real:

- latency: milliseconds from the answer to the sender (accepted: committed in Postgres) to the provider, for a user who
  is away, with a grace of 0;
- room: one important message to a room in which everybody is away and has a device: pushes per second;
- backlog: so many rounds of that while the notifier is down, then it starts: how long it takes, and its memory.

Driver, services, NATS and Postgres share the machine. One line is added to bench/results.ndjson.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.progress import track

from bench.circumstances import RESULTS, circumstances
from bench.demo.stats import Summary, summary
from contracts.ids import new_id
from stack import Stack, StackOptions

SETTLE_TIMEOUT_S = 900.0
POLL_S = 0.25
AT_ONCE = 16


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.pushes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=300, help="for the latency, default: %(default)s")
    parser.add_argument("--rate", type=float, default=20.0, help="of these, per second, default: %(default)s")
    parser.add_argument("--members", type=int, default=5_000, help="of the room, default: %(default)s")
    parser.add_argument("--rounds", type=int, default=20, help="messages of the backlog, default: %(default)s")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="where to add the line; default: beside this file"
    )
    parser.add_argument("--note", default="", help="a word on the circumstances, kept in the line")
    return parser.parse_args(argv)


class Bench:
    """One stack, and what its provider took."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient, log: Path, console: Console) -> None:
        self._stack = stack
        self._http = http
        self._log = log
        self._console = console
        self._free = asyncio.Semaphore(AT_ONCE)

    async def call(self, method: str, path: str, who: str | None, body: dict[str, Any]) -> Any:
        """A request of a user, or of a service."""
        token = self._stack.token(who or "bench", roles=["customer" if who else "service"])
        async with self._free:
            answer = await self._http.request(
                method, self._stack.api_url + path, json=body, headers={"Authorization": f"Bearer {token}"}
            )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def person(self, name: str) -> str:
        """A user with a device that the stub pushes to."""
        await self.call("POST", "/v1/users", None, {"user_id": name, "roles": ["customer"]})
        body = {"device_id": "phone", "platform": "other", "push_service": "stub", "token": f"phone-of-{name}"}
        await self.call("POST", "/v1/devices", name, body)
        return name

    async def room(self, members: int) -> tuple[str, str]:
        """A conversation of so many; returns it and its owner."""
        run = new_id()[-8:]
        owner = await self.person(f"owner-{run}")
        people = []
        for start in track(range(0, members, 100), "people and their devices", console=self._console):
            count = min(100, members - start)
            people += await asyncio.gather(*(self.person(f"member-{run}-{start + n}") for n in range(count)))
        c = (await self.call("POST", "/v1/conversations", owner, {}))["id"]
        for start in range(0, members, 1000):
            body = {"user_ids": people[start : start + 1000]}
            await self.call("POST", f"/v1/conversations/{c}/participants", None, body)
        # Everybody's coming is told to everybody: for a large room, minutes that are not what is measured here.
        with self._console.status("fan-out tells of who has come"):
            async with asyncio.timeout(SETTLE_TIMEOUT_S):
                while await self._behind():  # noqa: ASYNC110 - another process tells
                    await asyncio.sleep(POLL_S)
        return c, owner

    async def _behind(self) -> float:
        """Events that were relayed and are not fanned out yet."""
        text = (await self._http.get(self._stack.api_url + "/metrics")).text
        found = dict(
            re.findall(r"^(natter_relay_published_total|natter_fanout_events_total) (\S+)$", text, re.MULTILINE)
        )
        return float(found["natter_relay_published_total"]) - float(found["natter_fanout_events_total"])

    async def say(self, c: str, who: str, *, important: bool = False) -> str:
        """A message; its id."""
        body = {"client_msg_id": new_id(), "content": "Is Friday at ten still free?", "is_important": important}
        return str((await self.call("POST", f"/v1/conversations/{c}/messages", who, body))["id"])

    def taken(self) -> list[tuple[str, float]]:
        """What the provider took: message and moment."""
        if not self._log.exists():
            return []
        lines = (json.loads(line) for line in self._log.read_text().splitlines())
        return [(line["message_id"], datetime.fromisoformat(line["at"]).timestamp()) for line in lines]

    async def until_taken(self, count: int) -> list[tuple[str, float]]:
        """What was taken since the log was emptied, once it is so much."""
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            while len(found := self.taken()) < count:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(POLL_S)
        return found

    def forget(self) -> None:
        """Empty the log."""
        self._log.write_text("")

    async def latency(self, messages: int, rate: float) -> Summary:
        """Accepted → handed to the provider."""
        c, owner = await self.room(1)
        for _ in range(20):
            await self.say(c, owner)
        await self.until_taken(20)
        self.forget()
        accepted: dict[str, float] = {}
        began = time.monotonic()
        for number in track(range(messages), "latency", console=self._console):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            accepted[await self.say(c, owner)] = time.time()
        taken = dict(await self.until_taken(messages))
        found = summary(max(0.0, taken[message] - at) for message, at in accepted.items())
        assert found is not None
        return found

    async def burst(self, c: str, owner: str, members: int) -> dict[str, float]:
        """One important message to a room in which nobody is there."""
        self.forget()
        began = time.time()
        await self.say(c, owner, important=True)
        taken = [at for _, at in await self.until_taken(members)]
        return {
            "pushes": len(taken),
            "first_s": round(min(taken) - began, 3),
            "last_s": round(max(taken) - began, 3),
            "per_s": round(len(taken) / max(0.001, max(taken) - min(taken)), 1),
        }

    async def backlog(self, c: str, owner: str, members: int, rounds: int) -> dict[str, float]:
        """The same again and again while the notifier is down; then it comes back."""
        self.forget()
        notifier = self._stack.part("notifier")
        await notifier.kill()
        for _ in range(rounds):
            await self.say(c, owner, important=True)
        await notifier.start()
        began = time.monotonic()
        memory: list[float] = []
        count = members * rounds
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            while (done := self._lines()) < count:
                self._console.print(f"  {done:,} of {count:,}", end="\r")
                if notifier.pid is not None:
                    memory.append(psutil.Process(notifier.pid).memory_info().rss / 2**20)
                await asyncio.sleep(1.0)
        took = time.monotonic() - began
        middle = memory[len(memory) // 4 :] or [0.0]
        return {
            "pushes": count,
            "seconds": round(took, 1),
            "per_s": round(count / took, 1),
            "rss_mib_after_a_quarter": round(middle[0], 1),
            "rss_mib_max": round(max(middle), 1),
            "rss_mib_end": round(middle[-1], 1),
        }

    def _lines(self) -> int:
        with self._log.open("rb") as log:
            return sum(piece.count(b"\n") for piece in iter(lambda: log.read(1 << 20), b""))


async def measure(options: argparse.Namespace, console: Console) -> dict[str, object]:
    """Every figure, on one stack."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "pushes.ndjson"
        quiet = {"NATTER_LOG_LEVEL": "WARNING", "NATTER_PARTICIPANTS_MAX": "100000"}
        notifier = {"NOTIFICATION_PROVIDER": "stub", "NATTER_STUB_LOG": str(log), "NATTER_PUSH_GRACE_OFFLINE_S": "0"}
        stack = StackOptions(edges=1, env={"*": quiet, "notifier": notifier})
        async with Stack(stack) as running, httpx.AsyncClient(timeout=60) as http:
            bench = Bench(running, http, log, console)
            latency = await bench.latency(options.messages, options.rate)
            console.print(f"latency: p50 {latency.p50_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms")
            c, owner = await bench.room(options.members)
            room = await bench.burst(c, owner, options.members)
            console.print(f"room: {room}")
            backlog = await bench.backlog(c, owner, options.members, options.rounds)
            console.print(f"backlog: {backlog}")
    return {"accepted_to_provider": asdict(latency), "room": room, "backlog": backlog}


def main() -> int:
    """Measure, print and add a line."""
    options = arguments()
    console = Console(stderr=True)
    line = circumstances("pushes", options.note) | asyncio.run(measure(options, console))
    with options.results.open("a", encoding="utf-8") as results:
        results.write(json.dumps(line) + "\n")
    sys.stdout.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
