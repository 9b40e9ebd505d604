"""The composition root: makes the parts, joins them, and owns every task from the first to the last second."""

from __future__ import annotations

import asyncio
import resource
import time
from functools import partial

from contracts import subjects
from contracts.codec import encode
from contracts.codes import ErrorCode
from contracts.frames import ServerAction, frame_bytes
from contracts.problems import PROBLEM_JSON, problem, problem_headers
from kit.health import Health
from kit.issuers import Issuers, Verifier
from kit.logs import Stage, logger
from ws_edge import bus as nats_bus
from ws_edge.attendance import Attendance, edge_figures
from ws_edge.bus import Bus
from ws_edge.canary import Canary
from ws_edge.commands import Commands
from ws_edge.connection import TurnEnd
from ws_edge.delivery import Delivery
from ws_edge.drain import drain, tell_to_reconnect
from ws_edge.expulsion import Expulsion
from ws_edge.following import Following
from ws_edge.kv import Buckets
from ws_edge.metrics import CONTENT_TYPE, Exposition, Figures
from ws_edge.peer import Sockets, TurnedAway
from ws_edge.presence import PresenceWriter
from ws_edge.registry import Registry
from ws_edge.requests import Requests
from ws_edge.revocations import RevocationWatch
from ws_edge.rfc6455 import Opcode, encode_frame
from ws_edge.roles import Roles
from ws_edge.session import handshake
from ws_edge.session.handshake import Admitted, BadUpgrade, Request
from ws_edge.settings import EdgeSettings
from ws_edge.stats_feed import StatsFeed
from ws_edge.subscriptions import Subscriptions
from ws_edge.transport import HttpAnswer, HttpRequest, TransportLimits, Upgrade, listen

log = logger()

SOCKET_PATH = "/v1/ws"
_POLL_S = 0.02
_CLOSE_PATIENCE_S = 6.0
"""More than the connection to NATS takes to close in order."""


class Edge:
    """One ws-edge process. `run` serves until `stop` is called and everything has ended well."""

    def __init__(self, settings: EdgeSettings) -> None:
        self.settings = settings
        self.health = Health("nats", "canary", "revocations")
        self.figures = Figures()
        self.registry = Registry()
        self.expulsion = Expulsion(self.registry)
        self.port = 0
        """Where it listens, once `listening` is set."""
        self.listening = asyncio.Event()
        self._stopping = asyncio.Event()
        self._bus: Bus | None = None  # until NATS is there
        self._sockets: Sockets | None = None  # likewise
        self._now = time.monotonic
        self._verifier = Verifier(settings.jwt_secret.get_secret_value(), Issuers(settings.issuers))
        self._verify = self._verifier.verify
        self._canary = Canary(
            edge_id=settings.edge_id,
            interval_s=settings.canary_interval_s,
            deaf_after_s=settings.canary_deaf_after_s,
            patience_s=settings.liveness_patience_s,
            now=self._now,
            deaf=self._deaf,
            stuck=self._stuck,
            heard=self._heard,
        )
        self._exposition = Exposition(
            self.figures,
            devices=self.registry.devices,
            users=lambda: self.registry.users_count,
            ready=lambda: self.health.ready,
            canary_age_s=lambda: self._canary.age_s,
        )

    def stop(self) -> None:
        """Drain and end `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve. Returns after `stop`; raises if the port is taken."""
        settings = self.settings
        limits = TransportLimits(settings.frame_bytes_max, 4413, settings.handshake_timeout_s, settings.close_timeout_s)
        server = await listen(self.route, limits, settings.host, settings.port)
        self.port = server.sockets[0].getsockname()[1]
        self.listening.set()
        log.info(
            "listening",
            stage=Stage.LIFECYCLE,
            edge_id=settings.edge_id,
            host=settings.host,
            port=self.port,
            open_files=allow_many_sockets(),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(self._serve(tasks), name="serve")
                await self._stopping.wait()
                self.health.missing("draining", "this edge is stopping")
                await self._drain()
                await self._end(serving)
        finally:
            server.close()
        log.info("stopped", stage=Stage.LIFECYCLE)

    async def _end(self, serving: asyncio.Task[None]) -> None:
        """Cancel until it has worked.

        One cancellation can get lost: on Python 3.11 in `asyncio.wait_for` when it meets a failing connect, and in
        nats-py, which swallows it while it flushes.
        """
        patience_s = 0.1 if self._sockets is None else _CLOSE_PATIENCE_S
        while not serving.done():
            serving.cancel()
            await asyncio.wait((serving,), timeout=patience_s)

    async def _serve(self, tasks: asyncio.TaskGroup) -> None:
        """Connect to NATS for as long as it takes, then run the parts until cancelled."""
        log.info("waiting for NATS", stage=Stage.LIFECYCLE, nats=self.settings.nats_url)
        bus = await nats_bus.connect(
            self.settings,
            name="ws-edge",
            echo_subject=self._canary.subject,
            outbox_max=self.settings.receipts_waiting_max,
            on_interrupted=self._interrupted,
            on_disconnected=self._disconnected,
        )
        try:
            self._bus = bus
            self._sockets = sockets = self._assemble(bus, tasks)
            self.health.ok("nats")
            async with asyncio.TaskGroup() as parts:
                parts.create_task(bus.run(), name="outbox")
                parts.create_task(sockets.subscriptions.run(), name="subscriptions")
                parts.create_task(sockets.heartbeat.run(), name="heartbeat")
                parts.create_task(self._verifier.issuers.run(), name="issuers")
                parts.create_task(sockets.delivery.expiry.run(), name="expiry")
                sockets.attendance.start(parts)
                await bus.subscribe(subjects.DISCONNECT, "", self.expulsion.on_disconnect)
                parts.create_task(self._canary.run(bus, partial(self._renew, bus)), name="canary")
        finally:
            await bus.close()

    def _assemble(self, bus: Bus, tasks: asyncio.TaskGroup) -> Sockets:
        settings, figures = self.settings, self.figures
        delivery = Delivery(
            self.registry,
            figures,
            edge_id=settings.edge_id,
            now=self._now,
            publish=bus.post,
            debug=settings.log_level == "DEBUG",
        )
        subscriptions = Subscriptions(bus, self.registry, delivery.on_message, edge_id=settings.edge_id)
        commands = Commands(
            bus.request,
            tasks,
            figures,
            waiting_max=settings.commands_waiting_max,
            timeout_s=settings.command_timeout_s,
        )
        turn = TurnEnd(asyncio.get_running_loop().call_soon)
        return Sockets(
            settings,
            figures,
            self.registry,
            subscriptions,
            delivery,
            commands,
            turn,
            self._now,
            self._verify,
            self.expulsion,
            self._attend(bus, delivery, commands),
        )

    def _attend(self, bus: Bus, delivery: Delivery, commands: Commands) -> Attendance:
        settings, buckets = self.settings, Buckets(bus)
        roles = Roles(bus, delivery, edge_id=settings.edge_id)
        following = Following(
            bus, buckets, timeout_s=settings.command_timeout_s, users_max=settings.presence_followed_max
        )
        return Attendance(
            presence=PresenceWriter(
                buckets,
                self.registry,
                edge_id=settings.edge_id,
                figures=lambda: edge_figures(self.registry, self.figures, roles.counts),
                now=self._now,
            ),
            roles=roles,
            following=following,
            stats=StatsFeed(commands.ask, every_s=settings.stats_interval_s),
            requests=Requests(commands, following, now=self._now, post=bus.post, debug=settings.log_level == "DEBUG"),
            revocations=RevocationWatch(buckets, self.expulsion.on_entry, self._revocations_read),
        )

    async def _drain(self) -> None:
        """Sockets first, then what they left behind: answers, close frames, receipts."""
        sockets = self._sockets
        if sockets is None:
            return
        await drain(self.registry, self.settings.drain_window_s, self._now, sockets.commands.busy)
        until_s = self._now() + self.settings.close_timeout_s
        # Polled: two counters on the hot path need no event that only a stopping process would wait for.
        while (sockets.open_sockets or sockets.commands.under_way) and self._now() < until_s:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        if self._bus is not None and self._bus.connected:
            await sockets.attendance.presence.farewell()

    # --- NATS comes and goes ---

    async def _interrupted(self, reason: str) -> None:
        self.figures.nats_interruptions += 1
        self._canary.expect_anew()
        self.health.ok("nats")
        self._catch_up()
        self._resync(reason)

    def _catch_up(self) -> None:
        if self._sockets is not None:
            self._sockets.attendance.interrupted()

    def _revocations_read(self) -> None:
        self.expulsion.forget_old()
        was_ready = self.health.ready
        self.health.ok("revocations")
        self._say_if_ready(was_ready)

    def _resync(self, reason: str) -> None:
        log.warning("messages may have been missed: clients sync", stage=Stage.LISTENER, reason=reason)
        frame = encode_frame(Opcode.TEXT, frame_bytes(ServerAction.RESYNC, {}))
        for connection in self.registry.all():
            connection.send(frame)

    async def _disconnected(self, reason: str) -> None:
        if not self._stopping.is_set():
            self.health.missing("nats", reason)
            self.health.missing("canary", "not heard since NATS went away")

    async def _renew(self, bus: Bus) -> None:
        self.figures.nats_renewals += 1
        self.health.missing("nats", "connecting anew, because the edge did not hear itself")
        await bus.renew()
        self.health.ok("nats")

    def _heard(self, after_deafness: bool) -> None:
        was_ready = self.health.ready
        self.health.ok("canary")
        self.health.alive = True
        if after_deafness:
            # Every subscription stands again (`Bus.renew`), so a client that syncs from now on misses nothing.
            self.figures.nats_interruptions += 1
            self._catch_up()
            self._resync("deaf")
        self._say_if_ready(was_ready)

    def _say_if_ready(self, was_ready: bool) -> None:
        if self.health.ready and not was_ready:
            log.info("ready", stage=Stage.LIFECYCLE, edge_id=self.settings.edge_id, port=self.port)

    def _deaf(self) -> None:
        if not self._stopping.is_set():  # then they have been told already
            self.health.missing("canary", "the edge does not hear itself through NATS")
            tell_to_reconnect(self.registry.all(), self.settings.drain_window_s)

    def _stuck(self) -> None:
        if self.health.alive:
            self.health.alive = False
            log.error("new connections to NATS do not help: this process should be restarted", stage=Stage.LISTENER)

    # --- HTTP ---

    def route(self, request: HttpRequest) -> HttpAnswer | Upgrade:
        """Answer one request."""
        parsed = Request(request.target, request.headers)
        match parsed.path:
            case "/healthz/live":
                return HttpAnswer(*self.health.live_report())
            case "/healthz/ready":
                return HttpAnswer(*self.health.report())
            case "/metrics":
                return HttpAnswer(200, self._exposition.render(), CONTENT_TYPE)
            case _ if parsed.path == SOCKET_PATH:
                return self._upgrade(parsed)
            case _:
                return refusal(ErrorCode.NOT_FOUND, "there is nothing here")

    def _upgrade(self, request: Request) -> HttpAnswer | Upgrade:
        decision = handshake.decide(
            request, origins=self.settings.origins, verify=self._verify, refuses=self.expulsion.refuses
        )
        if isinstance(decision, BadUpgrade):
            if decision.status == 503:
                return refusal(ErrorCode.UNAVAILABLE, decision.reason)
            if decision.status == 426:
                how = (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"))
                return refusal(ErrorCode.VALIDATION_FAILED, decision.reason, status=426, headers=how)
            return refusal(ErrorCode.VALIDATION_FAILED, decision.reason, status=decision.status)
        sockets = self._sockets
        if sockets is None or not self.health.ready:
            return refusal(ErrorCode.UNAVAILABLE, "not ready")
        if sockets.open_sockets >= self.settings.connections_max:
            return refusal(ErrorCode.UNAVAILABLE, "this edge is full", headers=(("Retry-After", "5"),))
        if isinstance(decision, Admitted):
            return Upgrade(sockets.admit(decision), decision.subprotocol)
        log.info("turned away", stage=Stage.PRESENCE, code=int(decision.code), reason=decision.reason)
        return Upgrade(TurnedAway(decision.code, decision.reason, self.figures), decision.subprotocol)


def refusal(
    code: ErrorCode, detail: str, *, status: int | None = None, headers: tuple[tuple[str, str], ...] = ()
) -> HttpAnswer:
    """An RFC 9457 answer; a header given here stands instead of the usual one."""
    answer = problem(code, detail, status=status)
    return HttpAnswer(
        answer.status, encode(answer), PROBLEM_JSON, tuple({**problem_headers(answer.status), **dict(headers)}.items())
    )


def allow_many_sockets() -> int:
    """Raise this process's limit of open files as far as it may; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        wanted = 1_048_576 if hard == resource.RLIM_INFINITY else hard
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):
            return soft
        return wanted
    return soft
