"""Publishes to EVENTS, many in flight, and yet never out of order.

Each publish says which message it must follow (`Nats-Expected-Last-Msg-Id`), so the stream is a chain: if one publish
is lost on the way, JetStream refuses everything behind it instead of storing it too early. The same chain refuses a
second relay that does not know yet that it is no longer the one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import Header, PubAck

from chat_api import metrics
from contracts.streams import EVENTS

_WRONG_LAST_MSG_ID = 10070


class NotStored(Exception):
    """JetStream did not confirm; what was confirmed before it is safe."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One event on its way out."""

    subject: str
    event_id: str
    payload: bytes


class Publisher:
    """Keeps the end of the chain; one per term of being the relay."""

    def __init__(self, js: JetStreamContext, timeout_s: float) -> None:
        self._js = js
        self._timeout_s = timeout_s
        self._last_id: str | None = None

    async def publish(self, batch: Sequence[Publication]) -> int:
        """Publish in order; returns how many are stored, counted from the first. Fewer than all: try the rest again."""
        futures: list[asyncio.Future[PubAck]] = []
        before = self._last_id
        try:
            for publication in batch:
                futures.append(await self._start(publication))
                self._last_id = publication.event_id
            stored = await self._count_stored(futures)
        except (nats.errors.Error, TimeoutError, OSError):
            # The connection is away or its buffer is full: what was started may or may not arrive.
            stored = await self._count_stored(futures)
        finally:
            for future in futures:
                future.cancel()
        if stored < len(batch):
            metrics.relay_retries.inc(len(batch) - stored)
            # A link that is no longer true (a stream that was emptied) must not block for ever: after a refusal the
            # chain starts anew, and what did arrive is recognised by its id.
            self._last_id = batch[stored - 1].event_id if stored else (None if self._refused else before)
        return stored

    _refused = False

    async def _start(self, publication: Publication) -> asyncio.Future[PubAck]:
        headers: dict[str, str] = {Header.MSG_ID.value: publication.event_id}
        if self._last_id is not None:
            headers["Nats-Expected-Last-Msg-Id"] = self._last_id
        future: asyncio.Future[PubAck] = await self._js.publish_async(
            publication.subject,
            publication.payload,
            wait_stall=self._timeout_s,
            stream=EVENTS.name,
            headers=headers,
        )
        return future

    async def _count_stored(self, futures: Sequence[asyncio.Future[PubAck]]) -> int:
        self._refused = False
        try:
            async with asyncio.timeout(self._timeout_s):
                for count, future in enumerate(futures):
                    try:
                        await future
                    except nats.js.errors.APIError as refused:
                        self._refused = refused.err_code == _WRONG_LAST_MSG_ID
                        return count
                    except (nats.errors.Error, nats.js.errors.Error):
                        return count
        except TimeoutError:
            return sum(1 for _ in _leading_done(futures))
        return len(futures)


def _leading_done(futures: Sequence[asyncio.Future[PubAck]]) -> Sequence[asyncio.Future[PubAck]]:
    done: list[asyncio.Future[PubAck]] = []
    for future in futures:
        if not future.done() or future.cancelled() or future.exception() is not None:
            break
        done.append(future)
    return done
