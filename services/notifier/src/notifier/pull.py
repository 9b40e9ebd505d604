"""A steady pull on a durable consumer: messages as soon as they come, as many at once as there are.

nats-py's own `fetch(n)` waits out its whole timeout for the batch to fill once the first message is there: a push
would wait with it. Here one pull request is always open at the server, and whatever it has delivered is taken at once.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from contracts import streams, subjects
from contracts.streams import StreamDefinition
from kit.bus import AWAY, ensure_stream
from notifier.errors import PullBroken

EXPIRES_S = 20.0
"""How long one pull request stays open at the server."""
HEARTBEAT_S = 2.0
"""How often the server confirms an idle request; two missed ones mean that it has forgotten it."""
_SETUP_TIMEOUT_S = 5.0
_HARMLESS = frozenset({"100", "404", "408"})
"""Heartbeat, no messages, request expired."""
_MORE_THAN_A_BATCH = 4
"""Offered and not yet acknowledged, in batches: enough for several processes, and bounded."""


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How much, and how long before NATS offers it again."""

    batch: int
    ack_wait_s: float
    stream: StreamDefinition = streams.OFFLINE_DELIVERY
    durable: str = streams.NOTIFIER_DURABLE
    filters: tuple[str, ...] = (subjects.OFFLINE_ALL,)
    own_stream: bool = True
    """Whether we may make the stream if it is not there."""
    from_now_on: bool = False
    """A consumer that is made anew begins with what comes, not with what is there."""


class Pull:
    """A pull on one stream. At most one batch waits in this process."""

    def __init__(self, client: Client, options: PullOptions) -> None:
        self._client = client
        self._options = options
        self._buffer: list[Msg] = []
        self._open_for = 0
        self._heard_at = 0.0
        self._something = asyncio.Event()
        self._broken: str | None = None
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        """Create what is missing (stream, consumer) and listen; raises `PullBroken`."""
        js = self._client.jetstream(timeout=_SETUP_TIMEOUT_S)
        config = ConsumerConfig(
            durable_name=self._options.durable,
            deliver_policy=DeliverPolicy.NEW if self._options.from_now_on else DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._options.ack_wait_s,
            max_deliver=-1,
            max_ack_pending=self._options.batch * _MORE_THAN_A_BATCH,
            filter_subject=self._options.filters[0] if len(self._options.filters) == 1 else None,
            filter_subjects=list(self._options.filters) if len(self._options.filters) > 1 else None,
        )
        try:
            if self._options.own_stream:
                await ensure_stream(js, self._options.stream)
            await js.add_consumer(self._options.stream.name, config)
            self._subscription = await self._client.subscribe(self._client.new_inbox(), cb=self._on_message)
            await self._request()
        except AWAY as failed:
            raise PullBroken(f"cannot set up the consumer: {type(failed).__name__}") from failed

    async def close(self) -> None:
        """Stop listening and give back what nobody has taken, so that another process gets it at once."""
        subscription, self._subscription = self._subscription, None
        left, self._buffer = self._buffer, []
        try:
            if subscription is not None:
                await subscription.unsubscribe()
            for message in left:
                await message.nak()
        except AWAY:
            # The connection is gone: NATS offers them again after the ack wait.
            return

    def interrupt(self, reason: str) -> None:
        """The connection broke: requests that were open at the server are forgotten there."""
        self._broken = reason
        self._something.set()

    async def wait(self, timeout_s: float) -> None:
        """Until there is something to take, or `timeout_s` seconds have passed. May be cancelled."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._something.wait()
        except TimeoutError:
            return

    async def take(self) -> list[Msg]:
        """What has come, at most one batch, perhaps nothing. Raises `PullBroken` when nothing more will come."""
        if self._buffer:
            taken, self._buffer = self._buffer, []
            return taken
        if self._broken is not None:
            raise PullBroken(self._broken)
        self._something.clear()
        await self._keep_open()
        return []

    async def _keep_open(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._open_for > 0 and now - self._heard_at > 2.5 * HEARTBEAT_S:
            raise PullBroken("the server is silent")
        if self._open_for <= 0:
            try:
                await self._request()
            except AWAY as failed:
                raise PullBroken(f"cannot ask for more: {type(failed).__name__}") from failed

    async def _request(self) -> None:
        if self._subscription is None:
            raise PullBroken("closed")
        self._open_for = self._options.batch
        self._heard_at = asyncio.get_running_loop().time()
        request = {
            "batch": self._options.batch,
            "expires": int(EXPIRES_S * 1e9),
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._options.stream.name}.{self._options.durable}"
        await self._client.publish(subject, json.dumps(request).encode(), reply=self._subscription.subject)

    async def _on_message(self, message: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        # A status has no reply subject; a delivery always has one, whatever headers its sender gave it.
        status = (message.headers or {}).get("Status") if not message.reply else None
        if status is None:
            self._open_for -= 1
            self._buffer.append(message)
        elif status == "100":
            return
        else:
            self._open_for = 0
            if status not in _HARMLESS:
                # 409: consumer or stream deleted, server shutting down; 503: nobody answers for the consumer.
                self._broken = f"status {status} {(message.headers or {}).get('Description', '')}".strip()
        self._something.set()
