"""What the stub can answer; pure."""

from __future__ import annotations

from enum import StrEnum

from notifier.providers.base import (
    PermanentPushError,
    ProviderRefusedError,
    PushError,
    TokenGoneError,
    TransientPushError,
)


class StubAnswer(StrEnum):
    """One for each thing that may become of a push."""

    OK = "ok"
    SLOW = "slow"
    """Taken, but late."""
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    GONE = "gone"
    REFUSED = "refused"


TOKEN_PREFIX = "stub-"  # noqa: S105 - how a token begins that names its answer
"""A device with the token `stub-gone` or `stub-gone-17` gets `gone`, whatever the others get."""


def answer_of_token(token: str) -> StubAnswer | None:
    """What a token asks for; None if it asks for nothing."""
    if not token.startswith(TOKEN_PREFIX):
        return None
    word = token.removeprefix(TOKEN_PREFIX).split("-")[0]
    return StubAnswer(word) if word in StubAnswer.__members__.values() else None


def error(answer: StubAnswer) -> PushError | None:
    """What to raise; None if the push is taken."""
    match answer:
        case StubAnswer.OK | StubAnswer.SLOW:
            return None
        case StubAnswer.TRANSIENT:
            return TransientPushError("stub: not now")
        case StubAnswer.PERMANENT:
            return PermanentPushError("stub: never")
        case StubAnswer.GONE:
            return TokenGoneError("stub: there is no such device")
        case StubAnswer.REFUSED:
            return ProviderRefusedError("stub: your credentials are not good")
