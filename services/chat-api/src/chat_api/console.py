"""What commands that are run by hand show: how far they are, and a table of what came out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Never, TextIO

from tqdm import tqdm

LINE_EVERY_S = 5.0


class EventsProgress:
    """How many events are done, how many per second, and how long it still takes; plain lines where no terminal is."""

    def __init__(self, label: str, stream: TextIO | None = None, line_every_s: float = LINE_EVERY_S) -> None:
        self._label = label
        self._stream = stream or sys.stderr
        self._line_every_s = line_every_s
        self._bar: tqdm[Never] | None = None
        self._total = self._done = 0
        self._began = self._said = 0.0

    def started(self, total: int) -> None:
        """So many events are to be done; some more may come."""
        self._total = total
        self._began = self._said = time.monotonic()
        if self._stream.isatty():
            self._bar = tqdm(total=total, desc=self._label, unit=" events", unit_scale=True, file=self._stream)

    def advanced(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        # What others write meanwhile is to be done as well.
        self._total = max(self._total, self._done)
        if self._bar is not None:
            self._bar.total = self._total
            self._bar.update(count)
        elif time.monotonic() - self._said >= self._line_every_s:
            self._say()

    def finished(self) -> None:
        """No more of them."""
        if self._bar is not None:
            self._bar.close()
        else:
            self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        per_s = self._done / max(self._said - self._began, 1e-3)
        left_s = (self._total - self._done) / per_s if per_s else 0
        print(
            f"{self._label}: {self._done:,} of {self._total:,} events, {per_s:,.0f}/s, {left_s:,.0f} s left",
            file=self._stream,
            flush=True,
        )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns below each other; the first one to the left, all others to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(cells))
        for cells in (list(zip(line, widths, strict=True)) for line in lines)
    )
