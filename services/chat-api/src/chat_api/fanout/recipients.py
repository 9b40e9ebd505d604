"""Who must get an event: the participants and the owner at that very seq, from a cache that the events keep right."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from contracts.envelope import Envelope
from contracts.stream_ids import ConversationStream, UserStream

Bounds = dict[str, tuple[int, int | None]]
"""Per user: the seq from which on the user takes part, and the last one, or None."""

Load = Callable[[str], Awaitable[Bounds]]


class Recipients:
    """Keeps the members of the `cache_max` conversations used last; `load` reads one from the record.

    The record may be ahead of the event in hand. Memberships are therefore kept with their bounds: someone who joined
    later is no recipient of an earlier event, someone who left later still is. (Of several memberships of one user only
    the latest is known; whoever left and came back finds what lies between in the history.)
    """

    def __init__(self, load: Load, cache_max: int) -> None:
        self._load = load
        self._cache_max = cache_max
        self._members: OrderedDict[str, Bounds] = OrderedDict()

    async def of(self, event: Envelope) -> list[str]:
        """User ids that must get `event`, the sender included; in no particular order."""
        match event.stream:
            case UserStream(user_id):
                return [user_id]
            case ConversationStream(conversation_id):
                bounds = await self._bounds(conversation_id)
                self._learn(bounds, event)
                seq = event.seq
                return [
                    user_id
                    for user_id, (first, last) in bounds.items()
                    if first <= seq and (last is None or seq <= last)
                ]

    def forget(self) -> None:
        """Read everything again: events of these conversations may have passed without us."""
        self._members.clear()

    async def _bounds(self, conversation_id: str) -> Bounds:
        bounds = self._members.get(conversation_id)
        if bounds is None:
            bounds = self._members[conversation_id] = await self._load(conversation_id)
            if len(self._members) > self._cache_max:
                self._members.popitem(last=False)
        else:
            self._members.move_to_end(conversation_id)
        return bounds

    def _learn(self, bounds: Bounds, event: Envelope) -> None:
        if event.type == "participant.joined":
            user_id = event.data["user_id"]
            if user_id not in bounds or bounds[user_id][0] < event.seq:
                bounds[user_id] = (event.seq, None)
        elif event.type == "participant.left":
            user_id = event.data["user_id"]
            if user_id in bounds and bounds[user_id][0] < event.seq and bounds[user_id][1] is None:
                bounds[user_id] = (bounds[user_id][0], event.seq)
