"""The stack that the runs are played on, and everything that looks at it or damages it from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import nats
from nats.aio.client import Client
from nats.js.api import DiscardPolicy

from contracts.streams import ALL_STREAMS
from kit.bus import ensure_stream
from natter_client.asking import ask
from stack import Stack, StackError, StackOptions
from stack.services import http_status

from .doors import Doors
from .evidence import PushRow, Recorded
from .kinds import EDGES, FANOUTS, LINKS, SERVICES

ACK_TIMEOUT_S = 2.0
SYNC_INTERVAL_S = 3.0
HEALTHY_WITHIN_S = 45.0
_ASK_TIMEOUT_S = 5.0

QUICK = {
    # As in production, only faster: what takes minutes there takes seconds here.
    "DELIVERY_ACK_TIMEOUT": f"{ACK_TIMEOUT_S:g}",
    "NATTER_IMPORTANT_MOBILE_WAIT_S": "0.5",
    "NATTER_PUSH_GRACE_OFFLINE_S": "0",
    "NATTER_FANOUT_PARTITIONS": "4",
    "NATTER_FANOUT_LEASE_S": "3",
    "NATTER_FANOUT_SETTLE_S": "1",
    "NATTER_RELAY_POLL_S": "0.25",
    "NATTER_RELAY_PUBLISH_TIMEOUT_S": "2",
    "NATTER_DATABASE_TIMEOUT_S": "3",
    "NATTER_COMMAND_TIMEOUT_S": "2",
    "WS_HEARTBEAT_INTERVAL": "2000",
    "WS_CONNECTION_TIMEOUT": "1500",
    "NATTER_SYNC_INTERVAL_MS": f"{SYNC_INTERVAL_S * 1000:.0f}",
    "NATTER_CANARY_INTERVAL_S": "0.5",
    "NATTER_CANARY_DEAF_AFTER_S": "1.5",
    "NATTER_DRAIN_WINDOW_S": "1",
    "NATTER_INBOX_ACK_WAIT_S": "5",
    "NATTER_POLL_INTERVAL_S": "0.25",
    "NATTER_PUSH_TIMEOUT_S": "1",
    # Shorter than many an outage of Postgres here: what went out meanwhile must be remembered, not sent again.
    "NATTER_LEASE_S": "3",
    "NATTER_RETRY_BASE_S": "0.2",
    "NATTER_RETRY_CAP_S": "2",
}


def stack_options(data_dir: Path | None = None) -> StackOptions:
    """Three edges, chat-api in its roles, two fan-outs, and a fault proxy on every connection to a server."""
    return StackOptions(
        data_dir=data_dir,
        edges=len(EDGES),
        split_chat_api=True,
        fanouts=len(FANOUTS),
        links=LINKS,
        env={"*": QUICK},
        log_format="json",
    )


@dataclass
class World:
    """One running stack."""

    stack: Stack
    doors: Doors
    http: httpx.AsyncClient
    observer: Client
    jumps: dict[str, float] = field(default_factory=dict)
    """By device: by how many seconds its wall clock is wrong."""
    notifier_log_read: int = 0
    """Bytes of the notifier's log that belong to earlier runs."""

    def wall(self, device: str) -> float:
        """What that device's clock says."""
        return time.time() + self.jumps.get(device, 0.0)

    async def as_service(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Ask the API as the host application, past all faults between clients and the API, until it answers.

        Raises TimeoutError if it has not after a while.
        """
        headers = {"Authorization": f"Bearer {self.stack.token('chaos', roles=['service'])}"}
        async with asyncio.timeout(HEALTHY_WITHIN_S):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    url = self.stack.api_url + path
                    response = await ask(self.http, method, url, json=body, headers=headers, timeout=_ASK_TIMEOUT_S)
                    if response.status_code < 500 and response.status_code != 429:
                        return response
                await asyncio.sleep(0.1)

    # --- damage and repair --------------------------------------------------------------------------------------------

    async def fill_streams(self, room_bytes: int) -> None:
        """Let both streams refuse everything that does not fit into so many more bytes."""
        jetstream = self.observer.jetstream()
        for definition in ALL_STREAMS:
            info = await jetstream.stream_info(definition.name)
            info.config.max_bytes = info.state.bytes + room_bytes
            info.config.discard = DiscardPolicy.NEW
            await jetstream.update_stream(info.config)

    async def empty_disk(self) -> None:
        """Give the streams the room that they should have."""
        for definition in ALL_STREAMS:
            await ensure_stream(self.observer.jetstream(), definition)

    def heal_connections(self) -> None:
        """Nothing is wrong with any connection, nor with any clock."""
        self.jumps.clear()
        self.doors.heal()
        for link in LINKS:
            self.stack.link(*link).heal()

    async def until_healthy(self) -> None:
        """Wait until every service says that it is ready. Raises StackError if one does not, naming it."""
        give_up = time.monotonic() + HEALTHY_WITHIN_S
        waiting = set(SERVICES)
        while waiting:
            for name in sorted(waiting):
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(2):
                        if await http_status(self.stack.part(name).port, "/healthz/ready") == 200:
                            waiting.discard(name)
            if waiting and time.monotonic() > give_up:
                raise StackError(f"not ready {HEALTHY_WITHIN_S:g} s after the heal: {', '.join(sorted(waiting))}")
            await asyncio.sleep(0.05)

    # --- what happened ------------------------------------------------------------------------------------------------

    async def record(self, streams: Iterable[str]) -> list[Recorded]:
        """The events of these streams."""
        rows = await self._sql(
            "SELECT event_id::text, stream, seq, type, extract(epoch FROM recorded_at)::float8 AS at, data::text"
            " FROM events WHERE stream = ANY($1::text[])",
            list(streams),
        )
        return [
            Recorded(row["event_id"], row["stream"], row["seq"], row["type"], row["at"], json.loads(row["data"]))
            for row in rows
        ]

    async def pushes(self, user_ids: Iterable[str]) -> list[PushRow]:
        """The notifier's ledger of these users."""
        rows = await self._sql(
            "SELECT event_id::text, user_id, state, reason, extract(epoch FROM decided_at)::float8 AS at, skip_reason"
            " FROM notifier.deliveries WHERE user_id = ANY($1::text[]) ORDER BY id",
            list(user_ids),
        )
        return [
            PushRow(row["event_id"], row["user_id"], row["state"], row["reason"], row["at"], row["skip_reason"])
            for row in rows
        ]

    def provider_pushes(self) -> Counter[tuple[str, str]]:
        """How often the provider was given what, by text and user, since `begin_log`."""
        given: Counter[tuple[str, str]] = Counter()
        with (self.stack.data_dir / "logs" / "notifier.log").open("rb") as log:
            log.seek(self.notifier_log_read)
            for line in log:
                # The log pump may put a time or a name before the service's own line.
                _, brace, rest = line.partition(b"{")
                with contextlib.suppress(ValueError):
                    entry = json.loads(brace + rest)
                    if entry.get("event") == "push":
                        given[entry["content"], entry["user"]] += 1
        return given

    def begin_log(self) -> None:
        """Count the provider's pushes from here."""
        self.notifier_log_read = (self.stack.data_dir / "logs" / "notifier.log").stat().st_size

    async def _sql(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        # A connection of its own each time: the one before may have died with its Postgres.
        connection = await asyncpg.connect(
            self.stack.database_url, password=self.stack.database_password, timeout=10, command_timeout=30
        )
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()


@asynccontextmanager
async def open_world(options: StackOptions | None = None) -> AsyncIterator[World]:
    """Start a stack and everything around it; stops it at the end. Raises StackError."""
    async with contextlib.AsyncExitStack() as opened:
        stack = await opened.enter_async_context(Stack(options or stack_options()))
        doors = await opened.enter_async_context(Doors(stack))
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=500)
        http = await opened.enter_async_context(httpx.AsyncClient(limits=limits, timeout=_ASK_TIMEOUT_S))
        observer = await nats.connect(
            stack.nats_url,
            user="observer",
            password=stack.nats_password("observer"),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,  # declared int, a float works
            connect_timeout=5,
            error_cb=_ignore,
        )
        opened.push_async_callback(observer.close)
        yield World(stack, doors, http, observer)


async def _ignore(_error: Exception) -> None:
    """It loses its connection whenever NATS is damaged: nothing to report."""
