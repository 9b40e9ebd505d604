"""Ids of requests, which JPush gives out: the same one again is answered as before, and not pushed again."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence

POOL = 10
"""Ids that are fetched at once: as many as an application without a contract gets."""
GOOD_FOR_S = 43_200.0
"""JPush knows an id for a day; half of it is left for the attempts of one push."""
REMEMBERED_MAX = 10_000
PAUSE_S = 60.0
"""After a failure nobody asks again for so long: pushes go out without an id."""


class Cids:
    """One id for each push that is under way, kept until it is known what became of it.

    Kept in this process only: after a crash a push may go out once more, as it may everywhere.
    """

    def __init__(
        self, fetch: Callable[[int], Awaitable[Sequence[str]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`fetch` asks JPush for so many ids; none if it gives none."""
        self._fetch = fetch
        self._clock = clock
        self._free: deque[tuple[str, float]] = deque()
        self._of_push: OrderedDict[str, str] = OrderedDict()
        self._fetching = asyncio.Lock()
        self._not_before = 0.0

    async def of(self, push_id: str) -> str | None:
        """The id for this push, the same at each attempt; None if there is none."""
        if push_id in self._of_push:
            return self._of_push[push_id]
        cid = self._take()
        if cid is None:
            async with self._fetching:
                # Whoever waited here finds what the first one has fetched.
                cid = self._take() or await self._fetched()
        if cid is not None:
            self._of_push[push_id] = cid
            if len(self._of_push) > REMEMBERED_MAX:
                self._of_push.popitem(last=False)
        return cid

    def done(self, push_id: str) -> None:
        """The push will not be tried again."""
        self._of_push.pop(push_id, None)

    def _take(self) -> str | None:
        while self._free:
            cid, since = self._free.popleft()
            if self._clock() - since < GOOD_FOR_S:
                return cid
        return None

    async def _fetched(self) -> str | None:
        if self._clock() < self._not_before:
            return None
        found = await self._fetch(POOL)
        if not found:
            self._not_before = self._clock() + PAUSE_S
            return None
        self._free.extend((cid, self._clock()) for cid in found)
        return self._take()
