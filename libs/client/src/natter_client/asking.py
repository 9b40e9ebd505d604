"""One HTTP request that can be cancelled at any moment and leaves no connection behind.

Before a request httpcore closes the connections that the server has ended meanwhile, one after the other. It shields
that from anyio's cancellations, but not from asyncio's: those not closed yet are forgotten with their sockets open,
until a garbage collection finds them and warns.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import httpx


async def ask(http: httpx.AsyncClient, method: str, url: str, **request: Any) -> httpx.Response:
    """As `http.request`, in a task of its own that hears of a cancellation by anyio; returns once that has ended."""
    scope = anyio.CancelScope()

    async def asking() -> httpx.Response | None:
        with scope:
            return await http.request(method, url, **request)
        return None

    task = asyncio.create_task(asking())
    try:
        response = await asyncio.shield(task)
    except asyncio.CancelledError:
        scope.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # of no interest any more
        raise
    assert response is not None  # the scope ends it only when we are cancelled
    return response
