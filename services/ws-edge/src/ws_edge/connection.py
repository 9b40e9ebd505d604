"""One socket: a bounded buffer in front of the kernel, one write per loop turn, and the ping that proves arrival.

The ping barrier: the last thing in a write is a protocol ping with a number; TCP keeps order and every RFC 6455 client
answers a ping, so its pong says that all frames before it have arrived. At most one ping is out per socket. Frames
written meanwhile are covered by the next one, which leaves when the pong is back: the number of pings depends on round
trips, not on frames.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from contracts.codes import CloseCode
from contracts.devices import DeviceType
from contracts.frames import ConnectionType
from kit.logs import Stage, logger
from kit.tokens import Principal
from ws_edge.metrics import Figures
from ws_edge.rfc6455 import Opcode, encode_frame
from ws_edge.seen import Seen

log = logger()


PIECE_BYTES = 256 * 1024
"""As much is joined into one write; bursts to a socket that reads are far below it."""


class Wire(Protocol):
    """What a connection writes to; `ws_edge.transport` implements it on TCP, `ws_edge.testing` in memory."""

    @property
    def paused(self) -> bool:
        """Whether the kernel takes no more for now; `Connection.resume` is called when it does again."""

    def write(self, data: bytes) -> None:
        """Write whole frames."""

    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""

    def close(self, code: int, reason: str, timeout_s: float) -> None:
        """Send a close frame after what was written; cut TCP if the peer has not answered after `timeout_s`."""


IDLE = {DeviceType.DESKTOP: "idle desktop", DeviceType.TABLET: "idle tablet"}
"""Kinds of devices whose receipts say that nobody sits before them. A phone is looked at when it rings."""


class Awaiting:
    """A delivery whose sender waits at `reply` for receipts; shared by all local sockets of its user."""

    __slots__ = ("reply", "reported", "since_s")

    def __init__(self, reply: str, since_s: float) -> None:
        self.reply = reply
        self.since_s = since_s
        self.reported: tuple[str, ...] = ()
        """Kinds of devices that the sender knows of: a device type, or `IDLE` of one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one socket may hold, and how long it may take; see `EdgeSettings` for the meaning of each."""

    bytes_max: int = 1024 * 1024
    frames_max: int = 1_000
    receipts_max: int = 4_096
    streams_max: int = 256
    heartbeat_interval_s: float = 45.0
    connection_timeout_s: float = 20.0
    confirm_timeout_s: float = 5.0
    close_timeout_s: float = 5.0
    slow_close_grace_s: float = 1.0


class TurnEnd:
    """Flushes every connection that got something in this turn of the loop, once, at its end."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._dirty: list[Connection] = []

    def add(self, connection: Connection) -> None:
        """Flush `connection` when the callbacks that are running now have run."""
        if not self._dirty:
            self._call_soon(self._run)
        self._dirty.append(connection)

    def _run(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            try:
                connection.flush()
            except Exception:
                # One broken socket must not keep its neighbours' frames back.
                log.exception("a socket could not be written", stage=Stage.LOCAL_PUSH, connection_id=connection.id)
                connection.lost(CloseCode.INTERNAL_ERROR)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all connections of an edge share."""

    limits: Limits
    turn: TurnEnd
    figures: Figures
    now: Callable[[], float]
    """Monotonic seconds."""
    settled: Callable[[Connection, list[Awaiting]], None]
    """Called with the deliveries that a pong has just proved."""
    left: Callable[[Connection, int], None]
    """Called once, with the close code, as soon as the connection takes no more frames."""


class Connection:
    """A user's socket. Holds all frames back until `confirm`, so that `connected` is the first one."""

    __slots__ = (
        "_around",
        "_confirms",
        "_covered",
        "_dirty",
        "_held",
        "_latest",
        "_marks",
        "_ping_number",
        "_ping_out",
        "_ping_since_s",
        "_ping_wanted",
        "_queue",
        "_queued_bytes",
        "_uncovered",
        "_wire",
        "closed",
        "connected_at_s",
        "connection_type",
        "device_id",
        "device_type",
        "expires_at_s",
        "heard_at_s",
        "id",
        "idle",
        "principal",
        "receipt",
        "ring_slot",
        "user_id",
    )

    def __init__(
        self,
        around: Surroundings,
        wire: Wire,
        *,
        connection_id: str,
        user_id: str,
        device_type: DeviceType,
        device_id: str | None = None,
        expires_at_s: float = float("inf"),
        connection_type: ConnectionType = ConnectionType.CHAT,
        principal: Principal | None = None,
    ) -> None:
        """Only a chat connection's pongs are receipts: an admin page shows figures; it is no device to talk on."""
        self._around = around
        self._wire = wire
        self.id = connection_id
        self.user_id = user_id
        self.device_type = device_type
        self.device_id = device_id
        self.expires_at_s = expires_at_s  # monotonic
        self.connection_type = connection_type
        self.principal = principal  # the token's, and the next one's after a refresh
        self._confirms = connection_type is ConnectionType.CHAT
        self.connected_at_s = self.heard_at_s = around.now()
        self.closed = False
        self.idle = False  # nobody sits before the device, as its app says
        self.receipt: bytes | None = None  # encoded once, by delivery, until `idle` changes
        self.ring_slot = 0  # where the heartbeat ring keeps it
        self._held = True
        self._dirty = False
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        # None until first use: most of 10,000 sockets are idle, and an empty dict or deque costs more than they do.
        self._latest: dict[str, int] | None = None  # key of a live frame -> its place in the queue
        self._marks: OrderedDict[str, Seen] | None = None  # stream -> what was written
        self._covered: list[Awaiting] | None = None  # proved by the pong that is awaited
        self._uncovered: deque[Awaiting] | None = None  # behind it
        self._ping_number = 0
        self._ping_out = False
        self._ping_wanted = False
        self._ping_since_s = 0.0  # since when a pong is owed, 0 if none is

    def set_idle(self, idle: bool) -> bool:
        """Somebody sits before the device, or nobody; returns whether that is news."""
        if idle == self.idle:
            return False
        self.idle = idle
        self.receipt = None
        return True

    # --- frames out ---

    def send(self, frame: bytes) -> None:
        """Queue one encoded frame; everything queued in this turn of the loop leaves in one write."""
        if self.closed:
            return
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        self._judge()
        self._touch()

    def send_durable(self, stream: str, seq: int, frame: bytes, awaiting: Awaiting | None) -> bool:
        """Queue a frame that this socket has not had; a repeat is only followed by a ping for its receipt.

        Returns whether the frame is new here.
        """
        if self.closed:
            return False
        marks = self._marks
        if marks is None:
            marks = self._marks = OrderedDict()
        seen = marks.get(stream)
        if seen is None:
            seen = marks[stream] = Seen()
            if len(marks) > self._around.limits.streams_max:
                marks.popitem(last=False)
        else:
            marks.move_to_end(stream)
        new = seen.add(seq)
        if awaiting is not None and self._confirms:
            self._await(awaiting)
        if new:
            self.send(frame)
        else:
            self._touch()
        return new

    def send_live(self, key: str, frame: bytes) -> None:
        """Queue a frame that replaces an unsent one of the same key: a slow socket gets the latest, not the history."""
        if self.closed:
            return
        latest = self._latest
        if latest is None:
            latest = self._latest = {}
        place = latest.get(key)
        if place is not None:
            self._queued_bytes += len(frame) - len(self._queue[place])
            self._queue[place] = frame
            self._judge()
            return
        latest[key] = len(self._queue)
        self.send(frame)

    def confirm(self, first_frame: bytes) -> None:
        """The user's subscription stands: `first_frame` leaves, and behind it whatever has come in meanwhile."""
        if self.closed or not self._held:
            return
        self._held = False
        # In front of the frames that came in meanwhile: written by itself, for it leaves in the same turn anyway.
        self._wire.write(first_frame)
        self._around.figures.frames_out += 1
        self._touch()

    def resume(self) -> None:
        """The kernel takes more again."""
        self.flush()

    def flush(self) -> None:
        """Write what is queued, with a ping at its end if a receipt waits for one."""
        self._dirty = False
        if self.closed or self._held:
            return
        ping = not self._ping_out and (self._ping_wanted or bool(self._uncovered))
        if ping and not self._ping_since_s:
            # Also if it cannot leave yet: a peer that takes nothing owes us a pong all the same.
            self._ping_since_s = self._around.now()
        if self._wire.paused:
            return
        queue = self._queue
        if ping:
            queue.append(self._next_ping())
        if not queue:
            return
        self._around.figures.frames_out += len(queue)
        much = self._queued_bytes > PIECE_BYTES
        self._queued_bytes = 0
        self._latest = None
        if much:
            self._write_in_pieces(queue)
            return
        data = queue[0] if len(queue) == 1 else b"".join(queue)
        queue.clear()
        self._wire.write(data)

    def _write_in_pieces(self, queue: list[bytes]) -> None:
        """What waited for a stuck socket, freed as it is joined: all at once it would be in memory twice."""
        queue.reverse()
        while queue:
            piece, size = [], 0
            while queue and size < PIECE_BYTES:
                piece.append(queue.pop())
                size += len(piece[-1])
            self._wire.write(b"".join(piece))

    def _touch(self) -> None:
        if not self._dirty and not self.closed:
            self._dirty = True
            self._around.turn.add(self)

    def _judge(self) -> None:
        """Over a limit, or on a socket that takes nothing: write if it can be written, else close the socket."""
        limits = self._around.limits
        if len(self._queue) > limits.frames_max or self._queued_bytes > limits.bytes_max or self._wire.paused:
            self._relieve()

    def _relieve(self) -> None:
        if not self._wire.paused and not self._held:
            self.flush()
        limits = self._around.limits
        waiting = self._queued_bytes + self._wire.buffered()
        if len(self._queue) > limits.frames_max or waiting > limits.bytes_max:
            self._around.figures.slow_closes += 1
            self.close(CloseCode.TOO_SLOW, "send buffer full: reconnect and sync", timeout_s=limits.slow_close_grace_s)

    # --- the barrier ---

    @property
    def owes_receipts(self) -> bool:
        """Whether a pong that is still out would prove deliveries."""
        return bool(self._covered or self._uncovered)

    def pong(self, payload: bytes) -> None:
        """A pong arrived; only the answer to the ping that is out means anything."""
        if not self._ping_out or payload != b"%d" % self._ping_number:
            return
        covered, self._covered = self._covered, None
        self._ping_out = False
        self._ping_since_s = 0.0
        if self._uncovered:
            self._touch()
        if covered:
            self._around.settled(self, covered)

    def _await(self, awaiting: Awaiting) -> None:
        uncovered = self._uncovered
        if uncovered is None:
            uncovered = self._uncovered = deque()
        elif len(uncovered) >= self._around.limits.receipts_max:
            # The oldest sender has waited longest, and is the first to stop listening.
            uncovered.popleft()
            self._around.figures.receipts_dropped += 1
        uncovered.append(awaiting)

    def _next_ping(self) -> bytes:
        self._ping_number += 1
        self._ping_out, self._ping_wanted = True, False
        if self._uncovered:
            self._covered, self._uncovered = list(self._uncovered), None
        return encode_frame(Opcode.PING, b"%d" % self._ping_number)

    # --- life ---

    def check(self, now_s: float) -> None:
        """The heartbeat's regular look: token, confirmation, pong owed too long, silence."""
        limits = self._around.limits
        if self.closed:
            return
        if now_s >= self.expires_at_s:
            self.close(CloseCode.UNAUTHENTICATED, "the token has expired")
        elif self._held:
            if now_s - self.connected_at_s >= limits.confirm_timeout_s:
                self.close(CloseCode.INTERNAL_ERROR, "the message bus did not answer in time")
        elif self._ping_since_s:
            if now_s - self._ping_since_s >= limits.connection_timeout_s:
                self.close(CloseCode.GOING_AWAY, "no pong in time", timeout_s=limits.slow_close_grace_s)
        elif now_s - self.heard_at_s >= limits.heartbeat_interval_s:
            self._ping_wanted = True
            self._touch()

    def close(self, code: int, reason: str, *, timeout_s: float | None = None) -> None:
        """Write what can be written, then a close frame; no frame is taken after it. Again: nothing happens."""
        if self.closed:
            return
        if not self._wire.paused:
            self.flush()
        self._wire.close(code, reason, self._around.limits.close_timeout_s if timeout_s is None else timeout_s)
        self.lost(code)

    def lost(self, code: int) -> None:
        """The socket is gone, or as good as gone: forget everything that it holds."""
        if self.closed:
            return
        self.closed = True
        self._queue.clear()
        self._queued_bytes = 0
        self._latest = self._marks = self._covered = self._uncovered = None
        self._around.left(self, code)
