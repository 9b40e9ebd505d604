"""What a round is going to do with a delivery: its outcome, or the pushes that have to be tried; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.devices import PushDevice
from contracts.ids import new_id
from contracts.pushes import DevicePushState, PushState, SkipReason
from notifier.compose import Told
from notifier.decide import Facts
from notifier.deliveries import Delivery, DeviceRow, Outcome, PushOutcome
from notifier.providers.base import Provider
from notifier.providers.routing import Routed


@dataclass(slots=True)
class Begun:
    """One push that is to be tried now."""

    row: DeviceRow
    provider: Provider
    device: PushDevice | None
    is_new: bool
    """It is not written down yet."""
    carries: tuple[tuple[int, str], ...] = ()
    """Retractions (id, conversation) that it takes along."""


@dataclass(slots=True)
class Plan:
    """One delivery, or everything that was held of a user with the newest last."""

    deliveries: tuple[Delivery, ...]
    outcome: Outcome | None = None
    """Set if nothing is to be sent."""
    told: tuple[Told, ...] = ()
    facts: Facts | None = None
    begun: tuple[Begun, ...] = ()
    ended: tuple[PushOutcome, ...] = field(default=())
    """Pushes of earlier rounds that will not be tried again: the device is gone, or has it by now."""

    @property
    def user_id(self) -> str:
        """Whose it is."""
        return self.deliveries[-1].user_id


def plan_of(deliveries: tuple[Delivery, ...], told: Sequence[Told], routed: Sequence[Routed], facts: Facts) -> Plan:
    """A push for each device that is routed: the one that is written down, or a new one."""
    newest = deliveries[-1]
    rows = {(row.device_id, row.provider): row for row in newest.pushes}
    begun: list[Begun] = []
    for one in routed:
        device = one.device
        key = (None if device is None else device.id, one.provider.name)
        row = rows.pop(key, None)
        if row is None:
            row = DeviceRow(new_id(), key[0], None if device is None else device.device_type, one.provider.name)
            begun.append(Begun(row, one.provider, device, is_new=True))
        elif row.state is DevicePushState.PENDING and row.due_now:
            begun.append(Begun(row, one.provider, device, is_new=False))
    registered = {device.id for device in facts.user.devices}
    ended = tuple(
        PushOutcome(
            row,
            DevicePushState.SKIPPED,
            skip_reason=SkipReason.DELIVERED if row.device_id in registered else SkipReason.TOKEN_GONE,
        )
        for row in rows.values()
        if row.state is DevicePushState.PENDING
    )
    return Plan(deliveries, told=tuple(told), facts=facts, begun=tuple(begun), ended=ended)


def skipped(delivery: Delivery, reason: SkipReason) -> Outcome:
    """No push, or no further one: what earlier rounds have sent stays sent."""
    states = {row.state for row in delivery.pushes}
    pushes = tuple(
        PushOutcome(row, DevicePushState.SKIPPED, skip_reason=reason)
        for row in delivery.pushes
        if row.state is DevicePushState.PENDING
    )
    if DevicePushState.ACCEPTED in states:
        return Outcome(PushState.SENT, pushes=pushes)
    if DevicePushState.FAILED in states:
        return Outcome(PushState.DEAD, pushes=pushes)
    return Outcome(PushState.SKIPPED, skip_reason=reason, pushes=pushes)


def given_back(delivery: Delivery) -> Outcome:
    """Nothing was tried; it is due as it was."""
    return Outcome(PushState.PENDING, held=delivery.held, given_back=True)


def outcomes_of(deliveries: Sequence[Delivery], outcome: Outcome) -> dict[int, Outcome]:
    """What becomes of each delivery of a plan, by its id: a digest's others wait with its newest, and end with it."""
    *others, newest = deliveries
    return {**{other.id: _of_the_others(other, newest, outcome) for other in others}, newest.id: outcome}


def _of_the_others(other: Delivery, newest: Delivery, outcome: Outcome) -> Outcome:
    match outcome.state:
        case PushState.PENDING if outcome.pushes:
            return Outcome(PushState.PENDING, held=other.held, follows=newest.id)
        case PushState.PENDING:
            return Outcome(
                PushState.PENDING, wait_s=outcome.wait_s, until=outcome.until, held=other.held,
                given_back=outcome.given_back,
            )  # fmt: skip
        case PushState.SENT:
            return skipped(other, SkipReason.DIGESTED)
        case PushState.SKIPPED:
            return skipped(other, outcome.skip_reason or SkipReason.DIGESTED)
        case PushState.DEAD:
            ended = skipped(other, SkipReason.DIGESTED)
            if ended.state is PushState.SENT:
                return ended
            return Outcome(PushState.DEAD, error=outcome.error, held=other.held, pushes=ended.pushes)
