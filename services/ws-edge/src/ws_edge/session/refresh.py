"""Whether a connected client may go on with a new token: the token and who is connected in, a decision out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from contracts.codes import ErrorCode
from contracts.frames import ConnectionType, ServerAction, TokenRefreshed, frame_bytes
from kit.tokens import KeyUnknown, Principal, Role, TokenError, TokenExpired
from ws_edge.session.handshake import Admitted
from ws_edge.session.live import RefreshWith, SendFrame, error


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The new token counts from now on, with its own roles and name; `answer` says so."""

    principal: Principal
    answer: SendFrame


Decision: TypeAlias = Refreshed | SendFrame


def decide(
    admitted: Admitted,
    frame: RefreshWith,
    *,
    verify: Callable[[str], Principal],
    refuses: Callable[[Principal], ErrorCode | None] = lambda _principal: None,
) -> Decision:
    """Take the token, or answer why not: then everything stays as it was, the old token's end included."""
    try:
        principal = verify(frame.token)
    except KeyUnknown:
        message = "the issuer's keys are being fetched: try again"
        return error(ErrorCode.UNAVAILABLE, message, ref=frame.ref, retry_after_ms=1000)
    except TokenExpired:
        return error(ErrorCode.TOKEN_EXPIRED, "the new token has expired", ref=frame.ref)
    except TokenError as refused:
        return error(ErrorCode.UNAUTHENTICATED, str(refused), ref=frame.ref)
    if principal.user_id != admitted.principal.user_id:
        # The registry, the subscription and every receipt are the first user's.
        return error(ErrorCode.FORBIDDEN, "the new token is another user's: open a socket for them", ref=frame.ref)
    revoked = refuses(principal)
    if revoked is not None:
        return error(revoked, "the new token is good no more", ref=frame.ref)
    if admitted.connection_type is ConnectionType.ADMIN and Role.ADMIN not in principal.roles:
        return error(ErrorCode.FORBIDDEN, "connection_type admin needs the role admin", ref=frame.ref)
    try:
        expires_at = datetime.fromtimestamp(principal.expires_at, UTC)
    except (OverflowError, ValueError, OSError):
        return error(ErrorCode.UNAUTHENTICATED, "the token's exp is not an instant", ref=frame.ref)
    data = TokenRefreshed(expires_at=expires_at).model_dump(mode="json")
    return Refreshed(principal, SendFrame(frame_bytes(ServerAction.ACK, data, ref=frame.ref)))
