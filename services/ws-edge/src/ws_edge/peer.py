"""One client from upgrade to close: the handler that joins a socket to session, registry, NATS and commands."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from contracts.codes import CloseCode
from contracts.frames import Connected, ServerAction, ServerLimits, frame_bytes
from contracts.ids import new_id
from kit.logs import Stage, logger
from kit.tokens import LEEWAY_S, Principal
from ws_edge.attendance import Attendance
from ws_edge.commands import Commands
from ws_edge.connection import Connection, Limits, Surroundings, TurnEnd
from ws_edge.delivery import Delivery
from ws_edge.expulsion import Expulsion
from ws_edge.heartbeat import Heartbeat
from ws_edge.metrics import Figures
from ws_edge.registry import Registry
from ws_edge.rfc6455 import Opcode, encode_frame
from ws_edge.session import refresh
from ws_edge.session.handshake import Admitted
from ws_edge.session.live import (
    FEATURES,
    CloseSocket,
    Effect,
    FollowPresence,
    ForwardRead,
    ForwardSend,
    ForwardTyping,
    FrameBudget,
    RefreshWith,
    SendFrame,
    SetActivity,
    on_binary,
    on_text,
)
from ws_edge.settings import EdgeSettings
from ws_edge.subscriptions import Subscriptions
from ws_edge.transport import Socket

log = logger()

Now: TypeAlias = Callable[[], float]


class Sockets:
    """Everything that the edge's sockets share; makes a `Peer` of each one that is admitted."""

    def __init__(
        self,
        settings: EdgeSettings,
        figures: Figures,
        registry: Registry,
        subscriptions: Subscriptions,
        delivery: Delivery,
        commands: Commands,
        turn: TurnEnd,
        now: Now,
        verify: Callable[[str], Principal],
        expulsion: Expulsion,
        attendance: Attendance,
    ) -> None:
        """`verify` turns a token into a principal or raises `kit.tokens.TokenError`."""
        self.settings = settings
        self.figures = figures
        self.registry = registry
        self.subscriptions = subscriptions
        self.delivery = delivery
        self.commands = commands
        self.now = now
        self.verify = verify
        self.expulsion = expulsion
        self.attendance = attendance
        self.open_sockets = 0
        limits = limits_of(settings)
        self.heartbeat = Heartbeat(limits.heartbeat_interval_s, limits.connection_timeout_s, now)
        self.around = Surroundings(limits, turn, figures, now, delivery.settle, self._left)

    def admit(self, admitted: Admitted) -> Peer:
        """A handler for somebody who may connect."""
        return Peer(self, admitted)

    def _left(self, connection: Connection, code: int) -> None:
        self.figures.closes[code] += 1
        self.heartbeat.remove(connection)
        if self.registry.remove(connection):
            self.subscriptions.left(connection.user_id)
            self.attendance.left(connection)
        log.info(
            "socket left",
            stage=Stage.PRESENCE,
            user_id=connection.user_id,
            connection_id=connection.id,
            code=int(code),
            seconds=round(self.now() - connection.connected_at_s, 1),
        )


def limits_of(settings: EdgeSettings) -> Limits:
    """The settings in the units that a connection counts in."""
    return Limits(
        bytes_max=settings.send_buffer_bytes_max,
        frames_max=settings.send_buffer_frames_max,
        receipts_max=settings.pending_receipts_max,
        streams_max=settings.dedupe_streams_max,
        heartbeat_interval_s=settings.heartbeat_interval_ms / 1000,
        connection_timeout_s=settings.connection_timeout_ms / 1000,
        confirm_timeout_s=settings.nats_connect_timeout_s,
        close_timeout_s=settings.close_timeout_s,
        slow_close_grace_s=settings.slow_close_grace_s,
    )


def expires_at_s(principal: Principal, now_s: float) -> float:
    """When a token ends, on the clock of `now_s`."""
    remaining_s = principal.expires_at - time.time()
    # A token that was taken only because clocks differ gets the same leeway here.
    return now_s + (remaining_s if remaining_s > 0 else remaining_s + LEEWAY_S)


class TurnedAway:
    """Closes as soon as the upgrade is complete: a browser can read a close code, but no HTTP error."""

    def __init__(self, code: CloseCode, reason: str, figures: Figures) -> None:
        self._code, self._reason, self._figures = code, reason, figures

    def opened(self, socket: Socket) -> None:
        """Say why, and go."""
        self._figures.closes[self._code] += 1
        socket.close(self._code, self._reason)

    def message(self, opcode: int, payload: bytes) -> None:
        """Not listened to."""

    def pong(self, payload: bytes) -> None:
        """Not listened to."""

    def heard(self) -> None:
        """Not listened to."""

    def resumed(self) -> None:
        """Nothing waits."""

    def closed(self, code: int) -> None:
        """Nothing to clean up."""


class Peer:
    """An admitted client."""

    __slots__ = ("_admitted", "_budget", "_connection", "_sockets")

    _connection: Connection

    def __init__(self, sockets: Sockets, admitted: Admitted) -> None:
        self._sockets = sockets
        self._admitted = admitted
        self._budget: FrameBudget | None = None  # most sockets never send a frame

    def opened(self, socket: Socket) -> None:
        """Enter the registry at once, but say `connected` only when NATS sends this user's messages here."""
        sockets, principal = self._sockets, self._admitted.principal
        connection = self._connection = Connection(
            sockets.around,
            socket,
            connection_id=new_id(),
            user_id=principal.user_id,
            device_type=self._admitted.device_type,
            connection_type=self._admitted.connection_type,
            principal=principal,
            device_id=self._admitted.device_id,
            expires_at_s=expires_at_s(principal, sockets.now()),
        )
        sockets.open_sockets += 1
        sockets.figures.opened += 1
        sockets.heartbeat.add(connection)
        replaced = sockets.registry.add(connection)
        if replaced is not None:
            replaced.close(CloseCode.REPLACED, "the same device has connected again")
        if len(sockets.registry.of(principal.user_id)) > sockets.settings.connections_per_user_max:
            connection.close(CloseCode.TOO_MANY, "too many connections of this user")
            return
        log.info(
            "socket came",
            stage=Stage.PRESENCE,
            user_id=principal.user_id,
            connection_id=connection.id,
            device_type=connection.device_type.value,
        )
        sockets.attendance.came(connection)
        sockets.subscriptions.joined(principal.user_id, self._confirmed)
        # Revoked while the upgrade was under way, it would be overlooked.
        sockets.expulsion.examine(connection)

    def _confirmed(self) -> None:
        settings, connection = self._sockets.settings, self._connection
        connected = Connected(
            connection_id=connection.id,
            user_id=connection.user_id,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            connection_timeout_ms=settings.connection_timeout_ms,
            max_reconnect_attempts=settings.max_reconnect_attempts,
            sync_interval_ms=settings.sync_interval_ms,
            features=FEATURES[connection.connection_type],
            limits=ServerLimits(frame_bytes_max=settings.frame_bytes_max, frames_per_s=settings.frames_per_second),
            edge_id=settings.edge_id,
        )
        frame = frame_bytes(ServerAction.CONNECTED, connected.model_dump(mode="json"), frame_id=new_id())
        connection.confirm(encode_frame(Opcode.TEXT, frame))

    def message(self, opcode: int, payload: bytes) -> None:
        """A client frame: within the budget it means something."""
        connection, settings = self._connection, self._sockets.settings
        if connection.closed:
            return
        now_s = connection.heard_at_s = self._sockets.now()
        self._sockets.figures.frames_in += 1
        if self._budget is None:
            self._budget = FrameBudget(settings.frames_per_second, settings.frames_burst, settings.frames_abuse, now_s)
        refusal = self._budget.spend(now_s)
        if refusal is not None:
            self._carry_out(refusal)
            return
        for effect in on_text(payload) if opcode == Opcode.TEXT else on_binary():
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        connection = self._connection
        match effect:
            case SendFrame(payload):
                connection.send(encode_frame(Opcode.TEXT, payload))
            case CloseSocket(code, reason):
                connection.close(code, reason)
            case ForwardSend() | ForwardTyping() | ForwardRead() | FollowPresence():
                answer = self._sockets.attendance.requests.take(connection, self._admitted.principal, effect)
                if answer is not None:
                    self._carry_out(answer)
            case RefreshWith():
                self._refresh(effect)
            case SetActivity(active, answer):
                self._sockets.attendance.activity(connection, active)
                self._carry_out(answer)

    def _refresh(self, frame: RefreshWith) -> None:
        """A new token in the old one's place, without a gap in between; commands that wait keep the old one's roles."""
        sockets, connection = self._sockets, self._connection
        decision = refresh.decide(self._admitted, frame, verify=sockets.verify, refuses=sockets.expulsion.refuses)
        if isinstance(decision, SendFrame):
            self._carry_out(decision)
            return
        self._admitted = replace(self._admitted, principal=decision.principal)
        sockets.attendance.renewed(connection, decision.principal)
        connection.expires_at_s = expires_at_s(decision.principal, sockets.now())
        self._carry_out(decision.answer)

    def pong(self, payload: bytes) -> None:
        """A sign of life, and perhaps a proof of deliveries."""
        self._connection.heard_at_s = self._sockets.now()
        self._connection.pong(payload)

    def heard(self) -> None:
        """A sign of life."""
        self._connection.heard_at_s = self._sockets.now()

    def resumed(self) -> None:
        """The kernel takes more again."""
        self._connection.resume()

    def closed(self, code: int) -> None:
        """The socket is gone."""
        self._sockets.open_sockets -= 1
        self._connection.lost(code)
