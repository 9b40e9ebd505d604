"""Publishes to EVENTS, many in flight, and yet never out of order.

Each publish says which message it must follow (`Nats-Expected-Last-Msg-Id`), so the stream is a chain: if one publish
is lost on the way, JetStream refuses everything behind it instead of storing it too early. The same chain refuses a
second relay that does not know yet that it is no longer the one. A repeat of what is stored already is recognised by
its id before the chain is looked at (measured on 2.15).

A chain begins at a known end: its first publish says where the stream must end (`Nats-Expected-Last-Sequence`), so that
nothing is stored in a stream whose loss nobody has noticed.

The replies are read here and not by nats-py's `publish_async`, whose futures never end when JetStream answers with an
error (2.16).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import Header

from chat_api import metrics
from contracts.streams import EVENTS
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()

_BROKEN_CHAIN = frozenset({10070, 10071})
"""JetStream's codes for a wrong last message id and a wrong last sequence."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One event on its way out."""

    subject: str
    message_id: str
    payload: bytes


@dataclass(slots=True, eq=False)
class _Attempt:
    """A batch under way: how many of its publishes, from the first on, are stored."""

    size: int
    over: asyncio.Event
    stored: int = 0
    acked: set[int] | None = None
    reason: str = ""
    highest_place: int = 0
    """The last place in the stream that an answer named."""

    def ack(self, index: int, place: int) -> None:
        self.highest_place = max(self.highest_place, place)
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
            self.reason = "the chain is broken" if code in _BROKEN_CHAIN else reason
            self.over.set()


class Publisher:
    """Keeps the end of the chain; one per term of being the relay. `close` when the term ends."""

    def __init__(self, nats_client: Client, timeout_s: float) -> None:
        self._nats = nats_client
        self._timeout_s = timeout_s
        self._inbox = nats_client.new_inbox()
        self._subscription: Subscription | None = None
        self._end: dict[str, str] | None = None
        """What the next publish expects of the stream; None: nobody has looked."""
        self._number = 0
        self._attempt: _Attempt | None = None
        self.highest_place = 0
        """The highest place in the stream that was acknowledged since the chain began."""

    @property
    def chained(self) -> bool:
        """Whether the end of the stream is known; if not, look at it and `begin_chain`."""
        return self._end is not None

    def begin_chain(self, last_seq: int) -> None:
        """The stream was looked at, and ends at `last_seq`."""
        self._end = {Header.EXPECTED_LAST_SEQUENCE.value: str(last_seq)}
        self.highest_place = last_seq

    def break_chain(self) -> None:
        """The stream may have changed: nothing is published until somebody has looked."""
        self._end = None

    async def publish(self, batch: Sequence[Publication]) -> int:
        """Publish in order; returns how many are stored, counted from the first.

        Fewer than all: the chain is broken. Look at the stream, then try the rest again.
        """
        if self._subscription is None:
            self._subscription = await self._nats.subscribe(f"{self._inbox}.*.*", cb=self._answered)
        expected, self._end = self._end, None
        if expected is None or not self._nats.is_connected:
            # Published while not connected it would wait in a buffer and be sent long after it was given up.
            return 0
        self._number += 1
        self._attempt = attempt = _Attempt(len(batch), asyncio.Event())
        try:
            async with asyncio.timeout(self._timeout_s):
                for index, publication in enumerate(batch):
                    await self._start(publication, index, expected)
                    expected = {Header.EXPECTED_LAST_MSG_ID.value: publication.message_id}
                await attempt.over.wait()
        except AWAY as failed:
            attempt.reason = attempt.reason or type(failed).__name__
        finally:
            self._attempt = None
        self.highest_place = max(self.highest_place, attempt.highest_place)
        if attempt.stored == len(batch):
            self._end = expected
        else:
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

    async def _start(self, publication: Publication, index: int, expected: dict[str, str]) -> None:
        headers = {
            Header.MSG_ID.value: publication.message_id,
            Header.EXPECTED_STREAM.value: EVENTS.name,
            **expected,
        }
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
            attempt.ack(int(index), int(answer.get("seq", 0)))
        else:
            attempt.fail(int(index), int(error.get("err_code", 0)), str(error.get("description", "")))
