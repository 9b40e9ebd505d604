"""Poll until something is true, or say what was last seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(look: Callable[[], Any], *, timeout_s: float = 15.0, every_s: float = 0.02) -> Any:
    """Return the first truthy result of `look` (awaited, if it must be); its AssertionError also means "not yet"."""
    give_up = time.monotonic() + timeout_s
    while True:
        last: object
        try:
            seen = look()
            result = await seen if isinstance(seen, Awaitable) else seen
            if result:
                return result
            last = result
        except AssertionError as not_yet:
            last = not_yet
        assert time.monotonic() < give_up, f"still not so after {timeout_s:g} s; last seen: {last!r}"
        await asyncio.sleep(every_s)
