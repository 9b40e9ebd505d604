"""What a service's answer means for a push, its token and its provider; pure.

Each provider has one table from answers to verdicts, written down from the service's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifier.providers.base import (
    PermanentPushError,
    ProviderRefusedError,
    PushError,
    TokenGoneError,
    TransientPushError,
)


class Meaning(StrEnum):
    """The classes of failure; which error each of them is stands in `error`."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    GONE = "gone"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do after an answer."""

    meaning: Meaning
    wait_s: float = 0.0
    """The shortest wait before another attempt, in seconds, if it is transient; `Retry-After` may ask for more."""


TRANSIENT = Verdict(Meaning.TRANSIENT)
PERMANENT = Verdict(Meaning.PERMANENT)
GONE = Verdict(Meaning.GONE)
REFUSED = Verdict(Meaning.REFUSED)


def error(verdict: Verdict, text: str, *, retry_after_s: float | None, since: datetime | None = None) -> PushError:
    """The error that a provider raises; `text` goes to logs and to the ledger, and holds no token and no words."""
    match verdict.meaning:
        case Meaning.TRANSIENT:
            wait_s = max(verdict.wait_s, retry_after_s or 0.0)
            return TransientPushError(text, retry_after_s=wait_s or None)
        case Meaning.GONE:
            return TokenGoneError(text, since=since)
        case Meaning.REFUSED:
            return ProviderRefusedError(text)
        case _:
            return PermanentPushError(text)


def usual(status: int) -> Verdict:
    """What a status means that the service's documentation does not mention: another server's, on the way."""
    if status in (408, 425, 429) or status >= 500:
        return TRANSIENT
    # Redirections are not followed: whoever answers with one is not the service, and would learn a token.
    return PERMANENT
