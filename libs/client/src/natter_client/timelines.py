"""All of a client's streams: what comes in by frame, sync and repair, and the list of things to do about it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from contracts.envelope import Envelope
from contracts.sync import SyncPage
from natter_client.stats import Stats
from natter_client.timeline import Delivered, Source, Standing, StreamTimeline

STREAMS_UNKNOWN_MAX = 1_000
"""Streams that may wait for a sync to explain them; frames of further ones are dropped, and come by that sync."""


@dataclass(frozen=True, slots=True)
class Repair:
    """Read `GET …/events` of this conversation from `after_seq` to `until_seq`, then say how it ended."""

    stream: str
    after_seq: int
    until_seq: int
    vouched: int


@dataclass(frozen=True, slots=True)
class NeedSync:
    """Only a sync can say what is missing or where something belongs."""


@dataclass(frozen=True, slots=True)
class Rebased:
    """The timeline begins anew: what lies after `from_seq` up to `to_seq` is history that was never shown."""

    stream: str
    from_seq: int
    to_seq: int


@dataclass(frozen=True, slots=True)
class GapFound:
    """Something below what is known is missing."""

    stream: str


@dataclass(frozen=True, slots=True)
class GapHealed:
    """Nothing is missing any more, or what was missing is no longer the user's."""

    stream: str


Step: TypeAlias = Delivered | Repair | NeedSync | Rebased | GapFound | GapHealed


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream was left off."""

    head: int
    known_last: int
    standing: Standing


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A sync cursor and the places that go with it: a client that begins there shows what came after, and only that."""

    cursor: str
    places: Mapping[str, Place] = field(default_factory=dict)


class Timelines:
    """Merges whatever comes, in whatever order, into streams without a hole and without a repeat.

    While a sync runs no repair is asked for: most gaps are filled by it.
    """

    def __init__(
        self,
        user_id: str,
        *,
        pending_max: int = 500,
        events_kept_max: int = 1_000,
        repair_max: int = 10_000,
        places: Mapping[str, Place] | None = None,
        stats: Stats | None = None,
    ) -> None:
        self.streams: dict[str, StreamTimeline] = {}
        self._stats = stats or Stats()
        self._me = user_id
        self._mine = f"user:{user_id}"
        self._pending_max = pending_max
        self._events_kept_max = events_kept_max
        self._repair_max = repair_max
        self._epoch = 0
        self._unsettled: set[str] = set()
        """Streams with a gap, or with frames that fit nowhere."""
        self._syncing = False
        self._in_snapshot = False
        self._named: set[str] = set()
        self._epoch_before_sync = 0
        self._seen: dict[str, int] = {}
        """What was known when the sync began of the streams that were not complete then."""
        for name, place in (places or {}).items():
            stream = self._stream(name)
            stream.base = stream.head = place.head
            stream.known_last, stream.standing = place.known_last, place.standing
            self._unsettled.add(name)

    def live(self, event: Delivered) -> list[Step]:
        """A durable frame."""
        if event.stream not in self.streams and self._unknown_streams() >= STREAMS_UNKNOWN_MAX:
            return [NeedSync()]
        steps = self._merge(event)
        return steps + self._settle((event.stream,))

    def hint(self, stream: str, last_seq: int) -> list[Step]:
        """A stream is known to reach that far, by a frame whose meaning is not known."""
        self._stream(stream).hint(last_seq)
        return self._settle((stream,))

    def begin_sync(self) -> None:
        """The first page is about to be asked for."""
        self._syncing = True
        self._in_snapshot = False
        self._named.clear()
        self._epoch_before_sync = self._epoch
        self._seen = {name: self.streams[name].known_last for name in self._unsettled}

    def sync_page(self, page: SyncPage) -> list[Step]:
        """One page of the sync, in the order in which they were asked for."""
        steps: list[Step] = []
        touched: set[str] = set()
        if page.conversations is not None:
            steps += self._snapshot_page(page, touched)
        for envelope in page.events:
            touched.add(envelope.subject)
            steps += self._merge(delivered(envelope, Source.SYNC))
        return steps + self._settle(touched)

    def end_sync(self, *, complete: bool) -> list[Step]:
        """The sync is over, with all its pages or not."""
        self._syncing = False
        if complete:
            for name, seen in self._seen.items():
                self.streams[name].explained(seen)
        return self._settle(())

    def repaired(self, events: Iterable[Delivered]) -> list[Step]:
        """One page of a repair; what it holds follows without a gap on what was asked for."""
        steps: list[Step] = []
        touched = set()
        for event in events:
            touched.add(event.stream)
            steps += self._merge(event)
        return steps + self._settle(touched)

    def repair_goes_on(self, repair: Repair, after_seq: int) -> bool:
        """Whether a page behind `after_seq` is needed. A membership that ended may have begun again further on."""
        stream = self._stream(repair.stream)
        filled = stream.standing is Standing.OPEN and stream.head >= repair.until_seq
        return after_seq < repair.until_seq and not filled and stream.standing is not Standing.UNREACHABLE

    def repair_ended(self, repair: Repair, last_seq: int) -> list[Step]:
        """A repair got all it asked for, and heard that the stream goes to `last_seq`."""
        stream = self._stream(repair.stream)
        stream.repairing = False
        stream.hint(last_seq)
        if stream.standing is Standing.LEFT and last_seq > max(stream.head, repair.until_seq):
            # A stranger would not have been answered: the next membership begins further on.
            stream.repairing = True
            onward: Step = Repair(stream.name, max(stream.head, repair.until_seq), last_seq, stream.vouched)
            return [onward, *self._settle((repair.stream,))]
        return self._settle((repair.stream,))

    def repair_refused(self, repair: Repair, seen: int) -> list[Step]:
        """The stream is not the user's to read (404); it was asked for when `seen` was the `known_last`."""
        stream = self._stream(repair.stream)
        stream.repairing = False
        steps: list[Step] = []
        if stream.standing is Standing.OPEN and stream.vouched == repair.vouched:
            steps = self._shown(stream.unreachable(self._next_epoch(), seen))
        return steps + self._settle((repair.stream,))

    @property
    def wants_sync(self) -> bool:
        """Whether something is missing that only a sync can bring."""
        return any(name == self._mine or self.streams[name].puzzled for name in self._unsettled)

    @property
    def stuck(self) -> bool:
        """Whether the user's own stream has a hole below what increments brought: only a snapshot gets over it."""
        own = self.streams.get(self._mine)
        return own is not None and own.gapped and any(held.source is Source.SYNC for held in own.pending.values())

    @property
    def gapped(self) -> dict[str, int]:
        """The streams with something missing, and up to which seq."""
        return {name: self.streams[name].known_last for name in self._unsettled if self.streams[name].gapped}

    def places(self) -> dict[str, Place]:
        """What a bookmark keeps."""
        return {
            name: Place(stream.head, stream.known_last, stream.standing)
            for name, stream in self.streams.items()
            if stream.standing is not Standing.UNKNOWN
        }

    def _snapshot_page(self, page: SyncPage, touched: set[str]) -> list[Step]:
        steps: list[Step] = []
        assert page.conversations is not None
        first = page.reset or not self._in_snapshot
        if first:
            self._named.clear()
        if page.user_seq is not None:
            touched.add(self._mine)
            steps += self._own_head(page.user_seq, first)
        for conversation in page.conversations:
            name = f"conversation:{conversation.id}"
            touched.add(name)
            self._named.add(name)
            steps += self._conversation_head(self._stream(name), conversation.last_seq)
        self._in_snapshot = page.has_more
        if not page.has_more:
            steps += self._close_unnamed(touched)
        return steps

    def _own_head(self, user_seq: int, first: bool) -> list[Step]:
        own = self._stream(self._mine)
        if own.standing is Standing.UNKNOWN:
            own.open(user_seq, self._next_epoch())
            return self._shown(own.flow(self._next_epoch()))
        if not first or user_seq <= own.head:
            own.hint(user_seq)
            return []
        # Increments begin at the first page: what lies between came before it, and there is no other way to it.
        return self._rebase(own, user_seq)

    def _conversation_head(self, stream: StreamTimeline, last_seq: int) -> list[Step]:
        stream.vouched = self._next_epoch()
        match stream.standing:
            case Standing.UNKNOWN:
                # Frames that came before the snapshot are shown, too: somebody was there to see them.
                base = min([last_seq, *(seq - 1 for seq in stream.pending)])
                stream.open(base, self._next_epoch())
                stream.hint(last_seq)
                return self._shown(stream.flow(self._next_epoch()))
            case Standing.LEFT:
                # Joined again, and where is not known. (Not above `head`: the page is older than the end.)
                return self._rebase(stream, last_seq) if last_seq > stream.head else []
            case Standing.UNREACHABLE if last_seq > stream.head:
                stream.standing, stream.epoch = Standing.OPEN, self._next_epoch()
        stream.hint(last_seq)
        if stream.standing is Standing.OPEN and last_seq - stream.head > self._repair_max:
            return self._rebase(stream, last_seq)
        return []

    def _close_unnamed(self, touched: set[str]) -> list[Step]:
        steps: list[Step] = []
        for name, stream in tuple(self.streams.items()):
            # What was opened since the sync began may be newer than the page that would have named it.
            known_before = stream.epoch <= self._epoch_before_sync
            if stream.standing is Standing.OPEN and known_before and name != self._mine and name not in self._named:
                touched.add(name)
                steps += self._shown(stream.unreachable(self._next_epoch(), self._seen.get(name, 0)))
        return steps

    def _rebase(self, stream: StreamTimeline, base: int) -> list[Step]:
        rebased = Rebased(stream.name, stream.head, base)
        return [rebased, *self._shown(stream.rebase(base, self._next_epoch()))]

    def _merge(self, event: Delivered) -> list[Step]:
        stream = self._stream(event.stream)
        if event.stream == self._mine and stream.standing is Standing.UNKNOWN and event.source is Source.SYNC:
            # Increments are complete from their cursor on.
            stream.open(event.seq - 1, self._next_epoch())
        shown = stream.merge(event, self._next_epoch())
        if shown is None:
            if event.source is Source.LIVE:
                self._stats.duplicates_dropped += 1
            else:
                self._stats.already_known += 1
            return []
        return self._shown(shown)

    def _shown(self, events: list[Delivered]) -> list[Step]:
        steps: list[Step] = []
        for event in events:
            match event.source:
                case Source.LIVE:
                    self._stats.shown_live += 1
                case Source.SYNC:
                    self._stats.shown_by_sync += 1
                case Source.REPAIR:
                    self._stats.shown_by_repair += 1
            steps.append(event)
            if event.stream == self._mine and event.type.startswith("user.conversation_"):
                steps += self._membership(event)
        return steps

    def _membership(self, event: Delivered) -> list[Step]:
        """The user's own note of a membership: what a device that was away learns of it by."""
        stream = self._stream(f"conversation:{event.data['conversation_id']}")
        at_seq = int(event.data["at_seq"])
        steps: list[Step] = []
        if event.type == "user.conversation_left":
            steps = self._shown(stream.left(at_seq, self._next_epoch()))
        elif event.type == "user.conversation_joined" and at_seq > stream.head:
            if stream.standing is not Standing.OPEN:
                stream.open(at_seq - 1, self._next_epoch())
                steps = self._shown(stream.flow(self._next_epoch()))
            stream.vouched = self._next_epoch()
            stream.hint(at_seq)
        self._unsettled.add(stream.name)
        return steps

    def _settle(self, touched: Iterable[str]) -> list[Step]:
        """What the streams need that were touched, and those that needed something before."""
        steps: list[Step] = []
        need_sync = False
        for name in sorted({*touched, *self._unsettled}):
            stream = self.streams[name]
            if stream.gapped != stream.gap_open:
                stream.gap_open = stream.gapped
                steps.append(GapFound(name) if stream.gapped else GapHealed(name))
            if not stream.gapped and not stream.puzzled:
                self._unsettled.discard(name)
                continue
            self._unsettled.add(name)
            if self._syncing:
                continue
            if name == self._mine or stream.puzzled:
                need_sync = True
            elif not stream.repairing:
                stream.repairing = True
                steps.append(Repair(name, stream.head, stream.known_last, stream.vouched))
        if need_sync:
            steps.append(NeedSync())
        return steps

    def _stream(self, name: str) -> StreamTimeline:
        stream = self.streams.get(name)
        if stream is None:
            stream = self.streams[name] = StreamTimeline(
                name, self._me, pending_max=self._pending_max, events_kept_max=self._events_kept_max
            )
        return stream

    def _unknown_streams(self) -> int:
        return sum(self.streams[name].standing is Standing.UNKNOWN for name in self._unsettled)

    def _next_epoch(self) -> int:
        self._epoch += 1
        return self._epoch


def delivered(event: Envelope, source: Source) -> Delivered:
    """An event of the record as a client sees it."""
    return Delivered(event.subject, event.seq, event.type, event.data, source)
