"""The record of a run, as the checker asks about it: what stands where, and who was a member when; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .evidence import Recorded

_ENDLESS = float("inf")


@dataclass(frozen=True, slots=True)
class Member:
    """From which event of a conversation to which (both inclusive) somebody took part."""

    first: int
    last: float


class Record:
    """The events of the run, as questions are asked about them."""

    def __init__(self, rows: Sequence[Recorded]) -> None:
        self.rows = sorted(rows, key=lambda row: (row.stream, row.seq))
        self.at_place: dict[tuple[str, int], Recorded] = {(row.stream, row.seq): row for row in self.rows}
        self.messages = [row for row in self.rows if row.content is not None]
        self.streams: dict[str, list[Recorded]] = defaultdict(list)
        for row in self.rows:
            self.streams[row.stream].append(row)
        self.members = {stream: _memberships(rows) for stream, rows in self.streams.items()}

    def takes_part(self, user_id: str, stream: str, seq: int) -> bool:
        """Whether the user was a member when that event was recorded."""
        if stream == f"user:{user_id}":
            return True
        return any(one.first <= seq <= one.last for one in self.members.get(stream, {}).get(user_id, ()))

    def may_see(self, user_id: str, stream: str, seq: int) -> bool:
        """Whether the user may ever see that event: members see history, too."""
        if stream == f"user:{user_id}":
            return True
        return any(seq <= one.last for one in self.members.get(stream, {}).get(user_id, ()))

    def must_see(self, user_id: str, stream: str, seq: int) -> bool:
        """Whether a device of the user that is there must show it: he is a member from then until now."""
        if stream == f"user:{user_id}":
            return True
        spans = self.members.get(stream, {}).get(user_id, ())
        return any(one.first <= seq and one.last == _ENDLESS for one in spans)


def _memberships(rows: Iterable[Recorded]) -> dict[str, list[Member]]:
    spans: dict[str, list[Member]] = defaultdict(list)
    for row in rows:
        match row.type:
            case "conversation.created":
                participants = row.data["participant_ids"]
                assert isinstance(participants, (list, tuple))
                for user_id in {str(row.data["owner_id"]), *map(str, participants)}:
                    spans[user_id].append(Member(row.seq, _ENDLESS))
            case "participant.joined":
                spans[str(row.data["user_id"])].append(Member(row.seq, _ENDLESS))
            case "participant.left":
                open_span = spans[str(row.data["user_id"])].pop()
                spans[str(row.data["user_id"])].append(Member(open_span.first, row.seq))
            case _:
                pass
    return spans
