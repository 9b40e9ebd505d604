"""When to come back after a connection ended, and when not. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from contracts.codes import CloseCode
from natter_client.errors import NatterError, Replaced, TurnedAway
from natter_client.options import ClientOptions

_FOR_GOOD = frozenset({CloseCode.BAD_FRAME, CloseCode.FORBIDDEN, CloseCode.FRAME_TOO_BIG})
_SLOW_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Ended:
    """How a connection, or the attempt to make one, ended.

    `lasted_s` counts from `connected`, None if it never came so far. `told_s` is how long from now the server's
    `reconnect` said to wait, None if it said nothing. `close_code` is None where no close frame came.
    """

    lasted_s: float | None = None
    close_code: int | None = None
    reason: str = ""
    told_s: float | None = None
    retry_after_s: float = 0.0
    token_refused: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Come back after `wait_s`, perhaps with a fresh token; `offline` says that it has failed for long."""

    wait_s: float
    fresh_token: bool = False
    offline: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not come back; the user of the client must know."""

    why: NatterError


Comeback: TypeAlias = Pause | GiveUp


class Backoff:
    """Full jitter, so that many clients that lost the same server do not come back together; it never ends."""

    def __init__(self, options: ClientOptions, random: Callable[[], float]) -> None:
        self._options = options
        self._random = random
        self.attempts = 0
        """Attempts in a row that led to no stable connection."""

    def after(self, ended: Ended) -> Comeback:
        """What to do now."""
        if ended.close_code == CloseCode.REPLACED:
            return GiveUp(Replaced("the same device has connected again"))
        if ended.close_code in _FOR_GOOD:
            assert ended.close_code is not None
            return GiveUp(TurnedAway(ended.close_code, ended.reason))
        options = self._options
        if ended.lasted_s is not None and ended.lasted_s >= options.stable_after_s:
            self.attempts = 0
        if ended.told_s is not None:
            # The server has spread its clients over time already.
            self.attempts = 0
            return Pause(max(0.0, ended.told_s))
        fresh_token = ended.token_refused or ended.close_code == CloseCode.UNAUTHENTICATED
        at_least_s = ended.retry_after_s
        if ended.close_code == CloseCode.TOO_MANY:
            at_least_s = max(at_least_s, options.backoff_base_s)
        self.attempts += 1
        if self.attempts > options.attempts_max:
            wait_s = options.slow_retry_s * (1 + _SLOW_JITTER * (2 * self._random() - 1))
            return Pause(max(wait_s, at_least_s), fresh_token, offline=True)
        return Pause(at_least_s + self._random() * self.ceiling_s(), fresh_token)

    def ceiling_s(self) -> float:
        """The longest wait before the attempt that comes now."""
        return exponential(self.attempts, self._options.backoff_base_s, self._options.backoff_cap_s)


def exponential(attempt: int, base_s: float, cap_s: float) -> float:
    """`base_s` doubled with each attempt after the first, at most `cap_s`."""
    return min(cap_s, base_s * 2.0 ** min(attempt - 1, 60))
