"""The edge's side of NATS; the only file on the hot path that imports its client, so that another can take its place.

nats-py starts a task and a queue for each subscription with a callback: two wake-ups per message, and 4.7 KB per user.
`subscribe` also takes a future, which the reader completes at once, in its own turn. `_Sink` stands in for one that
never is done: a message is handled where it is parsed, in order, without a task, and nothing can pile up between
socket and handler. What the edge cannot keep up with waits in TCP, and in the end the server says "slow consumer" and
cuts the connection, which comes back as a reconnect, and reaches clients as `resync`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext

from kit import bus
from kit.logs import Stage, logger
from kit.settings import ServiceSettings

log = logger()

FLUSH_TIMEOUT_S = 2

_STATUS_HEADER = "Status"
_END_OF_BATCH = ("204", "404")
"""Nothing more, or nothing at all."""
_NO_RESPONDERS = "503"


class Incoming(Protocol):
    """A message of NATS, as its client hands it over: nothing is copied on the way."""

    @property
    def subject(self) -> str:
        """What it was published to."""

    @property
    def data(self) -> bytes:
        """Its payload."""

    @property
    def reply(self) -> str:
        """Where an answer is expected; may be empty."""

    @property
    def headers(self) -> Mapping[str, str] | None:
        """Its headers, if it has any."""


OnMessage = Callable[[Incoming], None]


class BusError(Exception):
    """NATS did not do what was asked.

    BusError
    ├── NobodyListens   no process takes such requests now
    ├── NoAnswer        no answer in time: it may or may not have been done
    └── Disconnected    there is no connection: it has not been done
    """


class NobodyListens(BusError):
    """No process takes such requests now."""


class NoAnswer(BusError):
    """No answer in time: the request may or may not have been carried out."""


class Disconnected(BusError):
    """There is no connection to NATS: the request has not left this process."""


class Interest(Protocol):
    """One subscription, to be handed back to `Bus.unsubscribe`."""


class _Standing:
    """What is subscribed, so that a new connection can subscribe it again."""

    __slots__ = ("queue", "sink", "subject", "subscription")

    def __init__(self, subject: str, queue: str, sink: _Sink) -> None:
        self.subject, self.queue, self.sink = subject, queue, sink
        self.subscription: Subscription | None = None


class _Sink:
    """Quacks like the future that nats-py completes with a message."""

    __slots__ = ("_on_message",)

    def __init__(self, on_message: OnMessage) -> None:
        self._on_message = on_message

    def cancelled(self) -> bool:
        return False

    def set_result(self, message: Msg) -> None:
        try:
            self._on_message(message)
        except Exception:
            # An exception here would end nats-py's reader, and with it every user of this edge.
            log.exception("a message was not handled", stage=Stage.RECEIVED, subject=message.subject)


class Bus:
    """A connection to NATS as the edge needs it; made by `connect`."""

    def __init__(
        self, client: Client, connect_anew: Callable[[], Awaitable[Client]], echo_subject: str, outbox_max: int
    ) -> None:
        self._client = client
        self._connect_anew = connect_anew
        self._renewing = False
        self._generation = 0
        self._standing: dict[_Standing, None] = {}  # in the order of subscribing
        self._echo_subject = echo_subject
        self._echo_number = 0
        self._echoes: dict[int, asyncio.Future[None]] = {}
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._outbox_max = outbox_max
        self._wake = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now, as far as this side can tell."""
        return bool(self._client.is_connected) and not self._renewing

    async def subscribe(self, subject: str, queue: str, on_message: OnMessage) -> Interest:
        """Take messages of `subject`; the server knows after the next `flush`."""
        standing = _Standing(subject, queue, _Sink(on_message))
        self._standing[standing] = None
        if not self._renewing:
            await self._subscribe(standing)
        return standing

    async def unsubscribe(self, interest: Interest) -> None:
        """Take no more; also when there is no connection."""
        standing = cast("_Standing", interest)
        self._standing.pop(standing, None)
        await self._unsubscribe(standing)

    async def _subscribe(self, standing: _Standing) -> None:
        sink = cast("asyncio.Future[Any]", standing.sink)
        queue = standing.queue
        if queue and self._generation:
            # The server may not have noticed the old connection's end: in one queue group with that, half of the
            # messages would go there. A dot, because no edge's id has one.
            queue = f"{queue}.{self._generation}"
        standing.subscription = await self._client.subscribe(standing.subject, queue=queue, future=sink)

    async def _unsubscribe(self, standing: _Standing) -> None:
        subscription, standing.subscription = standing.subscription, None
        if subscription is None:
            return
        try:
            await subscription.unsubscribe()
        except nats.errors.Error as failed:
            # Without a connection there is nothing to take back: a reconnect repeats only what still stands.
            log.debug("not unsubscribed", stage=Stage.LISTENER, error=type(failed).__name__)

    async def renew(self) -> None:
        """Give this connection up, make another one, after as long as it takes, and subscribe everything there.

        Not nats-py's `force_reconnect`: that does nothing while it believes to be reconnecting, whether the task that
        should do it lives or not, and it waits for the old connection to take what is pending, which one that is
        half-open never does.

        The echo comes last, so whoever hears it knows that all other subscriptions stand. Whatever is raised, the
        next call begins afresh.
        """
        self._renewing = True
        await bus.abandon(self._client)
        self._client = await self._connect_anew()
        self._generation += 1
        self._renewing = False  # what is subscribed from here on goes to the new one by itself
        for standing in sorted(self._standing, key=lambda standing: standing.subject == self._echo_subject):
            standing.subscription = None
            await self._subscribe(standing)
            if standing not in self._standing:  # given back meanwhile
                await self._unsubscribe(standing)
        self._wake.set()

    async def flush(self) -> None:
        """Return when the server has seen everything so far, because a message behind it has come back; `BusError`.

        Not nats-py's own `flush`: that writes its PING at once, while a SUB made just before still waits for the
        flusher task, so its PONG proves nothing about it.
        """
        if not self.connected:
            raise Disconnected
        self._echo_number += 1
        number = self._echo_number
        heard = self._echoes[number] = asyncio.get_running_loop().create_future()
        try:
            await self._client.publish(self._echo_subject, b"%d" % number)
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await heard
        except bus.AWAY as failed:
            raise NoAnswer from failed
        finally:
            del self._echoes[number]

    def on_echo(self, payload: bytes) -> None:
        """A message of the echo subject came back."""
        heard = self._echoes.get(int(payload)) if payload.isdigit() else None
        if heard is not None and not heard.done():
            heard.set_result(None)

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream over the connection of this moment; after `renew` there is another one."""
        return self._client.jetstream()

    async def request(
        self, subject: str, payload: bytes, timeout_s: float, headers: dict[str, str] | None = None
    ) -> bytes:
        """One request, one answer; raises `BusError`."""
        if not self.connected:
            raise Disconnected
        try:
            answer = await self._client.request(subject, payload, timeout=timeout_s, headers=headers)
            return bytes(answer.data)
        except nats.errors.NoRespondersError:
            raise NobodyListens from None
        except nats.errors.TimeoutError:
            raise NoAnswer from None
        except nats.errors.Error as failed:
            raise Disconnected from failed

    async def request_many(self, subject: str, payload: bytes, timeout_s: float) -> list[Incoming]:
        """One request, and the answers up to the one that says that no more come; raises `BusError`."""
        if not self.connected:
            raise Disconnected
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask_many(subject, payload)
        except TimeoutError:  # nats-py's own is one, too
            raise NoAnswer from None
        except nats.errors.Error as failed:
            raise Disconnected from failed

    async def _ask_many(self, subject: str, payload: bytes) -> list[Incoming]:
        found: list[Incoming] = []
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def on_answer(message: Incoming) -> None:
            status = (message.headers or {}).get(_STATUS_HEADER)
            if status is None:
                found.append(message)
            elif not ended.done():
                ended.set_result(status)

        client = self._client
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, future=cast("asyncio.Future[Any]", _Sink(on_answer)))
        try:
            await client.publish(subject, payload, reply=inbox)
            status = await ended
        finally:
            if not client.is_closed:
                await subscription.unsubscribe()
        if status == _NO_RESPONDERS:
            raise NobodyListens
        if status not in _END_OF_BATCH:
            raise NoAnswer(f"refused with status {status}")
        return found

    def post(self, subject: str, payload: bytes) -> bool:
        """Publish without waiting, soon; False if too much waits already."""
        if len(self._outbox) >= self._outbox_max:
            return False
        self._outbox.append((subject, payload))
        self._wake.set()
        return True

    async def run(self) -> None:
        """Publish what was posted; runs until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._publish_outbox()

    async def _publish_outbox(self) -> None:
        while self._outbox and not self._renewing:
            subject, payload = self._outbox.popleft()
            try:
                await self._client.publish(subject, payload)
            except nats.errors.Error as failed:
                # The buffer for the time without NATS is full: a lost receipt becomes a push, never a lost message.
                log.debug("not published", stage=Stage.LISTENER, subject=subject, error=type(failed).__name__)

    async def close(self) -> None:
        """Publish what is left and close; never raises and never takes long."""
        if self.connected:
            await self._publish_outbox()
        await bus.close(self._client)


async def connect(
    settings: ServiceSettings,
    *,
    name: str,
    echo_subject: str,
    outbox_max: int,
    on_interrupted: Callable[[str], Awaitable[None]],
    on_disconnected: Callable[[str], Awaitable[None]],
) -> Bus:
    """A connection, after as long as it takes; the callbacks are those of `kit.bus.connect`.

    What comes back on `echo_subject` must be handed to `on_echo`.
    """

    async def connect_anew() -> Client:
        return await bus.connect(settings, service=name, on_interrupted=on_interrupted, on_disconnected=on_disconnected)

    return Bus(await connect_anew(), connect_anew, echo_subject, outbox_max)
