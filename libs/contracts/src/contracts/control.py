"""What is said to all edges at once: whose sockets must go, and whose tokens are good no more."""

from __future__ import annotations

from contracts.codec import Contract
from contracts.codes import CloseCode
from contracts.devices import DeviceType
from contracts.ids import UserId, Uuid
from contracts.times import Instant

REVOCATIONS_BUCKET = "revocations"
"""Keys `block.<user_id>` (blocked, or no longer), `user.<user_id>` (all tokens issued before a moment) and
`session.<session_id>`; value `Revocation`. Edges and chat-api watch it, from the beginning, so that nobody misses what
was revoked while he was away. A block has a key of its own: a key holds its last value only, and the news of sessions
that ended must not hide that the user is blocked."""

REVOCATIONS_AGE_MAX_S = 7 * 86_400.0
"""Longer than any token of ours lives. Blocked users are written again once a day."""


class Revocation(Contract):
    """Tokens that are good no more: of a user, if they were issued before `at`; or of one session."""

    user_id: UserId
    session_id: Uuid | None = None
    blocked: bool = False
    """The user may not even come back with a new token."""
    lifted: bool = False
    """The user was unblocked: this entry stands for nothing but its own news."""
    at: Instant


class Disconnect(Contract):
    """`natter.control.disconnect`: close sockets of a user. Only those that match everything that is given."""

    user_id: UserId
    connection_id: Uuid | None = None
    device_type: DeviceType | None = None
    code: CloseCode = CloseCode.GOING_AWAY
    reason: str = "disconnected by an admin"


def block_key(user_id: str) -> str:
    """The key that says whether a user is blocked."""
    return f"block.{user_id}"


def user_key(user_id: str) -> str:
    """The key of the moment up to which a user's tokens are good no more."""
    return f"user.{user_id}"


def session_key(session_id: str) -> str:
    """The key of a session's revocation."""
    return f"session.{session_id}"
