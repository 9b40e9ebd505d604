"""Which durable frames a socket has had: exactly, so that a repeat is never written and a late one never dropped.

The highest seq alone would not do. Fan-out goes back to its floor whenever it may have lost something, and then a
frame can come that lies below the highest one and was never written here: dropped, it would be lost, and confirmed.
"""

from __future__ import annotations

GAPS_MAX = 1_024
"""Seqs of one stream that are remembered as not written; beyond it the oldest count as written."""


class Seen:
    """The seqs of one stream that one socket has had: from `first` to `last`, without the gaps between."""

    __slots__ = ("_first", "_gaps", "_last")

    def __init__(self) -> None:
        self._first = self._last = 0
        self._gaps: set[int] | None = None  # None until there is one: there hardly ever is

    def add(self, seq: int) -> bool:
        """Note `seq` as written; False if it was before."""
        if not self._last:
            self._first = self._last = seq
            return True
        if seq == self._last + 1:
            self._last = seq
            return True
        if seq > self._last:
            self._miss(range(self._last + 1, seq))
            self._last = seq
            return True
        if seq < self._first:
            # Published before this socket was there, and now again.
            self._miss(range(seq + 1, self._first))
            self._first = seq
            return True
        if self._gaps is not None and seq in self._gaps:
            self._gaps.discard(seq)
            return True
        return False

    def _miss(self, seqs: range) -> None:
        if not seqs:
            return
        gaps = self._gaps
        if gaps is None:
            gaps = self._gaps = set()
        gaps.update(seqs[-GAPS_MAX:])
        if len(gaps) > GAPS_MAX:
            for seq in sorted(gaps)[:-GAPS_MAX]:
                gaps.discard(seq)
