"""Runs a coroutine until it ends or a signal asks for the end, and lets it clean up either way."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


def run_until_signal(main: Coroutine[Any, Any, Any]) -> int:
    """Run `main`; SIGINT, SIGTERM and SIGHUP cancel it. Return 0 when it ended or was asked to; errors go through.

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
        try:
            await task
        except asyncio.CancelledError:
            if not asked:
                raise
        return 0

    return asyncio.run(guarded())
