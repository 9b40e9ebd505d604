"""Answers as it is told, and writes down what it took."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from contracts import times
from contracts.devices import PushService
from notifier.providers.base import TransientPushError
from notifier.providers.stub import payload
from notifier.providers.stub.errors import StubAnswer, answer_of_token, error
from notifier.providers.stub.settings import StubSettings
from notifier.push import Push


class StubProvider:
    """No push leaves this process."""

    name = "stub"
    can_retract = True
    retractions_per_hour: int | None = None

    def __init__(self, settings: StubSettings, *, alone: bool = False, now: Callable[[], datetime] = times.now) -> None:
        """`alone`: it is the only provider, and carries everything, also for users without a device."""
        self._settings = settings
        self._now = now
        self.services = frozenset[PushService]() if alone else frozenset({PushService.STUB})

    async def send(self, push: Push) -> str | None:
        """Take it, or fail as told; raises `PushError`."""
        answer = self._answer(push)
        failed = error(answer)
        if failed is not None:
            raise failed
        if answer is StubAnswer.SLOW:
            await asyncio.sleep(self._settings.stub_slow_s)
        if self._settings.stub_log is not None:
            try:
                with self._settings.stub_log.open("a", encoding="utf-8") as log:
                    log.write(payload.line(push, self._now()))
            except OSError as unwritten:
                raise TransientPushError(f"stub: cannot write: {type(unwritten).__name__}") from None
        return f"stub-{push.id}"

    async def close(self) -> None:
        """Nothing is held."""

    def _answer(self, push: Push) -> StubAnswer:
        asked = None if push.target is None else answer_of_token(push.target.token)
        if asked is not None:
            return asked
        if self._settings.stub_file is not None:
            try:
                word = self._settings.stub_file.read_text(encoding="utf-8").split()[0]
                return StubAnswer(word)
            except (OSError, ValueError, IndexError):
                # Nobody has written it yet, or something that is no answer.
                return self._settings.stub_answer
        return self._settings.stub_answer


def from_environment(*, alone: bool = False) -> StubProvider:
    """The provider as the environment describes it."""
    return StubProvider(StubSettings(), alone=alone)
