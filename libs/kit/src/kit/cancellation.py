"""Tells a cancellation that is meant for us from one that a library let slip, and keeps one that a library would lose.

A driver whose connection breaks in the middle of something may cancel the future that we wait for. `CancelledError`
then arrives in a task that nobody cancelled, passes every `except Exception`, and ends it without a word: a TaskGroup
takes a cancelled child for one that is done.

The other way round, `asyncio.wait_for` of Python 3.11 returns the result if a cancellation arrives in the same turn of
the loop. The task goes on as if nobody had asked it to stop, and whoever waits for its end waits for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


def is_meant() -> bool:
    """Inside `except asyncio.CancelledError`: whether somebody cancelled the current task."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


@contextmanager
def kept() -> Iterator[None]:
    """Raises `CancelledError` at the end if the current task was cancelled inside and the block did not notice."""
    task = asyncio.current_task()
    if task is None:
        yield
        return
    before = task.cancelling()
    yield
    if task.cancelling() > before:
        raise asyncio.CancelledError
