"""The record's order: an event's key is its transaction's id, and its position among that transaction's events."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """A place in the record; keys compare as the record is ordered."""

    txid: int
    position: int

    def predecessor(self) -> Key:
        """The highest key below this one; hardly ever an event's."""
        return Key(self.txid, self.position - 1)


ORIGIN = Key(0, 0)
"""Below every event."""
