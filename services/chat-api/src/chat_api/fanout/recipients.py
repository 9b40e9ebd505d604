"""Who must get an event: the participants and the owner at that very seq, from a cache that the events keep right."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from contracts.envelope import Envelope
from contracts.stream_ids import ConversationStream, UserStream

Bounds = dict[str, tuple[int, int | None]]
"""Per user: the seq from which on the user takes part, and the last one, or None."""


@dataclass(slots=True)
class Members:
    """Who takes part in a conversation, and who took part earlier."""

    latest: Bounds
    ended: list[tuple[str, int, int]] = field(default_factory=list)
    """Memberships that are over: user, first seq, last seq. Whoever left and came back has some beside the latest."""


Load = Callable[[str], Awaitable[Members]]


class Recipients:
    """Keeps the members of the `cache_max` conversations used last; `load` reads one from the record.

    The record may be ahead of the event in hand. Memberships are therefore kept with their bounds: someone who joined
    later is no recipient of an earlier event, someone who left later still is, also if he has come back since.
    """

    def __init__(self, load: Load, cache_max: int) -> None:
        self._load = load
        self._cache_max = cache_max
        self._members: OrderedDict[str, Members] = OrderedDict()

    async def of(self, event: Envelope) -> list[str]:
        """User ids that must get `event`, the sender included; in no particular order."""
        match event.stream:
            case UserStream(user_id):
                return [user_id]
            case ConversationStream(conversation_id):
                members = await self._of(conversation_id)
                self._learn(members, event)
                seq = event.seq
                found = [
                    user_id
                    for user_id, (first, last) in members.latest.items()
                    if first <= seq and (last is None or seq <= last)
                ]
                if members.ended:
                    earlier = {user_id for user_id, first, last in members.ended if first <= seq <= last}
                    found += earlier.difference(found)
                return found

    def known(self, conversation_id: str) -> Members | None:
        """The members if they are in the cache; it is right only for conversations whose events go through here."""
        return self._members.get(conversation_id)

    def forget(self) -> None:
        """Read everything again: events of these conversations may have passed without us."""
        self._members.clear()

    async def _of(self, conversation_id: str) -> Members:
        members = self._members.get(conversation_id)
        if members is None:
            members = self._members[conversation_id] = await self._load(conversation_id)
            if len(self._members) > self._cache_max:
                self._members.popitem(last=False)
        else:
            self._members.move_to_end(conversation_id)
        return members

    def _learn(self, members: Members, event: Envelope) -> None:
        bounds = members.latest
        if event.type == "participant.joined":
            user_id = event.data["user_id"]
            known = bounds.get(user_id)
            if known is None or known[0] < event.seq:
                if known is not None and known[1] is not None:
                    members.ended.append((user_id, known[0], known[1]))
                bounds[user_id] = (event.seq, None)
        elif event.type == "participant.left":
            user_id = event.data["user_id"]
            if user_id in bounds and bounds[user_id][0] < event.seq and bounds[user_id][1] is None:
                bounds[user_id] = (bounds[user_id][0], event.seq)
