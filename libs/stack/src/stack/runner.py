"""Runs a coroutine until it ends or a signal asks for the end, and lets it clean up either way."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

_PARENT_POLL_S = 0.5


def run_until_signal(main: Coroutine[Any, Any, Any], *, with_parent: bool = False) -> int:
    """Run `main`; SIGINT, SIGTERM and SIGHUP cancel it. Return 0 when it ended or was asked to; errors go through.

    With `with_parent` the death of the process that started this one asks for the end, too.

    A second signal changes nothing: an impatient second Ctrl-C would otherwise interrupt the orderly stop. To end it at
    once use SIGKILL, which ends every part too.
    """

    async def guarded() -> int:
        task = asyncio.ensure_future(main)
        asked = False

        def ask() -> None:
            nonlocal asked
            if not asked:
                asked = True
                task.cancel()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, ask)
        watch = asyncio.ensure_future(_until_orphaned(ask)) if with_parent else None
        try:
            await task
        except asyncio.CancelledError:
            if not asked:
                raise
        finally:
            if watch is not None:
                watch.cancel()
        return 0

    return asyncio.run(guarded())


async def _until_orphaned(ask: Callable[[], None]) -> None:
    # Polled: the kernel's death signal follows the parent's thread, and exists on Linux only.
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110
        await asyncio.sleep(_PARENT_POLL_S)
    ask()
