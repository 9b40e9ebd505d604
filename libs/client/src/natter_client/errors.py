"""What can go wrong between a client and Natter.

NatterError
├── Rejected            the server refuses this for good
├── OutboxFull          too many sends wait for their acknowledgement
├── RequestFailed       one request came to nothing; the client itself tries again
├── NotConfigured       the environment does not say where Natter is, or with which token
└── Stopped             the client does not run (any more)
    ├── Replaced        the same device has connected somewhere else
    └── TurnedAway      the server said that coming back is no use
"""

from __future__ import annotations

from contracts.codes import ErrorCode


class NatterError(Exception):
    """Something between this client and Natter went wrong."""


class Rejected(NatterError):
    """What was asked is refused for good, and repeating it changes nothing. `code` says why (docs/errors.md)."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail


class OutboxFull(NatterError):
    """As many messages wait for their acknowledgement as `outbox_max` allows: wait for some of them first."""


class RequestFailed(NatterError):
    """One request came to nothing: no answer, or one that is no success.

    `status` and `code` are None where there was no answer, or none of ours. `retry_after_s` is what the server asked
    for, 0 if it asked for nothing.
    """

    def __init__(
        self, detail: str, *, status: int | None = None, code: ErrorCode | None = None, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def token_refused(self) -> bool:
        """Whether a fresh token may mend it."""
        return self.status == 401 or self.code in (ErrorCode.UNAUTHENTICATED, ErrorCode.TOKEN_EXPIRED)

    @property
    def refusal(self) -> ErrorCode | None:
        """Why repeating the same request is no use, if so. Only a service of ours can say that: no proxy in front."""
        return self.code if self.code is not None and not self.code.retry and not self.token_refused else None


class NotConfigured(NatterError):
    """The environment does not say where Natter is, or with which token to come."""


class Stopped(NatterError):
    """The client does not run: it was not started, has been left, or may not come back."""


class Replaced(Stopped):
    """The same device of the same user has connected again: that one goes on, this one has stopped."""


class TurnedAway(Stopped):
    """The server closed the socket with a code that says: do not come back like this."""

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(f"closed with {close_code}: {reason}" if reason else f"closed with {close_code}")
        self.close_code = close_code
        self.reason = reason
