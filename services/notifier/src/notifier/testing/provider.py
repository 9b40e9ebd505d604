"""Stand-ins for integrators' and our own tests: a provider that records, and fails as told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from contracts.devices import PushService
from notifier.push import Push


class RecordingProvider:
    """Remembers every push it is given.

    `failures` are raised one by one, before it begins to succeed; `always` is raised every time.
    """

    def __init__(
        self,
        name: str = "recording",
        *,
        failures: Iterable[Exception] = (),
        always: Exception | None = None,
        services: Iterable[PushService] = (),
        can_retract: bool = False,
        retractions_per_hour: int | None = None,
    ) -> None:
        self._name = name
        self.services = frozenset(services)
        """Whose tokens it takes; none: it is for users."""
        self.can_retract = can_retract
        self.retractions_per_hour = retractions_per_hour
        self._failures = deque(failures)
        self._always = always
        self.asked: list[Push] = []
        """Every attempt, failed ones included."""
        self.sent: list[Push] = []
        """What was taken."""
        self.closed = False

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    async def send(self, push: Push) -> str | None:
        """Record, or fail as told."""
        self.asked.append(push)
        if self._always is not None:
            raise self._always
        if self._failures:
            raise self._failures.popleft()
        self.sent.append(push)
        return f"{self._name}-{len(self.sent)}"

    def fail(self, *failures: Exception) -> None:
        """Raise these next, one by one."""
        self._failures.extend(failures)

    def recover(self) -> None:
        """From now on it takes everything."""
        self._failures.clear()
        self._always = None

    async def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
