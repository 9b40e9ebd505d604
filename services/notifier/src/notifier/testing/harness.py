"""A notifier in memory: its own rules, words and routing, over facts that a test says and a clock that a test sets.

No NATS, no Postgres, no chat-api: what a push is decided by is `notifier.decide`, what it says `notifier.compose`, who
carries it `notifier.providers.routing`, the same as in production. What is not here is what servers are for: leases,
crashes, several processes, and retractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from contracts.delivery import OfflineReason
from contracts.devices import DeviceType, Platform, PushDevice, PushService
from contracts.envelope import Envelope
from contracts.events import MessageCreated, UserNotified
from contracts.ids import new_id
from contracts.messages import MessageType, SenderType
from contracts.notices import Notification
from contracts.pushes import DevicePushState, PushState, SkipReason
from contracts.pushfacts import DeliveryFacts, UserFacts
from notifier.compose import Composer, PushContent
from notifier.decide import Facts, Later, Policy, Send, Skip, decide, first_look
from notifier.providers.base import (
    PermanentPushError,
    Provider,
    ProviderRefusedError,
    PushError,
    TokenGoneError,
    TransientPushError,
)
from notifier.providers.routing import Routed, route
from notifier.push import Push
from notifier.retry import RetryPolicy, wait_before_retry
from notifier.testing.clock import FakeClock
from notifier.testing.provider import RecordingProvider
from notifier.testing.waiting import Attempts, Waiting
from notifier.texts import Texts

REFUSED_WAIT_S = 60.0
ROUNDS_MAX = 10_000
"""Of one `advance`: more is a push that is due for ever."""


class NotifierHarness:
    """Say what reached nobody, let time pass, and look at what was pushed.

    Retries wait as long as they can (no jitter), so that a test knows when they are due.
    """

    def __init__(
        self,
        *providers: Provider,
        policy: Policy | None = None,
        clock: FakeClock | None = None,
        content: PushContent = PushContent.FULL,
        locale: str = "en",
    ) -> None:
        """Without providers one that records everything: `providers[0]`."""
        self.providers: tuple[Provider, ...] = providers or (RecordingProvider(),)
        self.policy = policy or Policy()
        self.clock = clock or FakeClock()
        self._composer = Composer(Texts(default=locale), content, self.policy.ttl_s)
        self._retry = RetryPolicy()
        self._users: dict[str, UserFacts] = {}
        self._about: dict[int, dict[str, Any]] = {}
        self._waiting: list[Waiting] = []

    # --- what is so ---------------------------------------------------------------------------------------------------

    def user(self, user_id: str, **changes: Any) -> UserFacts:
        """How a user stands from now on: any field of `UserFacts` (`settings`, `devices`, `connections`, `badge`)."""
        before = self._users.get(user_id) or UserFacts(user_id=user_id)
        self._users[user_id] = UserFacts.model_validate(before.model_dump() | changes)
        return self._users[user_id]

    def device(self, user_id: str, service: PushService = PushService.STUB, **changes: Any) -> PushDevice:
        """Register a device; any field of `PushDevice` may be changed."""
        fields: dict[str, Any] = {
            "id": new_id(),
            "app_id": "app",
            "platform": Platform.OTHER,
            "push_service": service,
            "device_type": DeviceType.MOBILE,
            "token": f"token-{new_id()}",
            "registered_at": self.clock(),
        }
        device = PushDevice(**(fields | changes))
        self.user(user_id, devices=(*self._user(user_id).devices, device))
        return device

    def now(self, waiting: Waiting, **changes: Any) -> None:
        """How a message stands from now on: any field of `DeliveryFacts` (`read`, `deleted`, `content`, `muted`, …)."""
        self._about.setdefault(waiting.id, {}).update(changes)

    # --- what happens -------------------------------------------------------------------------------------------------

    def message(
        self,
        to: str,
        content: str = "hello",
        *,
        sender: str = "Bob",
        offline: OfflineReason = OfflineReason.NO_CONNECTION,
        **changes: Any,
    ) -> Waiting:
        """A message that reached no device of `to`; any field of `MessageCreated` may be changed."""
        fields: dict[str, Any] = {
            "id": new_id(),
            "conversation_id": new_id(),
            "seq": 1,
            "sender_id": sender.lower(),
            "sender_type": SenderType.CHAT,
            "sender_name": sender,
            "message_type": MessageType.TEXT,
            "content": content,
            "created_at": self.clock(),
        }
        told = MessageCreated(**(fields | changes))
        return self._hand_over(to, told, f"conversation:{told.conversation_id}", offline)

    def notification(
        self, to: str, title: str, content: str, *, offline: OfflineReason = OfflineReason.NO_CONNECTION, **changes: Any
    ) -> Waiting:
        """Something that the system says to one user; any field of `Notification` may be changed."""
        fields: dict[str, Any] = {
            "id": new_id(),
            "user_id": to,
            "title": title,
            "content": content,
            "type": "notice",
            "created_at": self.clock(),
        }
        return self._hand_over(to, UserNotified(notification=Notification(**(fields | changes))), f"user:{to}", offline)

    async def advance(self, seconds: float) -> None:
        """Let time pass: whatever is due on the way happens, at its own time."""
        end = self.clock() + timedelta(seconds=seconds)
        for _ in range(ROUNDS_MAX):
            due = min((one.due for one in self._waiting if one.state is PushState.PENDING), default=None)
            if due is None or due > end:
                self.clock.set(end)
                return
            self.clock.set(max(due, self.clock()))
            await self._round()
        raise AssertionError("something is due again and again, and time does not pass")

    def pushes_of(self, user_id: str) -> list[Push]:
        """What providers took for a user, oldest message first."""
        return [push for one in self._waiting if one.user_id == user_id for push in one.pushes]

    # --- the notifier -------------------------------------------------------------------------------------------------

    def _hand_over(self, to: str, told: MessageCreated | UserNotified, stream: str, offline: OfflineReason) -> Waiting:
        at = self.clock()
        event = Envelope(
            id=new_id(),
            type=told.type,
            subject=stream,
            time=at,
            seq=1,
            position=len(self._waiting) + 1,
            partitionkey=stream,
            data=told.model_dump(mode="json"),
        )
        waiting = Waiting(len(self._waiting) + 1, to, told, offline, at, event, due=at)
        self._waiting.append(waiting)
        return waiting

    async def _round(self) -> None:
        now = self.clock()
        held: dict[str, list[tuple[Waiting, Send, Facts]]] = {}
        for waiting in [one for one in self._waiting if one.state is PushState.PENDING and one.due <= now]:
            delivery, facts = waiting.delivery(), self._facts(waiting)
            match first_look(delivery) or decide(delivery, facts, self.policy, now):
                case Skip(reason):
                    waiting.settle(PushState.SKIPPED, reason)
                case Later(when, is_held):
                    waiting.due, waiting.held = when, is_held
                case Send() as send if waiting.held:
                    held.setdefault(waiting.user_id, []).append((waiting, send, facts))
                case Send() as send:
                    await self._send([(waiting, send, facts)])
        for of_user in held.values():
            await self._send(of_user)

    def _facts(self, waiting: Waiting) -> Facts:
        said = self._about.get(waiting.id, {})
        about_it = DeliveryFacts(user_id=waiting.user_id, event_id=waiting.event.id, **said)
        return Facts(about_it, self._user(waiting.user_id))

    def _user(self, user_id: str) -> UserFacts:
        return self._users.get(user_id) or UserFacts(user_id=user_id)

    async def _send(self, together: Sequence[tuple[Waiting, Send, Facts]]) -> None:
        """One push per device: of one message, or of everything that was held."""
        *others, (newest, send, facts) = together
        routed = route(self.providers, send.devices)
        if isinstance(routed, SkipReason):
            for waiting, _, _ in together:
                waiting.settle(PushState.SKIPPED, routed)
            return
        keys = [(None if one.device is None else one.device.id, one.provider.name) for one in routed]
        newest.end_others(keys, {device.id for device in facts.user.devices})
        for key, one in zip(keys, routed, strict=True):
            attempts = newest.attempts.setdefault(key, Attempts(self.clock()))
            if attempts.state is DevicePushState.PENDING and attempts.due <= self.clock():
                told = [each.told for _, each, _ in together]
                push = self._composer.digest(told, facts, one.device, attempts.push_id)
                await self._attempt(newest, one, attempts, push)
        newest.settle_by_attempts()
        for waiting, _, _ in others:
            if newest.state is PushState.PENDING:
                waiting.due = newest.due
            elif newest.state is PushState.SENT:
                waiting.settle(PushState.SKIPPED, SkipReason.DIGESTED)
            else:
                waiting.settle(newest.state, newest.reason)

    async def _attempt(self, waiting: Waiting, routed: Routed, attempts: Attempts, push: Push) -> None:
        try:
            await routed.provider.send(push)
        except PushError as failed:
            waiting.errors.append(str(failed))
            self._failed(waiting, routed, attempts, failed)
        else:
            attempts.state = DevicePushState.ACCEPTED
            waiting.pushes.append(push)

    def _failed(self, waiting: Waiting, routed: Routed, attempts: Attempts, failed: PushError) -> None:
        wait_s: float | None = None
        match failed:
            case ProviderRefusedError():
                attempts.due = self.clock() + timedelta(seconds=REFUSED_WAIT_S)
                return
            case TokenGoneError() if routed.device is not None:
                left = tuple(one for one in self._user(waiting.user_id).devices if one.id != routed.device.id)
                self.user(waiting.user_id, devices=left)
                attempts.state, attempts.reason = DevicePushState.SKIPPED, SkipReason.TOKEN_GONE
                return
            case PermanentPushError():
                pass
            case _:
                attempts.count += 1
                asked = failed.retry_after_s if isinstance(failed, TransientPushError) else None
                wait_s = wait_before_retry(self._retry, attempts.count, fraction=1.0, retry_after_s=asked)
        ends = waiting.event.time + timedelta(seconds=self.policy.ttl_s)
        if wait_s is None or self.clock() + timedelta(seconds=wait_s) >= ends:
            attempts.state = DevicePushState.FAILED
        else:
            attempts.due = self.clock() + timedelta(seconds=wait_s)
