"""Which tokens are good no more: what was revoked, kept by whoever lets people in."""

from __future__ import annotations

from contracts.codes import ErrorCode
from contracts.control import Revocation
from kit.tokens import Principal


class Revocations:
    """What was revoked so far; entries may be applied again and in any order. No I/O."""

    def __init__(self) -> None:
        self._sessions: dict[str, float] = {}
        self._users: dict[str, float] = {}
        self._blocked: dict[str, float] = {}
        self._lifted: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._sessions) + len(self._users) + len(self._blocked) + len(self._lifted)

    def apply(self, revocation: Revocation) -> None:
        """Take one entry over; an older one than what is known of a user changes nothing."""
        at, user_id = revocation.at.timestamp(), revocation.user_id
        if revocation.session_id is not None:
            self._sessions[revocation.session_id] = max(at, self._sessions.get(revocation.session_id, 0.0))
        elif revocation.lifted:
            if at >= self._blocked.get(user_id, 0.0):
                self._blocked.pop(user_id, None)
                self._lifted[user_id] = max(at, self._lifted.get(user_id, 0.0))
        elif revocation.blocked:
            # Blocked and unblocked in the same millisecond: the last one that was said counts.
            if at >= self._lifted.get(user_id, 0.0):
                self._blocked[user_id] = max(at, self._blocked.get(user_id, 0.0))
                self._lifted.pop(user_id, None)
        else:
            self._users[user_id] = max(at, self._users.get(user_id, 0.0))

    def refuses(self, principal: Principal) -> ErrorCode | None:
        """`user_blocked`, `token_revoked`, or None if the token is as good as it was."""
        if principal.user_id in self._blocked:
            return ErrorCode.USER_BLOCKED
        if principal.session_id is not None and principal.session_id in self._sessions:
            return ErrorCode.TOKEN_REVOKED
        if principal.issued_at <= self._users.get(principal.user_id, -1.0):
            return ErrorCode.TOKEN_REVOKED
        return None

    def is_blocked(self, user_id: str) -> bool:
        """Whether the user may not even come back with a new token."""
        return user_id in self._blocked

    def forget(self, before: float) -> None:
        """Drop what was revoked before `before` (seconds since 1970): no token is that old. A block stays."""
        for known in (self._sessions, self._users, self._lifted):
            for key in [key for key, at in known.items() if at < before]:
                del known[key]
