"""What the harness knows of one message that reached no device of one user."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from contracts.delivery import OfflineReason
from contracts.envelope import Envelope
from contracts.events import MessageCreated, UserNotified
from contracts.ids import new_id
from contracts.pushes import DevicePushState, PushState, SkipReason
from notifier.deliveries import Delivery, about
from notifier.push import Push


@dataclass(slots=True)
class Attempts:
    """The push to one device, or to the user."""

    due: datetime
    push_id: str = field(default_factory=new_id)
    state: DevicePushState = DevicePushState.PENDING
    count: int = 0
    reason: SkipReason | None = None


@dataclass(slots=True)
class Waiting:
    """One message and one user. Read it after `NotifierHarness.advance`."""

    id: int
    user_id: str
    told: MessageCreated | UserNotified
    offline_reason: OfflineReason
    at: datetime
    event: Envelope
    due: datetime
    state: PushState = PushState.PENDING
    reason: SkipReason | None = None
    """Why there was no push, if there was none."""
    held: bool = False
    """It waits for the end of quiet hours or of a snooze."""
    pushes: list[Push] = field(default_factory=list)
    """What providers took."""
    errors: list[str] = field(default_factory=list)
    """Why they did not, in the order of the attempts."""
    attempts: dict[tuple[str | None, str], Attempts] = field(default_factory=dict)
    """By device and provider."""

    @property
    def conversation_id(self) -> str | None:
        """Where it was said; None: outside of any conversation."""
        return about(self.told).conversation_id

    def delivery(self) -> Delivery:
        """As the rules get it."""
        return Delivery(
            id=self.id,
            user_id=self.user_id,
            reason=self.offline_reason,
            event=self.event,
            data=self.told,
            decided_at=self.at,
            attempts=0,
            held=self.held,
        )

    def settle(self, state: PushState, reason: SkipReason | None = None) -> None:
        """It is over. What was sent before stays sent."""
        states = {one.state for one in self.attempts.values()}
        if state is PushState.SKIPPED and states & {DevicePushState.ACCEPTED, DevicePushState.FAILED}:
            state = PushState.SENT if DevicePushState.ACCEPTED in states else PushState.DEAD
            reason = None
        self.state, self.reason, self.held = state, reason, False

    def end_others(self, keys: Collection[tuple[str | None, str]], registered: Collection[str]) -> None:
        """Attempts that are none of `keys` end: the device is gone, or has it by now."""
        for key, one in self.attempts.items():
            if key not in keys and one.state is DevicePushState.PENDING:
                one.state = DevicePushState.SKIPPED
                one.reason = SkipReason.DELIVERED if key[0] in registered else SkipReason.TOKEN_GONE

    def settle_by_attempts(self) -> None:
        """It is over if no attempt is left; else it is due with the next one."""
        states = {one.state for one in self.attempts.values()}
        if DevicePushState.PENDING in states:
            self.due = min(one.due for one in self.attempts.values() if one.state is DevicePushState.PENDING)
        elif DevicePushState.ACCEPTED in states:
            self.settle(PushState.SENT)
        elif DevicePushState.FAILED in states:
            self.settle(PushState.DEAD)
        else:
            reasons = [one.reason for one in self.attempts.values() if one.reason is not None]
            self.settle(PushState.SKIPPED, reasons[-1] if reasons else SkipReason.NO_DEVICE)
