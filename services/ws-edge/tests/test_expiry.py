"""Signals that end by themselves, on a clock that the test turns."""

from __future__ import annotations

import asyncio

from ws_edge.expiry import Expiry
from ws_edge.testing.servers import until


class Bench:
    """An expiry and what it has ended."""

    def __init__(self, entries_max: int = 100) -> None:
        self.now_s = 100.0
        self.ended: list[tuple[str, str]] = []
        self.expiry = Expiry(lambda: self.now_s, lambda *place: self.ended.append(place), entries_max)

    def due_at(self, now_s: float) -> list[tuple[str, str]]:
        self.now_s = now_s
        return self.expiry.due()


def test_a_signal_ends_once_at_its_time() -> None:
    """Not before, in the order of their times, and not again."""
    bench = Bench()
    bench.expiry.renew("ann", "late", 6)
    bench.expiry.renew("ann", "soon", 2)
    assert bench.due_at(101.9) == []
    assert bench.due_at(107) == [("ann", "soon"), ("ann", "late")]
    assert bench.due_at(200) == []
    assert len(bench.expiry) == 0


def test_a_renewal_moves_the_end() -> None:
    """Later or earlier, the last word counts."""
    bench = Bench()
    bench.expiry.renew("ann", "k", 6)
    bench.now_s = 104
    bench.expiry.renew("ann", "k", 6)
    assert bench.due_at(107) == []
    bench.expiry.renew("ann", "k", 1)
    assert bench.due_at(108.5) == [("ann", "k")]
    assert bench.due_at(200) == []


def test_what_was_ended_in_words_does_not_end_again() -> None:
    """And what begins anew has a new end."""
    bench = Bench()
    bench.expiry.renew("ann", "k", 6)
    bench.expiry.forget("ann", "k")
    bench.expiry.forget("ann", "k")
    bench.now_s = 104
    bench.expiry.renew("ann", "k", 6)
    assert bench.due_at(107) == []
    assert bench.due_at(111) == [("ann", "k")]


def test_a_full_one_ends_the_next_at_once() -> None:
    """Nobody is left typing for ever, and memory is bounded, however often signals begin and end."""
    bench = Bench(entries_max=3)
    for number in range(5):
        bench.expiry.renew("ann", str(number), 6 - number)
    assert bench.ended == [("ann", "2"), ("ann", "3")]
    assert len(bench.expiry) == 3
    for _ in range(100):
        bench.expiry.forget("ann", "4")
        bench.expiry.renew("ann", "4", 6)
    assert len(bench.expiry._heap) <= 2 * 3 + 1


async def test_the_task_wakes_for_an_earlier_end() -> None:
    """It waits for the next end, whichever that is now."""
    loop = asyncio.get_running_loop()
    ended: list[str] = []
    expiry = Expiry(loop.time, lambda _user, key: ended.append(key))
    task = asyncio.create_task(expiry.run())
    expiry.renew("ann", "late", 30)
    await asyncio.sleep(0)
    expiry.renew("ann", "soon", 0.02)
    await until(lambda: ended == ["soon"], "the earlier one")
    task.cancel()
