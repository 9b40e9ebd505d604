"""Close codes of the socket and error codes of everything: what a program may branch on."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class CloseCode(IntEnum):
    """Why a socket was closed; each member says whether a client should come back."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    DRAINING = 1012
    """The server goes down for a restart: come back when the `reconnect` frame said."""
    BAD_FRAME = 4400
    """Frames that are no valid JSON object with an action: a bug of the client, do not retry."""
    UNAUTHENTICATED = 4401
    """Token missing, malformed, expired or revoked: get a new one first."""
    FORBIDDEN = 4403
    """The origin or the role is not allowed here."""
    TOO_SLOW = 4408
    """The client did not read fast enough: come back and sync."""
    REPLACED = 4409
    """The same device has connected again: this socket is the old one."""
    FRAME_TOO_BIG = 4413
    """A frame above the limit in `connected.limits`."""
    TOO_MANY = 4429
    """Too many frames or connections: back off."""

    @property
    def come_back(self) -> bool:
        """Whether a client should reconnect with the same token (after its backoff)."""
        return self not in _TERMINAL


_TERMINAL = frozenset(
    {
        CloseCode.NORMAL,
        CloseCode.BAD_FRAME,
        CloseCode.UNAUTHENTICATED,
        CloseCode.FORBIDDEN,
        CloseCode.REPLACED,
        CloseCode.FRAME_TOO_BIG,
    }
)


class ErrorCode(StrEnum):
    """Stable `code` of an error, over HTTP (RFC 9457 problem) and in `error` frames alike."""

    MALFORMED_JSON = "malformed_json"
    VALIDATION_FAILED = "validation_failed"
    UNAUTHENTICATED = "unauthenticated"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - the name of an error
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - the name of an error
    WRONG_CREDENTIALS = "wrong_credentials"
    USER_BLOCKED = "user_blocked"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    ALREADY_EXISTS = "already_exists"
    CONFLICT = "conflict"
    ASSIGNEE_OFFLINE = "assignee_offline"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    RANGE_NOT_SATISFIABLE = "range_not_satisfiable"
    LIMIT_REACHED = "limit_reached"
    SEQ_OUT_OF_RANGE = "seq_out_of_range"
    UNKNOWN_USER = "unknown_user"
    UNKNOWN_ACTION = "unknown_action"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    INTERNAL = "internal"

    @property
    def status(self) -> int:
        """The HTTP status that goes with it."""
        return _STATUS[self]

    @property
    def retry(self) -> bool:
        """Whether the same request may succeed later (with the same idempotency key)."""
        return _STATUS[self] in (429, 503, 504, 500)


_STATUS = {
    ErrorCode.MALFORMED_JSON: 422,
    ErrorCode.VALIDATION_FAILED: 422,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.TOKEN_EXPIRED: 401,
    ErrorCode.TOKEN_REVOKED: 401,
    ErrorCode.WRONG_CREDENTIALS: 401,
    ErrorCode.USER_BLOCKED: 403,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.ALREADY_EXISTS: 409,
    ErrorCode.CONFLICT: 409,
    ErrorCode.ASSIGNEE_OFFLINE: 409,
    ErrorCode.IDEMPOTENCY_CONFLICT: 422,
    ErrorCode.PAYLOAD_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.RANGE_NOT_SATISFIABLE: 416,
    ErrorCode.LIMIT_REACHED: 422,
    ErrorCode.SEQ_OUT_OF_RANGE: 422,
    ErrorCode.UNKNOWN_USER: 422,
    ErrorCode.UNKNOWN_ACTION: 422,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.TIMEOUT: 503,
    ErrorCode.INTERNAL: 500,
}
