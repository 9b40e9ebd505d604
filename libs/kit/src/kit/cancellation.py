"""Tells a cancellation that is meant for us from one that a library let slip.

A driver whose connection breaks in the middle of something may cancel the future that we wait for. `CancelledError`
then arrives in a task that nobody cancelled, passes every `except Exception`, and ends it without a word: a TaskGroup
takes a cancelled child for one that is done.
"""

from __future__ import annotations

import asyncio


def is_meant() -> bool:
    """Inside `except asyncio.CancelledError`: whether somebody cancelled the current task."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
