"""What every event carries on the road: CloudEvents 1.0 with three attributes of our own."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from contracts.codec import Contract
from contracts.events import EventData, event_class
from contracts.ids import Uuid
from contracts.stream_ids import StreamId, parse_stream_id
from contracts.times import Instant

SOURCE = "/natter/chat-api"


class Envelope(Contract):
    """An event as stored in the EVENTS stream.

    `subject` is the stream (`conversation:<id>` or `user:<id>`), `seq` its gapless place there, `dataversion` the
    version of `data`, `position` the event's number in the whole record (it may have gaps), and `partitionkey` what
    must be handled in order. The order of the record is that of `(txid, position)`: numbers are given when a row is
    written, and transactions do not end in the order in which they wrote.
    """

    specversion: Literal["1.0"] = "1.0"
    id: Uuid
    source: str = SOURCE
    type: str
    subject: str
    time: Instant
    datacontenttype: Literal["application/json"] = "application/json"
    seq: int = Field(ge=1)
    position: int = Field(ge=1)
    txid: int | None = Field(default=None, ge=1)
    """The transaction that recorded it."""
    dataversion: int = Field(default=1, ge=1)
    partitionkey: str
    traceparent: str | None = None
    data: dict[str, Any]

    @property
    def stream(self) -> StreamId:
        """The stream that `subject` names."""
        return parse_stream_id(self.subject)

    def event(self) -> EventData:
        """The typed data; raises `UnknownEvent` for a type or version of a later release."""
        return event_class(self.type, self.dataversion).model_validate(self.data)
