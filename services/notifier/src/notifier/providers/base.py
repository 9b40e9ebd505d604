"""What every provider is to the rest of the notifier, and how it may fail.

PushError
├── TransientPushError      try again later
├── PermanentPushError      never try this push again
│   └── TokenGoneError      nor any other push to this token
└── ProviderRefusedError    nothing goes through this provider until somebody changes something: credentials, rights
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from contracts.devices import PushService
from notifier.errors import NotifierError
from notifier.push import Push


class PushError(NotifierError):
    """A provider did not take a push. The text is for operators: no token, no message text."""


class TransientPushError(PushError):
    """The provider cannot take the push now; `retry_after_s` is how long it asked to be left alone, if it did."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class PermanentPushError(PushError):
    """The provider will never take this push; the device's token is good."""


class TokenGoneError(PermanentPushError):
    """The service says that the token is good no more, as of `since` if it says when.

    A token that was registered after `since` is another one, and stays.
    """

    def __init__(self, reason: str, *, since: datetime | None = None) -> None:
        super().__init__(reason)
        self.since = since


class ProviderRefusedError(PushError):
    """The service does not accept our credentials, project or account: it is no use to try any push now.

    The provider is left alone for a while, its pushes wait without using up attempts, and an alarm metric is raised.
    """


class Provider(Protocol):
    """A way to a device. A provider lives in a folder of its own with client, payload, errors and settings."""

    @property
    def name(self) -> str:
        """What `NOTIFICATION_PROVIDER` calls it."""
        ...

    @property
    def services(self) -> frozenset[PushService]:
        """Whose tokens it can push to. Empty: it needs no token, and carries for users what no other provider does."""
        ...

    @property
    def can_retract(self) -> bool:
        """Whether a push of kind RETRACTION does something there."""
        ...

    @property
    def retractions_per_hour(self) -> int | None:
        """How many retractions a device may get in an hour; None: as many as there are."""
        ...

    async def send(self, push: Push) -> str | None:
        """Hand over one push; returns the service's own id of it, if it gives one.

        Raises `PushError`. It may be called twice for the same push (at least once is the promise), never twice at
        the same time for one user. The caller limits the time by cancelling.
        """
        ...

    async def close(self) -> None:
        """Give back what the provider holds; nothing is sent any more."""
        ...
