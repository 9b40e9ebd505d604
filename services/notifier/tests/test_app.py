"""The whole process, started as production starts it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from nats.aio.client import Client
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.codec import encode
from contracts.pushes import PushState
from notifier.deliveries import about
from notifier.settings import NotifierSettings
from notifier.store import Incoming, Store
from stack.ports import free_port

from .support import Bench, Record, Servers, envelope, message, offline, publish, until


@dataclass
class Running:
    """A notifier process and what it has printed."""

    process: asyncio.subprocess.Process
    url: str
    lines: list[str] = field(default_factory=list)

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """Status and body of `/healthz/ready`; (0, {}) while nobody listens."""
        async with httpx.AsyncClient(timeout=1.0) as client:
            try:
                answer = await client.get(f"{self.url}/healthz/ready")
            except httpx.TransportError:
                return 0, {}
        return answer.status_code, answer.json()

    async def is_ready(self) -> bool:
        return (await self.ready())[0] == 200


@asynccontextmanager
async def notifier(
    settings: NotifierSettings, *, read_output: bool = True, changes: dict[str, str] | None = None
) -> AsyncIterator[Running]:
    """`python -m notifier`, killed at the end if it still runs."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("NATTER_")},
        "NATTER_PORT": str(port),
        "NATTER_NATS_URL": settings.nats_url,
        "NATTER_NATS_USER": settings.nats_user,
        "NATTER_NATS_PASSWORD": settings.nats_password.get_secret_value(),
        "NATTER_DATABASE_URL": settings.database_url,
        "NATTER_DATABASE_PASSWORD": settings.database_password.get_secret_value(),
        "NATTER_JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "NATTER_PUSH_GRACE_OFFLINE_S": "0",
        **(changes or {}),
    }
    read_end, write_end = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier", env=environment, stdout=write_end, stderr=write_end
    )
    os.close(write_end)
    running = Running(process, f"http://127.0.0.1:{port}")

    def read() -> None:
        with open(read_end, encoding="utf-8", errors="replace") as output:
            for line in output:
                running.lines.append(line)

    reading = asyncio.create_task(asyncio.to_thread(read)) if read_output else None
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await (reading or asyncio.to_thread(read))


async def test_offline_becomes_a_printed_push_and_sigterm_ends_with_zero(
    settings: NotifierSettings, observer: Client, store: Store, record: Record
) -> None:
    """The whole way: from NATS to the readable block on standard output, to a record, to a clean end."""
    async with notifier(settings) as running:
        await until(running.is_ready)
        await publish(observer, offline(event=envelope(message(content="早上好", is_important=True))))
        await until(lambda: any("│ content   早上好" in line for line in running.lines))
        assert "│ priority  high\n" in running.lines

        async def sent() -> bool:
            return [row.state for row in await store.pushes()] == [PushState.SENT]

        await until(sent)
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await running.process.wait() == 0
    assert any("stopped" in line for line in running.lines)
    assert not any("Traceback" in line for line in running.lines)


@pytest.mark.parametrize("part", ["nats", "postgres"])
async def test_a_server_that_is_away_at_the_start_is_waited_for(
    servers: Servers, settings: NotifierSettings, part: str
) -> None:
    """The process lives, says what is missing, is ready when it comes, and can be stopped meanwhile."""
    await servers.part(part, "kill")
    try:
        async with notifier(settings) as running, notifier(settings) as other:

            async def says_so(which: Running) -> bool:
                status, body = await which.ready()
                return status == 503 and set(body["missing"]) == {part}

            await until(lambda: says_so(running))
            await until(lambda: says_so(other))
            other.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert await other.process.wait() == 0
            await servers.part(part, "start")
            await until(running.is_ready)
    finally:
        await servers.part(part, "start")


async def test_missing_tables_are_said_and_waited_for(settings: NotifierSettings, engine: AsyncEngine) -> None:
    """Started before the migration, the process says which command is missing."""
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA notifier CASCADE"))
    async with notifier(settings) as running:

        async def told() -> bool:
            return "notifier migrate" in str(await running.ready())

        await until(told)


async def test_killed_with_pushes_in_hand_another_process_sends_them(
    settings: NotifierSettings, engine: AsyncEngine, store: Store, benches: Callable[..., Bench]
) -> None:
    """kill -9 in the middle of a claim: when the lease has run out, the rest is sent by whoever is left."""
    users = [f"user{number}" for number in range(10)]
    # All of them are there before it starts, so that its first claim takes them all. Nobody reads its output, so it
    # stops in the middle of a push as soon as the pipe is full: two or three of these fit.
    taken = [offline(user, envelope(message(content="长" * 10_000))) for user in users]
    await store.take_in([Incoming(each, encode(each).decode()) for each in taken], [])
    changes = {"NATTER_LEASE_S": "2", "NATTER_PUSH_TIMEOUT_S": "1"}
    async with notifier(settings, read_output=False, changes=changes) as doomed:

        async def claimed() -> bool:
            async with engine.connect() as connection:
                held = "SELECT count(*) FROM notifier.deliveries WHERE lease_token IS NOT NULL"
                return bool(await connection.scalar(text(held)) == len(users))

        await until(claimed)
        doomed.process.kill()
        await doomed.process.wait()
    recorded = {row.user_id for row in await store.pushes() if row.state is PushState.SENT}
    assert len(recorded) < len(users), "it was killed too late to prove anything"
    survivor = benches()
    async with survivor.running("dispatch"):

        async def all_sent() -> bool:
            return {row.state for row in await store.pushes()} == {PushState.SENT}

        await until(all_sent)
    assert sorted(push.user_id for push in survivor.provider.sent) == sorted(set(users) - recorded)


async def test_killed_between_sending_and_writing_down_each_push_leaves_at_most_once_more(
    settings: NotifierSettings, store: Store, record: Record, tmp_path: Path
) -> None:
    """kill -9 while pushes stream out: afterwards nobody is without a push, and one that left twice had the same id."""
    users = [f"user{number}" for number in range(400)]
    taken = [offline(user, envelope(message())) for user in users]
    await store.take_in([Incoming(each, encode(each).decode(), about(each.event.event())) for each in taken], [])
    log = tmp_path / "pushes.ndjson"
    changes = {
        "NOTIFICATION_PROVIDER": "stub",
        "NATTER_STUB_LOG": str(log),
        "NATTER_LEASE_S": "2",
        "NATTER_PUSH_TIMEOUT_S": "1",
    }

    def sent() -> list[tuple[str, str]]:
        lines = log.read_text().splitlines() if log.exists() else []
        return [(said["user_id"], said["push_id"]) for said in map(json.loads, lines)]

    async with notifier(settings, changes=changes) as doomed:
        await until(lambda: log.exists() and log.stat().st_size > 0)
        doomed.process.kill()
        await doomed.process.wait()
    before = sent()
    assert 0 < len(before) < len(users), "it was killed too late to prove anything"
    async with notifier(settings, changes=changes):

        async def all_sent() -> bool:
            return (await store.counts())[PushState.SENT] == len(users)

        await until(all_sent)
    after = sent()
    assert {user for user, _ in after} == set(users)
    assert len({push_id for _, push_id in after}) == len(users), "sent again it has the id that it had"
    assert max(Counter(after).values()) <= 2
    assert await store.untrue(3600) == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"NOTIFICATION_PROVIDER": "pigeon"}, "there is no provider"),
        ({"NOTIFICATION_PROVIDER": "firebase"}, "FIREBASE_CREDENTIALS_PATH"),
        ({"NATTER_JWT_SECRET": "short"}, "at least 32 bytes"),
        ({"NATTER_ENV": "production", "NATTER_JWT_SECRET": "natter-development-secret-not-for-production"}, "your own"),
    ],
)
async def test_a_wrong_configuration_ends_at_once_with_two(
    settings: NotifierSettings, changes: dict[str, str], says: str
) -> None:
    """What is wrong is one line for a person, not a traceback."""
    async with notifier(settings, changes=changes) as running:
        async with asyncio.timeout(20):
            assert await running.process.wait() == 2
    text_ = "".join(running.lines)
    assert says in text_
    assert "Traceback" not in text_
