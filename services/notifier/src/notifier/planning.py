"""Claimed deliveries → plans: how things stand is asked once for all of them, then each is decided.

Everything that can be said before the first push leaves is said here, and a row per push is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.pushes import PushState, SkipReason
from kit.logs import Stage, logger
from notifier.afterwards.record import AfterwardsRecord
from notifier.compose import Told
from notifier.decide import Decision, Facts, Later, Policy, Send, Skip, decide, first_look
from notifier.deliveries import Delivery, Outcome
from notifier.facts import FactsClient
from notifier.metrics import Metrics
from notifier.plans import Plan, plan_of, skipped
from notifier.sending import Sending
from notifier.store import Lease, Store

log = logger()

CARRIED_MAX = 500
"""Most retractions that one round's pushes carry."""
UNANSWERED_WAIT_S = 2.0
"""When what chat-api said nothing about is asked about again, while it does answer for others."""
BUG_WAIT_S = 60.0
"""When a delivery is looked at again that could not be decided."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What deliveries are decided with."""

    store: Store
    afterwards: AfterwardsRecord
    facts: FactsClient
    sending: Sending


@dataclass(slots=True)
class _Round:
    """What has been planned so far."""

    plans: list[Plan] = field(default_factory=list)
    held: dict[str, list[tuple[Delivery, Send, Facts]]] = field(default_factory=dict)
    """What was held of a user, and is still worth telling."""
    unanswered: dict[str, list[Delivery]] = field(default_factory=dict)
    """What belongs together, and cannot be decided now."""


class Planner:
    """Decides; sends nothing."""

    def __init__(self, policy: Policy, parts: Parts, metrics: Metrics, now: Callable[[], datetime]) -> None:
        self._policy = policy
        self._store = parts.store
        self._afterwards = parts.afterwards
        self._facts = parts.facts
        self._sending = parts.sending
        self._metrics = metrics
        self._now = now

    async def plan(self, lease: Lease, deliveries: Sequence[Delivery], known: Mapping[int, Outcome]) -> list[Plan]:
        """A plan for each of them, or for what was held together; `known` are outcomes that need only be written.

        Raises `FactsUnavailable` when nobody says how things stand, and `StoreError`.
        """
        looked = {one.id: first_look(one) for one in deliveries if one.id not in known}
        to_ask = [one for one in deliveries if looked.get(one.id, one) is None]
        facts = await self._facts.ask(to_ask) if to_ask else {}
        held_unanswered = {one.user_id for one in to_ask if one.held and one.id not in facts}
        planned, now = _Round(), self._now()
        for delivery in deliveries:
            skip = looked.get(delivery.id)
            if delivery.id in known:
                # It went out already, and was claimed again only because nobody could write that down.
                planned.plans.append(Plan((delivery,), outcome=known[delivery.id]))
            elif skip is not None:
                self._decided(planned, delivery, skip, None)
            elif delivery.held and delivery.user_id in held_unanswered:
                planned.unanswered.setdefault(f"held of {delivery.user_id}", []).append(delivery)
            elif delivery.id not in facts:
                planned.unanswered[str(delivery.id)] = [delivery]
            else:
                about = facts[delivery.id]
                self._decided(planned, delivery, self._decide(delivery, about, now), about)
        for unanswered in planned.unanswered.values():
            waits = Outcome(PushState.PENDING, wait_s=UNANSWERED_WAIT_S, held=unanswered[-1].held)
            planned.plans.append(Plan(tuple(unanswered), outcome=waits))
        for of_user in planned.held.values():
            planned.plans.append(self._digest(of_user))
        await self._begin(lease, planned.plans)
        return planned.plans

    def _decide(self, delivery: Delivery, facts: Facts, now: datetime) -> Decision:
        try:
            return decide(delivery, facts, self._policy, now)
        except Exception:
            # One delivery that nobody can decide must not stop everybody's pushes.
            log.exception("cannot be decided", stage=Stage.LOCAL_PUSH, event_id=delivery.event.id)
            if now - delivery.worth_since >= timedelta(seconds=self._policy.ttl_s):
                return Skip(SkipReason.EXPIRED)
            return Later(now + timedelta(seconds=BUG_WAIT_S), held=delivery.held)

    def _decided(self, planned: _Round, delivery: Delivery, decision: Decision, facts: Facts | None) -> None:
        match decision:
            case Skip(reason):
                self._metrics.decided.labels("skip", reason.value).inc()
                planned.plans.append(Plan((delivery,), outcome=skipped(delivery, reason)))
            case Later(when, held):
                self._metrics.decided.labels("later", "held" if held else "grace").inc()
                planned.plans.append(Plan((delivery,), outcome=Outcome(PushState.PENDING, until=when, held=held)))
            case Send() as send:
                assert facts is not None
                self._metrics.decided.labels("send", delivery.reason.value).inc()
                if delivery.held:
                    planned.held.setdefault(delivery.user_id, []).append((delivery, send, facts))
                else:
                    planned.plans.append(self._to_send((delivery,), (send.told,), send, facts))

    def _digest(self, of_user: Sequence[tuple[Delivery, Send, Facts]]) -> Plan:
        """What was held of a user and is still worth telling is one push, on the newest of them."""
        _, send, facts = of_user[-1]
        return self._to_send(
            tuple(delivery for delivery, _, _ in of_user), tuple(one.told for _, one, _ in of_user), send, facts
        )

    def _to_send(self, deliveries: tuple[Delivery, ...], told: tuple[Told, ...], send: Send, facts: Facts) -> Plan:
        routed = self._sending.route(send.devices)
        if isinstance(routed, SkipReason):
            return Plan(deliveries, outcome=skipped(deliveries[-1], routed))
        return plan_of(deliveries, told, routed, facts)

    async def _begin(self, lease: Lease, plans: Sequence[Plan]) -> None:
        """A row per device, before the first push leaves; and what those pushes carry beside their own words."""
        new = [(plan.deliveries[-1].id, begun.row) for plan in plans for begun in plan.begun if begun.is_new]
        if new:
            await self._store.begin(lease.token, new)
        devices = {begun.device.id for plan in plans for begun in plan.begun if begun.device is not None}
        if devices and self._sending.any_can_retract:
            waiting = await self._afterwards.waiting_for(devices, CARRIED_MAX)
            for plan in plans:
                for begun in plan.begun:
                    if begun.device is not None:
                        # The first push to a device takes all.
                        begun.carries = tuple(waiting.pop(begun.device.id, ()))
