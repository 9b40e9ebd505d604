"""A text frame of the server, taken apart. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from contracts.frames import ACTION_OF_EVENT, ServerAction
from natter_client.timeline import Delivered, Source

_EVENT_OF_ACTION = {action.value: event for event, action in ACTION_OF_EVENT.items()} | {
    # A message that is a notice has an action of its own; in the conversation's order it is a message like every other.
    ServerAction.SYSTEM_NOTIFICATION.value: "message.created",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What every frame has; `stream` and `seq` are those of a durable one."""

    action: str
    data: dict[str, Any] = field(default_factory=dict)
    ref: str | int | None = None
    stream: str | None = None
    seq: int = 0

    def event(self) -> Delivered | None:
        """The event that a durable frame tells of; None if this version does not know what the action means."""
        event_type = _EVENT_OF_ACTION.get(self.action)
        if event_type is None or self.stream is None:
            return None
        if self.action == ServerAction.CONVERSATION_UPDATED:
            # Two events are one action to a device; only an opening says who takes part.
            event_type = "conversation.created" if "participant_ids" in self.data else "conversation.updated"
        if self.action == ServerAction.CONSULT_UPDATED:
            # All steps of a consult are one action; which one it was, stands beside the event's own data.
            step = self.data.get("event")
            event_type = step if isinstance(step, str) else event_type
            own = {name: value for name, value in self.data.items() if name != "event"}
            return Delivered(self.stream, self.seq, event_type, own, Source.LIVE)
        if self.action == ServerAction.DIRECT_MESSAGE:
            # The frame is the notification alone; as an event it has it inside.
            return Delivered(self.stream, self.seq, event_type, {"notification": self.data}, Source.LIVE)
        return Delivered(self.stream, self.seq, event_type, self.data, Source.LIVE)


def parse(payload: bytes | str) -> Frame | None:
    """The frame, or None if it is not one."""
    try:
        raw = from_json(payload)
    except ValueError:
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("action"), str):
        return None
    data, stream, seq = raw.get("data"), raw.get("stream"), raw.get("seq")
    data = data if isinstance(data, dict) else {}
    if isinstance(stream, str) and isinstance(seq, int) and seq >= 1:
        return Frame(raw["action"], data, raw.get("ref"), stream, seq)
    return Frame(raw["action"], data, raw.get("ref"))
