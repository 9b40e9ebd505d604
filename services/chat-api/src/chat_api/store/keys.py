"""The record's order, and how fan-out shares it out.

An event's key is its transaction's id, and its position among that transaction's events; its stream says which lane
brings it to people.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32


class Key(NamedTuple):
    """A place in the record; keys compare as the record is ordered."""

    txid: int
    position: int

    def predecessor(self) -> Key:
        """The highest key below this one; hardly ever an event's."""
        return Key(self.txid, self.position - 1)


ORIGIN = Key(0, 0)
"""Below every event."""


def lane_of(stream: str, lanes: int) -> int:
    """Which of `lanes` lanes (0 to `lanes` - 1) carries the events of a stream.

    Releases that run side by side, and floors that stand in Postgres, count on the same answer: it must never change.
    """
    return crc32(stream.encode()) % lanes
