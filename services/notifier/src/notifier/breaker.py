"""Leaves a provider alone that does not accept our credentials: the queue is not burnt on what cannot work."""

from __future__ import annotations

from collections.abc import Callable

CLOSED_S = 60.0
"""How long nothing is tried; then one push is, and if it is refused again so long once more."""


class Breaker:
    """One per provider and process."""

    def __init__(self, now: Callable[[], float], closed_s: float = CLOSED_S) -> None:
        """`now` is a monotonic clock, in seconds."""
        self._now = now
        self._closed_s = closed_s
        self._until: float | None = None
        self._probing = False

    @property
    def refused(self) -> bool:
        """Whether the provider has refused us, and nothing has worked since."""
        return self._until is not None

    def wait_s(self) -> float | None:
        """Seconds until a push may be tried; None: now. Who gets None must say how it went."""
        if self._until is None:
            return None
        left = self._until - self._now()
        if left > 0:
            return left
        if self._probing:
            # Somebody is finding out.
            return 1.0
        self._probing = True
        return None

    def went(self, *, refused: bool) -> bool:
        """How a push went that was tried; returns whether that changed something."""
        before, self._probing = self.refused, False
        self._until = self._now() + self._closed_s if refused else None
        return before != refused
