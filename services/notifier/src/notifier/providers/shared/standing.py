"""Whether a service has lately taken our pushes: tells credentials that are wrong from one token that is another's.

Anybody may register a token that belongs to somebody else's app. Its refusal looks like a refusal of our credentials;
believed at once, it would stop everybody's pushes, and would do so again each time that it is the one which tries
whether the service takes pushes again.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

from notifier.providers.shared.verdicts import REFUSED, Meaning, Verdict

LATELY_S = 3_600.0
REMEMBERED_MAX = 1_000
DOUBTFUL = Verdict(Meaning.TRANSIENT, wait_s=300.0)
"""Refused, while others are taken: this push alone waits, and fails in the end if nothing changes."""


class Standing:
    """What servers said within the last hour; forgets the oldest when there are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accepted: OrderedDict[str, float] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()

    def accepted(self, server: str) -> None:
        """`server` took a push."""
        self._accepted[server] = self._clock()
        self._accepted.move_to_end(server)
        if len(self._accepted) > REMEMBERED_MAX:
            self._accepted.popitem(last=False)

    def takes_ours(self, server: str) -> bool:
        """Whether `server` took one lately."""
        return self._is_lately(self._accepted.get(server))

    def refused(self, token: str) -> Verdict:
        """What a refusal of a push to `token` means: that of our credentials, or of this token alone."""
        repeated = self._is_repeated(token)
        # The latest of all stands last.
        latest = next(reversed(self._accepted.values()), None)
        return DOUBTFUL if repeated or self._is_lately(latest) else REFUSED

    def _is_repeated(self, token: str) -> bool:
        key = hashlib.sha256(token.encode()).digest()
        before = self._refused.pop(key, None)
        self._refused[key] = self._clock()
        if len(self._refused) > REMEMBERED_MAX:
            self._refused.popitem(last=False)
        return self._is_lately(before)

    def _is_lately(self, at: float | None) -> bool:
        return at is not None and self._clock() - at < LATELY_S
