"""Live news about a conversation: who has read how far, who has been reached. Worth something only now, never stored.

Noting costs a dict entry, so that neither lanes nor receipts wait; what is noted is said at once, and then at most
every `EVERY_S` per user and conversation, with the newest seq only. When too much waits, or NATS is away, it is
dropped: the cursors stand in Postgres (`GET /v1/conversations/{id}/cursors`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple

from nats.aio.client import Client

from chat_api import metrics
from chat_api.fanout.receipts import Heard
from chat_api.store.database import DatabaseUnavailable
from contracts import subjects
from contracts.delivery import DELIVERY_HEADER, Live, delivery_header
from contracts.frames import DeliveredUpdate, ReadUpdate, ServerAction, frame_bytes, live_key
from contracts.stream_ids import CONVERSATION_PREFIX
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()

EVERY_S = 0.2
WAITING_MAX = 20_000
"""News that may wait to be said; what comes on top is dropped."""
SAID_MAX = 50_000
"""Seqs remembered as said, so that an older one never follows; forgotten all at once when there are more."""

Members = Callable[[str], Awaitable[Collection[str] | None]]
"""The active participants of a conversation; None if there are too many for live news."""


class _About(NamedTuple):
    action: ServerAction
    conversation_id: str
    user_id: str
    """Who has read, or was reached."""
    only_to: str | None
    """The sender; None: all others."""


class LiveNews:
    """`run` says what was noted, until cancelled."""

    def __init__(self, nats_client: Client, members: Members) -> None:
        self._nats = nats_client
        self._members = members
        self._waiting: dict[_About, int] = {}
        self._said: dict[_About, int] = {}
        self._wake = asyncio.Event()

    def read(self, conversation_id: str, user_id: str, seq: int) -> None:
        """`user_id` has read up to `seq`: the others hear of it."""
        self._note(_About(ServerAction.READ, conversation_id, user_id, None), seq)

    def delivered(self, heard: Heard) -> None:
        """A device has a message: its sender hears of it, if the message has one who wants to."""
        sender = heard.about.tell
        if sender is not None:
            conversation_id = heard.about.stream.removeprefix(CONVERSATION_PREFIX)
            self._note(_About(ServerAction.DELIVERED, conversation_id, heard.user_id, sender), heard.about.seq)

    async def run(self) -> None:
        """Say what is noted."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, {}
            for about, seq in waiting.items():
                if not self._nats.is_connected:
                    break  # by the time NATS is back this is no news
                try:
                    await self._say(about, seq)
                except (DatabaseUnavailable, *AWAY) as away:
                    log.debug("live news dropped", stage=Stage.DELIVER, error=type(away).__name__)
                except Exception as failed:
                    # Deliveries must not end because of what is only news.
                    log.error("live news cannot be told", stage=Stage.DELIVER, exc_info=failed)
                # A conversation in which everybody reads at once is many frames: others come in between.
                await asyncio.sleep(0)
            await asyncio.sleep(EVERY_S)

    def _note(self, about: _About, seq: int) -> None:
        known = self._waiting.get(about)
        if known is None:
            if seq <= self._said.get(about, 0):
                return
            if len(self._waiting) >= WAITING_MAX:
                metrics.fanout_live_dropped.inc()
                return
            self._wake.set()
        elif known >= seq:
            return
        self._waiting[about] = seq

    async def _say(self, about: _About, seq: int) -> None:
        members = await self._members(about.conversation_id)
        if members is None:
            return
        if len(self._said) >= SAID_MAX:
            self._said.clear()
        self._said[about] = seq
        kind = ReadUpdate if about.action is ServerAction.READ else DeliveredUpdate
        data = kind(conversation_id=about.conversation_id, user_id=about.user_id, seq=seq)
        frame = frame_bytes(about.action, data.model_dump(mode="json"))
        key = live_key(about.action.value, about.conversation_id, about.user_id)
        headers = {DELIVERY_HEADER: delivery_header(Live(key))}
        for user_id in members:
            if user_id != about.user_id and about.only_to in (None, user_id):
                await self._nats.publish(subjects.user(user_id), frame, headers=headers)
