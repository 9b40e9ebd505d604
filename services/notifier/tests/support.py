"""What the tests share: values, real servers, and parts of a notifier process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nats.aio.client import Client
from pydantic import SecretStr

from contracts import subjects
from contracts.codec import encode
from contracts.delivery import OfflineDelivery, OfflineReason
from contracts.envelope import Envelope
from contracts.events import MessageCreated, UserNotified
from contracts.ids import new_id
from contracts.messages import MessageType, SenderType
from contracts.notices import Notification
from kit.health import Health
from notifier.deliveries import Delivery
from notifier.dispatch import POSTGRES, Dispatch
from notifier.inbox import NATS, Inbox
from notifier.metrics import Metrics
from notifier.settings import NotifierSettings
from notifier.stopping import Stop
from notifier.store import Store
from notifier.testing import RecordingProvider
from notifier.wake import Wake
from stack.stack import Stack

AT = datetime(2026, 1, 31, 8, 15, 30, tzinfo=UTC)


# --- values -----------------------------------------------------------------------------------------------------------


def message(**changes: Any) -> MessageCreated:
    """A text message of bob's; any field may be changed."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "conversation_id": new_id(),
        "seq": 1,
        "sender_id": "bob",
        "sender_type": SenderType.CHAT,
        "sender_name": "Bob",
        "message_type": MessageType.TEXT,
        "content": "hello",
        "created_at": AT,
    }
    return MessageCreated(**(fields | changes))


def notified(user_id: str = "alice", **changes: Any) -> UserNotified:
    """The system says something to alice; any field of the notification may be changed."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "user_id": user_id,
        "title": "Your appointment",
        "content": "tomorrow at nine",
        "type": "appointment_reminder",
        "action": "open_appointment",
        "created_at": AT,
    }
    return UserNotified(notification=Notification(**(fields | changes)))


def notification_event(data: UserNotified) -> Envelope:
    """The event that carries it, in the user's own stream."""
    stream = f"user:{data.notification.user_id}"
    about = {"type": data.type, "subject": stream, "partitionkey": stream, "data": data.model_dump(mode="json")}
    return envelope().model_copy(update=about)


def envelope(data: MessageCreated | None = None, **changes: Any) -> Envelope:
    """The event that carries `data`; any field may be changed."""
    data = data or message()
    fields: dict[str, Any] = {
        "id": new_id(),
        "type": data.type,
        "subject": f"conversation:{data.conversation_id}",
        "time": AT,
        "seq": data.seq,
        "position": 1,
        "partitionkey": data.conversation_id,
        "data": data.model_dump(mode="json"),
    }
    return Envelope(**(fields | changes))


def offline(user_id: str = "alice", event: Envelope | None = None, **changes: Any) -> OfflineDelivery:
    """What fan-out hands over when `user_id` has no connection."""
    fields: dict[str, Any] = {
        "user_id": user_id,
        "reason": OfflineReason.NO_CONNECTION,
        "event": event or envelope(),
        "decided_at": datetime.now(UTC),
    }
    return OfflineDelivery(**(fields | changes))


def delivery(data: Any = None, *, user_id: str = "alice", event: Envelope | None = None) -> Delivery:
    """A row of the inbox; without arguments one that becomes a push."""
    data = message() if data is None else data
    return Delivery(
        id=1,
        user_id=user_id,
        reason=OfflineReason.NO_CONNECTION,
        event=event or envelope(),
        data=data,
        decided_at=AT,
        attempts=0,
    )


async def until(condition: Callable[[], Any], *, timeout_s: float = 30.0) -> Any:
    """Poll until `condition()` (awaited if need be) is true, and return what it said."""
    async with asyncio.timeout(timeout_s):
        while True:
            said = condition()
            if asyncio.iscoroutine(said):
                said = await said
            if said:
                return said
            await asyncio.sleep(0.02)


# --- servers ----------------------------------------------------------------------------------------------------------


@dataclass
class Servers:
    """Addresses and handles of the real servers; they run in a thread of their own, beside each test's loop."""

    stack: Stack
    loop: asyncio.AbstractEventLoop

    def settings(self, **changes: Any) -> NotifierSettings:
        """Settings of a notifier on these servers, quick enough for a test."""
        fields: dict[str, Any] = {
            "port": 0,
            "jwt_secret": SecretStr(self.stack.jwt_secret),
            "nats_url": self.stack.nats_url,
            "nats_user": "notifier",
            "nats_password": SecretStr(self.stack.nats_password("notifier")),
            "database_url": self.stack.database_url,
            "database_password": SecretStr(self.stack.database_password),
            "inbox_ack_wait_s": 2.0,
            "retry_base_s": 0.01,
            "retry_cap_s": 0.05,
            "poll_interval_s": 0.2,
        }
        return NotifierSettings(**(fields | changes))

    async def part(self, name: str, action: str) -> None:
        """Kill, start, suspend or resume `nats` or `postgres`."""
        handle = asyncio.run_coroutine_threadsafe(getattr(self.stack.part(name), action)(), self.loop)
        await asyncio.wrap_future(handle)


# --- a notifier, or half of one ---------------------------------------------------------------------------------------


class Bench:
    """Parts of one notifier process, wired as `notifier.app` wires them."""

    def __init__(self, settings: NotifierSettings, store: Store, provider: RecordingProvider) -> None:
        self.settings = settings
        self.store = store
        self.provider = provider
        self.metrics = Metrics()
        self.health = Health(NATS, POSTGRES)
        self.wake = Wake()
        self.stop = Stop()
        self.inbox = Inbox(settings, store, self.metrics, self.health, self.wake, self.stop)
        self.dispatch = Dispatch(settings, store, provider, self.metrics, self.health, self.wake, self.stop)

    @asynccontextmanager
    async def running(self, *parts: str) -> AsyncIterator[None]:
        """`inbox`, `dispatch` or both, stopped the polite way at the end."""
        async with asyncio.TaskGroup() as tasks:
            for part in parts:
                tasks.create_task(getattr(self, part).run())
            try:
                yield
            finally:
                self.stop.set()

    def count(self, name: str) -> float:
        """The sum of a counter over its labels."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == name
        )


async def publish(client: Client, *deliveries: OfflineDelivery) -> None:
    """Hand deliveries over as fan-out does."""
    for each in deliveries:
        await client.jetstream().publish(subjects.offline(each.user_id), encode(each))
