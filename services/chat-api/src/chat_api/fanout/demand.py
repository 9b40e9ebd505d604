"""What an event demands of its delivery: must it arrive, who is asked, which devices count. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from chat_api.fanout.receipts import About
from contracts.devices import DeviceType
from contracts.envelope import Envelope
from contracts.messages import SenderType

PUSH_EVENTS = frozenset({"message.created", "user.notified"})
"""Events that must reach a device or become a push. Others are hints: whoever misses one sees the gap in `seq`."""


@dataclass(frozen=True, slots=True)
class Demand:
    """How an event is to be delivered."""

    must_arrive: bool
    important: bool = False
    """A mobile must have it, whatever else does."""
    sender_id: str | None = None
    """Gets the frame, but is no reason for a push."""
    tell: str | None = None
    """The user who hears when it has arrived: the sender, unless that is the system."""
    excluded: frozenset[str] = frozenset()
    devices: frozenset[DeviceType] = frozenset()
    """If not empty, only these get it."""

    def about(self, event: Envelope, tell: bool) -> About:
        """What is remembered of `event` while receipts may come."""
        return About(event.subject, event.seq, event.time.timestamp(), self.devices, self.tell if tell else None)


def demand(event: Envelope) -> Demand:
    """What `event` demands; data of a later release that this one cannot read demands less, and never fails."""
    data = event.data
    if event.type == "message.created":
        sender = data.get("sender_id")
        return Demand(
            must_arrive=True,
            important=bool(data.get("is_important")),
            sender_id=sender,
            tell=None if data.get("sender_type") == SenderType.SYSTEM else sender,
            excluded=frozenset(data.get("exclude_user_ids") or ()),
        )
    if event.type == "user.notified":
        known = {kind.value for kind in DeviceType}
        devices = frozenset(DeviceType(kind) for kind in data.get("device_types") or () if kind in known)
        return Demand(
            must_arrive=True,
            # What is not meant for mobiles does not wait for one.
            important=bool((data.get("notification") or {}).get("is_important"))
            and (not devices or DeviceType.MOBILE in devices),
            devices=devices,
        )
    return Demand(must_arrive=False, excluded=frozenset(data.get("exclude_user_ids") or ()))
