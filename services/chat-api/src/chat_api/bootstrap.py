"""The composition root: makes every part once, starts what the role needs, and stops it in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence
from enum import StrEnum

import uvicorn
from nats.aio.client import Client
from nats.js import JetStreamContext
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import metrics, migrate
from chat_api.access import Access, Doorkeeper
from chat_api.attachments_sweeper import AttachmentsSweeper
from chat_api.blobs.base import Blobs
from chat_api.blobs.nats import NatsBlobs
from chat_api.broadcaster import Broadcaster
from chat_api.commands import handlers
from chat_api.commands.batcher import SendBatcher
from chat_api.commands.devices import Devices
from chat_api.commands.handlers import SendResult, Sent
from chat_api.control import Control
from chat_api.domain.commands import SendMessage
from chat_api.fanout.fanout import Fanout
from chat_api.files import Files
from chat_api.http.app import create_app, create_health_app
from chat_api.http.context import Context
from chat_api.http.passwords import Passwords
from chat_api.live_stats import LiveStats
from chat_api.notifier_questions import NotifierQuestions
from chat_api.presence.book import PresenceBook
from chat_api.presence.watcher import PresenceWatcher
from chat_api.relay.relay import Relay
from chat_api.relay.waker import Waker
from chat_api.revocations import RevocationsWatcher
from chat_api.settings import ChatApiSettings
from chat_api.signals import Signals
from chat_api.socket_commands import SocketCommands
from chat_api.sockets.handler import Handler
from chat_api.sockets.presence import presence
from chat_api.sockets.reads import mark_read
from chat_api.sockets.send import send_message
from chat_api.sockets.stats import stats
from chat_api.sockets.typing import typing
from chat_api.stats import CHAT_API_SAMPLES
from chat_api.store.database import DatabaseUnavailable, create_engine, is_away, translated, wait_until_migrated
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.sync_notes import SyncNotes
from contracts.commands import MARK_READ, PRESENCE, SEND_MESSAGE, STATS, TYPING
from contracts.streams import ALL_STREAMS
from contracts.times import now
from kit import bus
from kit.backoff import full_jitter
from kit.figures import Figures
from kit.health import Health
from kit.logs import Stage, logger

log = logger()

DATABASE_PROBE_S = 2.0
FORGET_KEYS_EVERY_S = 60.0
FORGET_KEYS_BATCH = 1000
GRACEFUL_SHUTDOWN_S = 10


def _blobs(settings: ChatApiSettings) -> Blobs:
    if settings.attachments == "nats":
        return NatsBlobs(settings.attachment_store_bytes_max)
    # Needs a package that not every installation has.
    from chat_api.blobs.s3 import S3Blobs

    return S3Blobs(settings.s3_bucket, endpoint=settings.s3_endpoint or None, region=settings.s3_region)


class Role(StrEnum):
    """What one process does."""

    ALL = "all"
    SERVE = "serve"
    RELAY = "relay"
    FANOUT = "fanout"

    def includes(self, other: Role) -> bool:
        """Whether a process in this role also does the other's work."""
        return self in (Role.ALL, other)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: it would end the process before our parts are stopped."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Process:
    """One chat-api process. `run` returns when it was told to stop and everything has ended."""

    def __init__(self, settings: ChatApiSettings, role: Role) -> None:
        self._settings = settings
        self._role = role
        self._health = Health("postgres", "nats")
        self._engine: AsyncEngine = create_engine(settings, f"chat-api {role.value}")
        self._waker = Waker(settings)
        self._presence = PresenceBook()
        self._presence_watcher: PresenceWatcher | None = None
        self._signals = Signals(settings, self._engine)
        self._stats = LiveStats(self._engine, self._presence)
        self._control = Control()
        self._broadcaster = Broadcaster(settings, self._engine, self._committed)
        self._relay: Relay | None = None
        self._fanout: Fanout | None = None
        self._uow = PostgresUnitOfWork(self._engine, self._committed, settings.idempotency_ttl_s)
        self._blobs = _blobs(settings)
        self._sync_notes = SyncNotes(self._engine)
        self._files = Files(settings, self._engine, self._uow, self._blobs)
        self._access = Access.of(settings, self._uow)
        self._revocations = RevocationsWatcher(self._engine, self._access.revocations)
        self._sends = SendBatcher(
            self._carry_sends,
            lanes=settings.send_workers,
            batch_max=settings.send_batch_max,
            queue_max=settings.send_queue_max,
        )

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; a second signal does not wait for open requests."""
        server = self._server()
        loop = asyncio.get_running_loop()

        def stop() -> None:
            server.force_exit = server.should_exit
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        log.info("starting", stage=Stage.LIFECYCLE, role=self._role.value, port=self._settings.port)
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(self._work())
                await server.serve()
                work.cancel()
        finally:
            await self._engine.dispose()
            log.info("stopped", stage=Stage.LIFECYCLE)

    def _server(self) -> _Server:
        if self._role.includes(Role.SERVE):
            passwords = Passwords(self._settings.password_hashes_max)
            context = Context(
                self._settings,
                self._engine,
                self._uow,
                self._sends,
                passwords,
                self._health,
                self._presence,
                self._signals,
                self._access,
                stats=self._stats,
                control=self._control,
                broadcaster=self._broadcaster,
                files=self._files,
                devices=Devices(self._uow),
                sync_notes=self._sync_notes,
            )
            app = create_app(context)
        else:
            app = create_health_app(self._health)
        return _Server(
            uvicorn.Config(
                app,
                host=self._settings.host,
                port=self._settings.port,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                http="httptools",
                server_header=False,
                forwarded_allow_ips=self._settings.trusted_proxies,
                timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
            )
        )

    async def _work(self) -> None:
        """Wait for Postgres, then for NATS, then do the role's work; HTTP answers health all the while."""
        async with asyncio.TaskGroup() as group:
            if self._role.includes(Role.SERVE):
                # At work before Postgres is there: a send is refused then like every other request, and does not hang.
                group.create_task(self._sends.run())
                group.create_task(self._access.verifier.issuers.run())
            await wait_until_migrated(self._engine, migrate.head_revision(), self._say_database)
            if self._role.includes(Role.SERVE):
                await self._load_revocations()
                group.create_task(self._revocations.poll())
            self._health.ok("postgres")
            group.create_task(self._probe_database())
            if self._role.includes(Role.SERVE):
                group.create_task(self._waker.run())
                group.create_task(self._broadcaster.run())
                group.create_task(self._forget_keys())
                group.create_task(self._sync_notes.run())
                group.create_task(AttachmentsSweeper(self._settings, self._engine, self._blobs).run())
            group.create_task(self._work_on_nats())

    async def _work_on_nats(self) -> None:
        self._health.missing("nats", f"connecting to {self._settings.nats_url}")
        log.info("waiting for NATS", stage=Stage.LIFECYCLE, url=self._settings.nats_url)
        client = await bus.connect(
            self._settings, service="chat-api", on_interrupted=self._interrupted, on_disconnected=self._interrupted
        )
        try:
            js = client.jetstream(timeout=5)
            await self._ensure_streams(js)
            # From here on NATS may go: messages are accepted all the same, and relayed when it is back.
            self._health.ok("nats")
            log.info("ready", stage=Stage.LIFECYCLE, role=self._role.value)
            await self._run_parts(client, js)
        finally:
            await bus.close(client)

    async def _run_parts(self, client: Client, js: JetStreamContext) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(Figures("chat-api", REGISTRY, CHAT_API_SAMPLES).tell(client))
            if self._role.includes(Role.RELAY):
                self._relay = Relay(self._settings, client, js)
                group.create_task(self._relay.run())
            if self._role.includes(Role.FANOUT):
                self._fanout = Fanout(self._settings, self._engine, client, js)
                group.create_task(self._fanout.run())
            if self._role.includes(Role.SERVE):
                if isinstance(self._blobs, NatsBlobs):
                    self._blobs.js = js
                self._signals.client = client
                self._control.client = client
                self._stats.js = js
                group.create_task(self._stats.keep_bucket())
                self._presence_watcher = PresenceWatcher(js, self._presence)
                group.create_task(self._presence_watcher.run())
                group.create_task(self._revocations.watch(js))
                group.create_task(SocketCommands(self._settings, client, self._commands()).run())
                group.create_task(NotifierQuestions(client, self._engine, self._presence).run())

    def _commands(self) -> dict[str, Handler]:
        """What edges may ask for."""
        door = Doorkeeper(self._access)
        return {
            SEND_MESSAGE: send_message(self._sends, door),
            TYPING: typing(self._signals, door),
            MARK_READ: mark_read(self._uow, door),
            PRESENCE: presence(self._presence, self._engine, door),
            STATS: stats(self._stats),
        }

    async def _load_revocations(self) -> None:
        """Nobody is told that this process is ready before it knows whom it must not let in."""
        for wait_s in full_jitter(0.2, 5.0):
            with contextlib.suppress(DatabaseUnavailable):
                await self._revocations.load()
                return
            await asyncio.sleep(wait_s)

    async def _ensure_streams(self, js: JetStreamContext) -> None:
        for wait_s in full_jitter(0.2, 5.0):
            try:
                for definition in ALL_STREAMS:
                    await bus.ensure_stream(js, definition)
            except bus.AWAY as failed:
                self._health.missing("nats", f"JetStream does not answer ({type(failed).__name__})")
                log.warning("waiting for JetStream", stage=Stage.LIFECYCLE, error=str(failed)[:200])
                await asyncio.sleep(wait_s)
            else:
                return

    async def _say_database(self, reason: str) -> None:
        self._health.missing("postgres", reason)
        log.warning("waiting for Postgres", stage=Stage.LIFECYCLE, reason=reason)

    async def _probe_database(self) -> None:
        """Not ready while Postgres is away: nothing can be accepted then."""
        while True:
            await asyncio.sleep(DATABASE_PROBE_S)
            try:
                async with asyncio.timeout(DATABASE_PROBE_S), self._engine.connect() as connection:
                    await connection.execute(text("SELECT 1"))
            except Exception as error:
                if not is_away(error):
                    raise
                self._health.missing("postgres", f"Postgres does not answer ({type(error).__name__})")
            else:
                self._health.ok("postgres")

    async def _forget_keys(self) -> None:
        while True:
            await asyncio.sleep(FORGET_KEYS_EVERY_S)
            with contextlib.suppress(DatabaseUnavailable):
                forgotten = FORGET_KEYS_BATCH
                while forgotten == FORGET_KEYS_BATCH:
                    forgotten = await self._uow.forget_old_keys(FORGET_KEYS_BATCH)
                forgotten = FORGET_KEYS_BATCH
                while forgotten >= FORGET_KEYS_BATCH:
                    forgotten = await self._uow.forget_old_sessions(now(), FORGET_KEYS_BATCH)

    async def _carry_sends(self, commands: Sequence[SendMessage]) -> list[SendResult]:
        async with translated():
            results = await handlers.send_messages(commands, self._uow)
        metrics.send_batch.observe(len(commands))
        metrics.messages_accepted.inc(sum(1 for result in results if isinstance(result, Sent) and not result.duplicate))
        return results

    def _committed(self) -> None:
        if self._relay is not None and self._relay.active:
            self._relay.wake()
        else:
            self._waker.wake()

    async def _interrupted(self, reason: str) -> None:
        # A reconnect is no news: fan-out was told when the connection broke, and went on when it was back.
        if self._fanout is not None and reason != "reconnected":
            self._fanout.interrupted(reason)
        self._revocations.interrupted(reason)
        if self._presence_watcher is not None:
            self._presence_watcher.interrupted(reason)
