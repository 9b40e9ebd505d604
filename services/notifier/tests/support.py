"""What the tests share: values, real servers, and parts of a notifier process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts import subjects
from contracts.codec import Contract, decode, encode
from contracts.delivery import OfflineDelivery, OfflineReason
from contracts.devices import DeviceType, Platform, PushDevice, PushService
from contracts.envelope import Envelope
from contracts.events import MessageCreated, UserNotified
from contracts.ids import new_id
from contracts.messages import MessageType, SenderType
from contracts.notices import Notification
from contracts.pushfacts import (
    DeliveryFacts,
    FactsRefused,
    PushFacts,
    PushFactsCommand,
    PushQuestion,
    TokenGone,
    TokenGoneReply,
    UserFacts,
)
from kit.health import Health
from notifier.afterwards.happened import Happened
from notifier.afterwards.record import AfterwardsRecord
from notifier.afterwards.retractor import Retractor
from notifier.compose import Composer
from notifier.deliveries import Delivery
from notifier.dispatch import FRESH_S, POSTGRES, Dispatch
from notifier.facts import FactsClient
from notifier.inbox import Inbox
from notifier.link import NATS, Link
from notifier.metrics import Metrics
from notifier.planning import Parts
from notifier.sending import Sending
from notifier.settings import NotifierSettings
from notifier.stopping import Stop
from notifier.store import Store
from notifier.testing import RecordingProvider
from notifier.texts import Texts
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
    """What fan-out hands over when `user_id` has no connection: it happened a moment ago."""
    event = event or envelope()
    if event.time == AT:
        event = event.model_copy(update={"time": datetime.now(UTC)})
    fields: dict[str, Any] = {
        "user_id": user_id,
        "reason": OfflineReason.NO_CONNECTION,
        "event": event,
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
            "push_grace_offline_s": 0.0,
        }
        return NotifierSettings(**(fields | changes))

    async def part(self, name: str, action: str) -> None:
        """Kill, start, suspend or resume `nats` or `postgres`."""
        handle = asyncio.run_coroutine_threadsafe(getattr(self.stack.part(name), action)(), self.loop)
        await asyncio.wrap_future(handle)


# --- what chat-api would say ------------------------------------------------------------------------------------------


class Record:
    """Answers the notifier over NATS as chat-api does, from what a test says; by default everybody takes part, has read
    nothing, and has no device."""

    def __init__(self) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        """Fields of `UserFacts`, by user."""
        self.deliveries: dict[str, dict[str, Any]] = {}
        """Fields of `DeliveryFacts`, by user."""
        self.refuses: str | None = None
        """The error instead of any answer."""
        self.refused_users: set[str] = set()
        """A request that asks about one of these gets an error."""
        self.asked: list[PushQuestion] = []
        self.requests = 0
        self.gone: list[TokenGone] = []

    async def serve(self, client: Client) -> None:
        """Answer over this connection."""
        await client.subscribe(subjects.NOTIFIER_ALL, queue=subjects.COMMAND_QUEUE, cb=self._on_request)
        await client.flush()

    async def _on_request(self, request: Msg) -> None:
        answer: Contract
        if self.refuses is not None:
            answer = FactsRefused(error=self.refuses)
        elif request.subject == subjects.NOTIFIER_GONE:
            told = decode(TokenGone, request.data)
            self.gone.append(told)
            for about in self.users.values():
                about["devices"] = tuple(one for one in about.get("devices", ()) if one.id != told.device)
            answer = TokenGoneReply(removed=True)
        else:
            command = decode(PushFactsCommand, request.data)
            if self.refused_users.isdisjoint(one.user_id for one in command.questions):
                answer = self._facts(command)
            else:
                answer = FactsRefused(error="too much")
        await request.respond(encode(answer))

    def _facts(self, command: PushFactsCommand) -> PushFacts:
        self.requests += 1
        self.asked += command.questions
        names = dict.fromkeys([*(one.user_id for one in command.questions), *command.user_ids])
        return PushFacts(
            at=datetime.now(UTC),
            deliveries=tuple(
                DeliveryFacts(user_id=one.user_id, event_id=one.event_id, **self.deliveries.get(one.user_id, {}))
                for one in command.questions
            ),
            users=tuple(UserFacts(user_id=name, **self.users.get(name, {})) for name in names),
        )


def phone(service: PushService = PushService.STUB, **changes: Any) -> PushDevice:
    """A registered device; any field may be changed."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "app_id": "app",
        "platform": Platform.OTHER,
        "push_service": service,
        "device_type": DeviceType.MOBILE,
        "token": f"token-{new_id()}",
        "registered_at": datetime.now(UTC).replace(microsecond=0),
    }
    return PushDevice(**(fields | changes))


# --- a notifier, or half of one ---------------------------------------------------------------------------------------


class Bench:
    """Parts of one notifier process, wired as `notifier.app` wires them."""

    def __init__(
        self,
        settings: NotifierSettings,
        engine: AsyncEngine,
        *providers: RecordingProvider,
        fresh_s: float = FRESH_S,
    ) -> None:
        self.settings = settings
        self.store = Store(engine)
        self.record = AfterwardsRecord(engine)
        self.providers = providers or (RecordingProvider(),)
        self.provider = self.providers[0]
        self.metrics = Metrics()
        self.health = Health(NATS, POSTGRES)
        self.wake, self.read_wake = Wake(), Wake()
        self.stop = Stop()
        self.link = Link(settings, self.health, self.stop)
        facts = FactsClient(self.link)
        composer = Composer(
            Texts(settings.push_texts, settings.push_locale), settings.push_content, settings.push_ttl_s
        )
        self.sending = Sending(settings, self.providers, composer, facts, self.metrics)
        parts = Parts(self.store, self.record, facts, self.sending)
        names = [one.name for one in self.providers if one.can_retract]
        self.inbox = Inbox(settings, self.link, self.store, self.metrics, self.health, self.wake, self.stop)
        self.dispatch = Dispatch(settings, parts, self.metrics, self.health, self.wake, self.stop, fresh_s=fresh_s)
        self.happened = Happened(settings, self.link, self.record, names, self.metrics, self.read_wake, self.stop)
        self.retractor = Retractor(
            settings, self.record, self.providers, composer, facts, self.metrics, self.read_wake, self.stop
        )

    async def round(self) -> int:
        """One round of the dispatch."""
        await self.connected()
        return await self.dispatch.round()

    async def connected(self) -> None:
        """With a connection to NATS."""
        if self.link.client is None:
            await self.link.open()

    @asynccontextmanager
    async def running(self, *parts: str) -> AsyncIterator[None]:
        """`inbox`, `dispatch` or both, stopped the polite way at the end."""
        async with asyncio.TaskGroup() as tasks:
            if self.link.client is None:
                tasks.create_task(self.link.open())
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
