"""What fan-out and edge tell each other beside a frame: one header there, one receipt back.

The payload of a `natter.user.<id>` message is the frame itself, byte for byte what the sockets get. All that the edge
must know to route, join and drop is in one NATS header, so it never parses a body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from contracts.codec import Contract
from contracts.devices import DeviceType
from contracts.envelope import Envelope
from contracts.errors import Undecodable
from contracts.ids import UserId, Uuid
from contracts.times import Instant

DELIVERY_HEADER = "Natter-Delivery"
TRACE_HEADER = "traceparent"
DEVICES_HEADER = "Natter-Devices"
"""Comma list of device types; if it is there, only sockets of these types get the frame and count as having it."""

_SEQ = re.compile(r"^[0-9]{1,19}\Z")


@dataclass(frozen=True, slots=True)
class Durable:
    """A frame that must arrive: `seq` is its place in `stream`; an edge writes it once per socket."""

    stream: str
    seq: int


@dataclass(frozen=True, slots=True)
class Live:
    """A signal worth something only now (typing, presence): the latest of one `key` replaces an unsent older one.

    With `expires_in_ms` it holds only so long: the edge takes it back by itself if it is not renewed (`expired_frame`).
    """

    key: str
    expires_in_ms: int | None = None


Delivery: TypeAlias = Durable | Live


def delivery_header(delivery: Delivery) -> str:
    """`d <seq> <stream>` for a durable frame, `l <key>` for a live one, `x <ms> <key>` for one that expires."""
    match delivery:
        case Durable(stream, seq):
            return f"d {seq} {stream}"
        case Live(key, None):
            return f"l {key}"
        case Live(key, expires_in_ms):
            return f"x {expires_in_ms} {key}"


def parse_delivery_header(value: str) -> Delivery:
    """The reverse of `delivery_header`; raises `Undecodable`."""
    kind, _, rest = value.partition(" ")
    if kind == "d":
        seq, _, stream = rest.partition(" ")
        if _SEQ.match(seq) and stream:
            return Durable(stream, int(seq))
    elif kind == "l" and rest:
        return Live(rest)
    elif kind == "x":
        milliseconds, _, key = rest.partition(" ")
        if _SEQ.match(milliseconds) and key:
            return Live(key, int(milliseconds))
    raise Undecodable(f"not a delivery header: {value[:80]!r}")


class Receipt(Contract):
    """An edge's word that a frame reached a device: the pong to the ping behind the frame has come back."""

    edge_id: str
    connection_id: Uuid
    device_type: DeviceType
    idle: bool = False
    """The app said that nobody sits before this device (`activity`)."""


class OfflineReason(StrEnum):
    """Why a delivery was handed to the notifier."""

    NO_CONNECTION = "no_connection"
    """No edge holds a socket of the user: NATS itself said so (no responders)."""
    UNACKNOWLEDGED = "unacknowledged"
    """An edge held a socket, but no device confirmed within `DELIVERY_ACK_TIMEOUT`."""
    IMPORTANT_MOBILE = "important_mobile"
    """An important message reached a desktop or tablet, but no mobile device."""
    IDLE_DESKTOP = "idle_desktop"
    """It reached desktops and tablets only, and nobody sits before any of them."""
    ACTIVE_DESKTOP = "active_desktop"
    """It reached desktops and tablets only, somebody sits before one, and this deployment pushes phones even then."""


class OfflineDelivery(Contract):
    """One event that one user's devices did not (all) get; unique by event and user."""

    user_id: UserId
    reason: OfflineReason
    event: Envelope
    decided_at: Instant
