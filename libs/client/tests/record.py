"""A record of events as chat-api keeps it, in miniature: what a client's timelines are held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from contracts.envelope import Envelope
from contracts.frames import ACTION_OF_EVENT
from contracts.sync import ConversationHead, SyncPage
from natter_client.timeline import Delivered, Source

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins; `after` is a conversation's id within a snapshot."""

    txid: int
    position: int = 0
    after: str | None = None


@dataclass
class Membership:
    """From the seq of the joining to that of the leaving."""

    first: int
    last: int | None = None


@dataclass
class Record:
    """What is committed, who takes part, and what `GET /v1/sync` and `GET …/events` answer about it to one user."""

    me: str
    events: list[Envelope] = field(default_factory=list)
    heads: dict[str, int] = field(default_factory=dict)
    last_txid: dict[str, int] = field(default_factory=dict)
    memberships: dict[str, list[Membership]] = field(default_factory=dict)
    next_txid: int = 1
    open_txids: list[int] = field(default_factory=list)
    position: int = 0
    wire: list[Delivered] = field(default_factory=list)
    """Frames that were sent to this user's device."""

    @property
    def mine(self) -> str:
        """The user's own stream."""
        return f"user:{self.me}"

    @property
    def fence(self) -> int:
        """Everything below it is committed."""
        return min(self.open_txids, default=self.next_txid)

    def begin(self) -> int:
        """A transaction that takes its time."""
        txid, self.next_txid = self.next_txid, self.next_txid + 1
        self.open_txids.append(txid)
        return txid

    def takes_part(self, conversation: str) -> bool:
        """Whether the user is a member now."""
        spans = self.memberships.get(conversation, [])
        return bool(spans) and spans[-1].last is None

    def create(self, *, with_me: bool) -> str:
        """A new conversation; returns its id."""
        conversation = _id(len(self.memberships))
        people = ["other", self.me] if with_me else ["other"]
        data = {"conversation_id": conversation, "owner_id": "other", "participant_ids": people}
        self.commit(conversation, "conversation.created", data)
        return conversation

    def commit(self, conversation: str, kind: str, data: dict[str, Any], txid: int | None = None) -> None:
        """Append one event of a conversation, and the user's own note if it is about a membership."""
        txid = self._txid(txid, f"conversation:{conversation}", self.mine)
        spans = self.memberships.setdefault(conversation, [])
        was_in = self.takes_part(conversation)
        event = self._append(f"conversation:{conversation}", kind, data, txid)
        note = {"user_id": self.me, "conversation_id": conversation, "at_seq": event.seq}
        if self.me in data.get("participant_ids", ()) or (kind == "participant.joined" and data["user_id"] == self.me):
            spans.append(Membership(event.seq))
            self._append(self.mine, "user.conversation_joined", note, txid)
        elif kind == "participant.left" and data["user_id"] == self.me:
            spans[-1].last = event.seq
            self._append(self.mine, "user.conversation_left", note, txid)
        if was_in or self.takes_part(conversation):
            self._tell(event)

    def read(self, conversation: str, seq: int) -> None:
        """The user has read something."""
        txid = self._txid(None, self.mine)
        data = {"user_id": self.me, "conversation_id": conversation, "seq": seq}
        self._tell(self._append(self.mine, "user.read_advanced", data, txid))

    def sync(self, cursor: Cursor | None, limit: int, *, expired: bool = False) -> tuple[SyncPage, Cursor]:
        """A page, and the cursor that goes with it (the page's own says nothing here)."""
        if cursor is None or expired:
            return self._snapshot(Cursor(self.fence, 0, ""), limit, reset=expired)
        if cursor.after is not None:
            return self._snapshot(cursor, limit, reset=False)
        active = {self.mine} | {f"conversation:{name}" for name in self.memberships if self.takes_part(name)}
        found = [
            event
            for event in sorted(self.events, key=lambda event: (event.txid or 0, event.position))
            if event.subject in active
            and (event.txid or 0, event.position) > (cursor.txid, cursor.position)
            and (event.txid or 0) < self.fence
        ][:limit]
        more = len(found) == limit
        following = Cursor(found[-1].txid or 0, found[-1].position) if more else Cursor(self.fence)
        return SyncPage(events=tuple(found), next_cursor=str(following), has_more=more), following

    def history(self, stream: str, after_seq: int, limit: int) -> tuple[list[Delivered], int] | None:
        """A page for a repair and where the stream ends; None is 404."""
        if not self.takes_part(stream.removeprefix("conversation:")):
            return None
        found = [event for event in self.events if event.subject == stream and event.seq > after_seq]
        found.sort(key=lambda event: event.seq)
        return [as_delivered(event, Source.REPAIR) for event in found[:limit]], self.heads[stream]

    def spans(self, stream: str) -> list[Membership]:
        """The user's memberships in a stream."""
        return self.memberships.get(stream.removeprefix("conversation:"), [])

    def left_note(self, conversation: str) -> int:
        """Where the user's own stream tells of the last leaving of a conversation; 0 if it does not."""
        notes = [
            event.seq
            for event in self.events
            if event.type == "user.conversation_left" and event.data["conversation_id"] == conversation
        ]
        return max(notes, default=0)

    def at(self, stream: str, seq: int) -> Envelope:
        """One event."""
        return next(event for event in self.events if (event.subject, event.seq) == (stream, seq))

    def _snapshot(self, cursor: Cursor, limit: int, *, reset: bool) -> tuple[SyncPage, Cursor]:
        names = sorted(name for name in self.memberships if self.takes_part(name) and name > (cursor.after or ""))
        page, more = names[:limit], len(names) > limit
        following = Cursor(cursor.txid, 0, page[-1]) if more else Cursor(cursor.txid)
        heads = tuple(ConversationHead(id=name, last_seq=self.heads[f"conversation:{name}"]) for name in page)
        own = self.heads.get(self.mine, 0)
        answer = SyncPage(conversations=heads, user_seq=own, next_cursor=str(following), has_more=more, reset=reset)
        return answer, following

    def _txid(self, txid: int | None, *streams: str) -> int:
        # Whoever writes to a stream has its lock before it has its transaction id.
        if txid is not None and all(self.last_txid.get(stream, 0) < txid for stream in streams):
            self.open_txids.remove(txid)
            return txid
        txid, self.next_txid = self.next_txid, self.next_txid + 1
        return txid

    def _append(self, stream: str, kind: str, data: dict[str, Any], txid: int) -> Envelope:
        self.position += 1
        seq = self.heads[stream] = self.heads.get(stream, 0) + 1
        self.last_txid[stream] = txid
        event = Envelope(
            id=_id(self.position),
            type=kind,
            subject=stream,
            time=NOW,
            seq=seq,
            position=self.position,
            txid=txid,
            partitionkey=stream,
            data=data,
        )
        self.events.append(event)
        return event

    def _tell(self, event: Envelope) -> None:
        if event.type in ACTION_OF_EVENT:
            self.wire.append(as_delivered(event, Source.LIVE))


def as_delivered(event: Envelope, source: Source) -> Delivered:
    """An event as the client sees it."""
    return Delivered(event.subject, event.seq, event.type, event.data, source)


def _id(number: int) -> str:
    return f"{number:08x}-0000-7000-8000-000000000000"
