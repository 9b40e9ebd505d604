"""Who may open a socket: an HTTP request in, a decision out.

Browsers cannot read an HTTP error of a refused upgrade. So once a request is a valid upgrade, a wrong token, origin or
query is answered by a completed upgrade and a close code with its reason (`TurnedAway`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

from contracts.codes import CloseCode, ErrorCode
from contracts.devices import DeviceType
from contracts.frames import BEARER_SUBPROTOCOL_PREFIX, SUBPROTOCOL, ConnectionType
from kit.tokens import KeyUnknown, Principal, Role, TokenError, TokenExpired

_DEVICE_ID = re.compile(r"^[A-Za-z0-9._:-]{1,64}\Z")


class Request:
    """An HTTP request's target and headers; names are compared without case, repeated headers keep their order."""

    __slots__ = ("_headers", "path", "query")

    def __init__(self, target: str, headers: Sequence[tuple[str, str]]) -> None:
        split = urlsplit(target)
        self.path = split.path
        self.query = split.query
        self._headers: dict[str, list[str]] = {}
        for name, value in headers:
            self._headers.setdefault(name.lower(), []).append(value.strip())

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return self._headers.get(name.lower(), [])

    def one(self, name: str) -> str | None:
        """The first value of a header."""
        return next(iter(self.all(name)), None)

    def tokens(self, name: str) -> list[str]:
        """The comma-separated elements of a list header, over all its lines."""
        return [token.strip() for value in self.all(name) for token in value.split(",") if token.strip()]


@dataclass(frozen=True, slots=True)
class BadUpgrade:
    """No upgrade: an HTTP status (400 or 426 for one that is not valid, 503) and the reason in words."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A valid upgrade of somebody who may not stay: complete it and close."""

    code: CloseCode
    reason: str
    subprotocol: str | None


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who connects, and with what."""

    principal: Principal
    device_type: DeviceType
    device_id: str | None
    connection_type: ConnectionType
    subprotocol: str | None


Decision: TypeAlias = Admitted | TurnedAway | BadUpgrade


def check_upgrade(request: Request) -> BadUpgrade | None:
    """Whether this is an upgrade as RFC 6455 section 4.2.1 asks; header lists and case as HTTP allows them."""
    if "websocket" not in {token.lower() for token in request.tokens("upgrade")}:
        return BadUpgrade(426, "this is a WebSocket endpoint: send Upgrade: websocket")
    if "upgrade" not in {token.lower() for token in request.tokens("connection")}:
        return BadUpgrade(400, "the Connection header does not ask for Upgrade")
    if not request.one("host"):
        return BadUpgrade(400, "the Host header is missing")
    if request.all("sec-websocket-version") != ["13"]:
        return BadUpgrade(426, "the WebSocket version must be 13")
    keys = request.all("sec-websocket-key")
    try:
        valid = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
    except (binascii.Error, ValueError):
        valid = False
    if not valid:
        return BadUpgrade(400, "Sec-WebSocket-Key must be 16 bytes in base64, once")
    return None


def decide(
    request: Request,
    *,
    origins: frozenset[str],
    verify: Callable[[str], Principal],
    refuses: Callable[[Principal], ErrorCode | None] = lambda _principal: None,
) -> Decision:
    """Admit or not; `verify` turns a token into a principal or raises `kit.tokens.TokenError`.

    `refuses` knows which of them were revoked.
    """
    if bad := check_upgrade(request):
        return bad
    offered = request.tokens("sec-websocket-protocol")
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered else None

    def turn_away(code: CloseCode, reason: str) -> TurnedAway:
        return TurnedAway(code, reason, subprotocol)

    origin = request.one("origin")
    if origin is not None and "*" not in origins and origin.rstrip("/").lower() not in origins:
        return turn_away(CloseCode.FORBIDDEN, "this origin is not allowed")
    token = _token(request, offered)
    if token is None:
        return turn_away(CloseCode.UNAUTHENTICATED, "token missing: Authorization header or bearer subprotocol")
    try:
        principal = verify(token)
    except KeyUnknown:
        return BadUpgrade(503, "the issuer's keys are being fetched: try again")
    except TokenExpired:
        return turn_away(CloseCode.UNAUTHENTICATED, "the token has expired")
    except TokenError as refused:
        return turn_away(CloseCode.UNAUTHENTICATED, str(refused))
    revoked = refuses(principal)
    if revoked is not None:
        return turn_away(*closing(revoked))
    try:
        device_type, device_id, connection_type = _query(request.query)
    except ValueError as bad_value:
        return turn_away(CloseCode.BAD_FRAME, str(bad_value))
    if connection_type is ConnectionType.ADMIN and Role.ADMIN not in principal.roles:
        return turn_away(CloseCode.FORBIDDEN, "connection_type admin needs the role admin")
    return Admitted(principal, device_type, device_id, connection_type, subprotocol)


def closing(revoked: ErrorCode) -> tuple[CloseCode, str]:
    """How a socket is closed whose token is good no more."""
    if revoked is ErrorCode.USER_BLOCKED:
        return CloseCode.FORBIDDEN, f"{revoked.value}: this user may not connect"
    return CloseCode.UNAUTHENTICATED, f"{revoked.value}: get a new token first"


def _token(request: Request, offered: list[str]) -> str | None:
    scheme, _, token = (request.one("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for name in offered:
        if name.startswith(BEARER_SUBPROTOCOL_PREFIX) and len(name) > len(BEARER_SUBPROTOCOL_PREFIX):
            return name[len(BEARER_SUBPROTOCOL_PREFIX) :]
    return None


def _query(text: str) -> tuple[DeviceType, str | None, ConnectionType]:
    try:
        values = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=20))
    except ValueError:
        raise ValueError("the query has too many fields") from None
    device_type = values.get("device_type", DeviceType.DESKTOP)
    if device_type not in set(DeviceType):
        raise ValueError("device_type must be mobile, desktop or tablet")
    connection_type = values.get("connection_type", ConnectionType.CHAT)
    if connection_type not in set(ConnectionType):
        raise ValueError("connection_type must be chat or admin")
    device_id = values.get("device_id")
    if device_id is not None and not _DEVICE_ID.match(device_id):
        raise ValueError("device_id must be 1 to 64 of A-Z a-z 0-9 . _ : -")
    return DeviceType(device_type), device_id, ConnectionType(connection_type)
