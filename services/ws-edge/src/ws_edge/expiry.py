"""Live signals that end by themselves: who was told of one, and until when it holds unless it is renewed."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Callable

EXPIRING_MAX = 100_000
"""Signals that one edge remembers. Beyond it the one that would end first ends at once: a client that sees somebody
stop typing too early is better off than one that sees them type for ever."""

EXPIRES_MAX_S = 60.0
"""No signal holds longer without a renewal, whatever it says."""


class Expiry:
    """Ends each signal at its time. `renew`, `forget` and `due` do no I/O; `run` is the one task."""

    def __init__(
        self, now: Callable[[], float], ended: Callable[[str, str], None], entries_max: int = EXPIRING_MAX
    ) -> None:
        """`ended(user_id, key)` takes the signal back."""
        self._now = now
        self._ended = ended
        self._entries_max = entries_max
        self._deadlines: dict[tuple[str, str], float] = {}
        # A renewal only moves the deadline; the heap's entry is put back where it belongs when its turn comes.
        self._heap: list[tuple[float, tuple[str, str]]] = []
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._deadlines)

    def renew(self, user_id: str, key: str, expires_in_s: float) -> None:
        """The user was told of the signal `key`, which holds so long from now."""
        place = (user_id, key)
        deadline_s = self._now() + min(expires_in_s, EXPIRES_MAX_S)
        before_s = self._deadlines.get(place)
        if before_s is None and len(self._deadlines) >= self._entries_max:
            self._end_the_next()
        self._deadlines[place] = deadline_s
        if before_s is not None and before_s <= deadline_s:
            return
        if not self._heap or deadline_s < self._heap[0][0]:
            self._wake.set()
        heapq.heappush(self._heap, (deadline_s, place))
        if len(self._heap) > 2 * self._entries_max:
            # What was forgotten and begun anew, again and again, has left entries behind.
            self._heap = [(at_s, one) for one, at_s in self._deadlines.items()]
            heapq.heapify(self._heap)

    def forget(self, user_id: str, key: str) -> None:
        """The signal has ended in words."""
        self._deadlines.pop((user_id, key), None)

    def due(self) -> list[tuple[str, str]]:
        """The signals whose time is over; they are forgotten."""
        now_s, found = self._now(), []
        while self._heap and self._heap[0][0] <= now_s:
            _, place = heapq.heappop(self._heap)
            deadline_s = self._deadlines.get(place)
            if deadline_s is None:
                continue
            if deadline_s > now_s:
                heapq.heappush(self._heap, (deadline_s, place))
                continue
            del self._deadlines[place]
            found.append(place)
        return found

    def _end_the_next(self) -> None:
        place = min(self._deadlines, key=self._deadlines.__getitem__)
        del self._deadlines[place]
        self._ended(*place)

    async def run(self) -> None:
        """End what is due; runs until cancelled."""
        while True:
            self._wake.clear()
            for place in self.due():
                self._ended(*place)
            wait_s = max(0.001, self._heap[0][0] - self._now()) if self._heap else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
