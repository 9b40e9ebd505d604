"""Why a command was refused. Each class's docstring is the message that a person gets when none is given.

Refused
├── NotFound              also "exists, but not for you": existence is private
├── Forbidden
├── AlreadyExists
├── Conflict
├── AssigneeOffline
├── UnfitAssignee
├── UnknownUsers
├── InvalidReference
├── InvalidAttachment
├── IdempotencyConflict
├── SeqOutOfRange
├── LimitReached
├── RateLimited
├── WrongCredentials
├── UserIsBlocked
├── RefreshTokenUnknown
├── RefreshTokenExpired
└── SessionOver
"""

from __future__ import annotations

import math
from typing import ClassVar

from contracts.codes import ErrorCode


class Refused(Exception):
    """The request cannot be carried out."""

    code: ClassVar[ErrorCode] = ErrorCode.VALIDATION_FAILED
    retry_after_ms: int | None = None
    """When the same request may succeed, if that is known."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        """One sentence for the person who made the request."""
        return str(self)


class NotFound(Refused):
    """There is no such thing, or it is not yours to see."""

    code = ErrorCode.NOT_FOUND


class Forbidden(Refused):
    """You may see this, but not do that."""

    code = ErrorCode.FORBIDDEN


class AlreadyExists(Refused):
    """Something with this id exists already, with other content."""

    code = ErrorCode.ALREADY_EXISTS


class Conflict(Refused):
    """Things are no longer as this request takes them to be: look again."""

    code = ErrorCode.CONFLICT


class AssigneeOffline(Refused):
    """Who is offline is given no consult: nobody would answer the customer."""

    code = ErrorCode.ASSIGNEE_OFFLINE


class UnfitAssignee(Refused):
    """Only a consultant or a doctor can be given a consult, and nobody his own."""

    code = ErrorCode.VALIDATION_FAILED


class UnknownUsers(Refused):
    """Some of the named users do not exist: register them first with POST /v1/users."""

    code = ErrorCode.UNKNOWN_USER


class InvalidReference(Refused):
    """`reply_to` names no message of this conversation."""

    code = ErrorCode.VALIDATION_FAILED


class InvalidAttachment(Refused):
    """The message cannot carry this attachment."""

    code = ErrorCode.VALIDATION_FAILED


class IdempotencyConflict(Refused):
    """This client_msg_id or Idempotency-Key was used before with another body."""

    code = ErrorCode.IDEMPOTENCY_CONFLICT


class SeqOutOfRange(Refused):
    """The seq lies beyond the end of the conversation."""

    code = ErrorCode.SEQ_OUT_OF_RANGE


class LimitReached(Refused):
    """There are as many of these as there may be."""

    code = ErrorCode.LIMIT_REACHED


class RateLimited(Refused):
    """Too many requests: come again in a moment."""

    code = ErrorCode.RATE_LIMITED

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.retry_after_ms = math.ceil(wait_s * 1000)


class WrongCredentials(Refused):
    """User or password is wrong."""

    code = ErrorCode.WRONG_CREDENTIALS


class UserIsBlocked(Refused):
    """This user may not use the service."""

    code = ErrorCode.USER_BLOCKED


class RefreshTokenUnknown(Refused):
    """The refresh token is not one of ours, or was forgotten long ago: sign in."""

    code = ErrorCode.UNAUTHENTICATED


class RefreshTokenExpired(Refused):
    """The refresh token has expired: sign in."""

    code = ErrorCode.TOKEN_EXPIRED


class SessionOver(Refused):
    """The session is over: sign in."""

    code = ErrorCode.TOKEN_REVOKED
