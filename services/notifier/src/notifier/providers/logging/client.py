"""Prints pushes to standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from contracts import times
from contracts.devices import PushService
from notifier.providers.logging import payload
from notifier.providers.logging.errors import OutputBroken
from notifier.providers.logging.settings import LoggingSettings
from notifier.push import Push


class LoggingProvider:
    """The seed's `logging` provider: what a device would have got, readable in the service's log."""

    name = "logging"
    services: frozenset[PushService] = frozenset()
    """It prints what no other provider carries, and what is for users without a device."""
    can_retract = False
    retractions_per_hour: int | None = None

    def __init__(
        self, settings: LoggingSettings, *, output: TextIO | None = None, now: Callable[[], datetime] = times.now
    ) -> None:
        self._settings = settings
        self._output = output or sys.stdout
        self._now = now

    async def send(self, push: Push) -> str | None:
        """Print it; raises `OutputBroken`."""
        text = payload.json_line(push, self._now()) if self._settings.log_format == "json" else payload.block(push)
        try:
            # One write: log lines of the same process never land inside a block.
            self._output.write(text)
            self._output.flush()
        except (OSError, ValueError) as broken:
            raise OutputBroken(f"cannot print: {type(broken).__name__}") from broken
        return None

    async def close(self) -> None:
        """Nothing is held; standard output belongs to the process."""


def from_environment() -> LoggingProvider:
    """As `NOTIFICATION_PROVIDER=logging` asks for it."""
    return LoggingProvider(LoggingSettings())
