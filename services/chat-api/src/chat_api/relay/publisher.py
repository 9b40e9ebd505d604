"""Publishes to EVENTS, many in flight, and yet never out of order.

Each publish says which message it must follow (`Nats-Expected-Last-Msg-Id`), so the stream is a chain: if one publish
is lost on the way, JetStream refuses everything behind it instead of storing it too early. The same chain refuses a
second relay that does not know yet that it is no longer the one. A repeat of what is stored already is recognised by
its id before the chain is looked at (measured on 2.15).

The replies are read here and not by nats-py's `publish_async`, whose futures never end when JetStream answers with an
error (2.16).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import Header

from chat_api import metrics
from contracts.streams import EVENTS
from kit.logs import Stage, logger

log = logger()

_WRONG_LAST_MSG_ID = 10070


@dataclass(frozen=True, slots=True)
class Publication:
    """One event on its way out."""

    subject: str
    event_id: str
    payload: bytes


@dataclass(slots=True, eq=False)
class _Attempt:
    """A batch under way: how many of its publishes, from the first on, are stored."""

    size: int
    over: asyncio.Event
    stored: int = 0
    acked: set[int] | None = None
    refused: bool = False
    reason: str = ""

    def ack(self, index: int) -> None:
        # JetStream answers in order, so that the set is hardly ever needed.
        if index == self.stored:
            self.stored += 1
            while self.acked and self.stored in self.acked:
                self.acked.discard(self.stored)
                self.stored += 1
        else:
            self.acked = self.acked or set()
            self.acked.add(index)
        if self.stored == self.size:
            self.over.set()

    def fail(self, index: int, code: int, reason: str) -> None:
        # The first failure ends the attempt: behind it the chain is broken.
        if not self.over.is_set() and index <= self.stored:
            self.refused, self.reason = code == _WRONG_LAST_MSG_ID, reason
            self.over.set()


class Publisher:
    """Keeps the end of the chain; one per term of being the relay. `close` when the term ends."""

    def __init__(self, nats_client: Client, timeout_s: float) -> None:
        self._nats = nats_client
        self._timeout_s = timeout_s
        self._inbox = nats_client.new_inbox()
        self._subscription: Subscription | None = None
        self._last_id: str | None = None
        self._number = 0
        self._attempt: _Attempt | None = None

    async def publish(self, batch: Sequence[Publication]) -> int:
        """Publish in order; returns how many are stored, counted from the first. Fewer than all: try the rest again."""
        if self._subscription is None:
            self._subscription = await self._nats.subscribe(f"{self._inbox}.*.*", cb=self._answered)
        if not self._nats.is_connected:
            # Published now it would wait in a buffer and be sent long after it was given up.
            return 0
        self._number += 1
        self._attempt = attempt = _Attempt(len(batch), asyncio.Event())
        before, last_id = self._last_id, self._last_id
        try:
            async with asyncio.timeout(self._timeout_s):
                for index, publication in enumerate(batch):
                    await self._start(publication, index, last_id)
                    last_id = publication.event_id
                await attempt.over.wait()
        except (nats.errors.Error, TimeoutError, OSError) as failed:
            attempt.reason = attempt.reason or type(failed).__name__
        finally:
            self._attempt = None
        if attempt.stored:
            self._last_id = batch[attempt.stored - 1].event_id
        elif attempt.refused:
            # The link is not true (any more): the stream was emptied, or holds more than we saw acknowledged. The next
            # attempt begins a new chain; what is stored already is recognised by its id.
            self._last_id = None
        else:
            self._last_id = before
        if attempt.stored < len(batch):
            metrics.relay_retries.inc(len(batch) - attempt.stored)
            log.warning(
                "JetStream did not store everything, trying again",
                stage=Stage.ROUTE,
                stored=attempt.stored,
                of=len(batch),
                reason=attempt.reason,
            )
        return attempt.stored

    async def close(self) -> None:
        """Stop listening for answers."""
        if self._subscription is not None and not self._nats.is_closed:
            await self._subscription.unsubscribe()

    async def _start(self, publication: Publication, index: int, last_id: str | None) -> None:
        headers = {Header.MSG_ID.value: publication.event_id, Header.EXPECTED_STREAM.value: EVENTS.name}
        if last_id is not None:
            headers["Nats-Expected-Last-Msg-Id"] = last_id
        reply = f"{self._inbox}.{self._number}.{index}"
        await self._nats.publish(publication.subject, publication.payload, reply=reply, headers=headers)

    async def _answered(self, message: Msg) -> None:
        """JetStream's answer to one publish; those to an attempt that is over are of no interest."""
        _, number, index = message.subject.rsplit(".", 2)
        attempt = self._attempt
        if attempt is None or int(number) != self._number:
            return
        if message.headers and message.headers.get(Header.STATUS.value) == "503":
            attempt.fail(int(index), 503, "no stream")
            return
        answer = json.loads(message.data)
        error = answer.get("error")
        if error is None:
            attempt.ack(int(index))
        else:
            attempt.fail(int(index), int(error.get("err_code", 0)), str(error.get("description", "")))
