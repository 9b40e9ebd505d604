"""What every provider is to the rest of the notifier, and how it may fail.

PushError
├── TransientPushError      try again later
└── PermanentPushError      never try this push again
"""

from __future__ import annotations

from typing import Protocol

from notifier.errors import NotifierError
from notifier.push import Push


class PushError(NotifierError):
    """A provider did not take a push."""


class TransientPushError(PushError):
    """The provider cannot take the push now; `retry_after_s` is how long it asked to be left alone, if it did."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class PermanentPushError(PushError):
    """The provider will never take this push."""


class Provider(Protocol):
    """A way to a device. A provider lives in a folder of its own with client, payload, errors and settings."""

    @property
    def name(self) -> str:
        """What `NOTIFICATION_PROVIDER` calls it."""
        ...

    async def send(self, push: Push) -> str | None:
        """Hand over one push; returns the provider's own id of it, if it gives one.

        Raises `PushError`. It may be called twice for the same push (at least once is the promise), never twice at
        the same time for one user. The caller limits the time by cancelling.
        """
        ...

    async def close(self) -> None:
        """Give back what the provider holds; nothing is sent any more."""
        ...
