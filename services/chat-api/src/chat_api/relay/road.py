"""Is EVENTS still the stream that has acknowledged what the relay published? JetStream's data is not the record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import nats.js.errors
from nats.js import JetStreamContext

from chat_api.relay.cursor import Cursor
from contracts.streams import EVENTS
from kit import bus


@dataclass(frozen=True, slots=True)
class Road:
    """EVENTS as it is: which incarnation, and where it ends."""

    created: str
    last_seq: int


class Loss(Enum):
    """What is missing."""

    ALL = "the stream is another one"
    TAIL = "the stream ends before what it had acknowledged"


async def look(js: JetStreamContext) -> Road:
    """The stream, made anew if it is gone; raises what NATS raises."""
    try:
        found = await js.stream_info(EVENTS.name)
    except nats.js.errors.NotFoundError:
        await bus.ensure_stream(js, EVENTS)
        found = await js.stream_info(EVENTS.name)
    return Road(str(found.created), found.state.last_seq)


def loss(cursor: Cursor, road: Road) -> Loss | None:
    """What the road has lost since the relay last knew of it; the first road that it meets is taken as it is."""
    if cursor.stream_created is None:
        return None
    if road.created != cursor.stream_created:
        return Loss.ALL
    # JetStream acknowledges before its data is on disk. Purging and limits leave the last place as it is.
    return Loss.TAIL if road.last_seq < cursor.stream_seq else None
