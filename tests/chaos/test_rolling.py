"""A rolling restart of all edges, with as many clients as a test can afford; the full size is a command of its own."""

from __future__ import annotations

import pytest

from .rolling import Restarted, Rolled, busiest, possible, roll
from .verdict import LOST


def test_the_busiest_moment() -> None:
    """A rate is counted over every stretch, not only over those that begin with a full second."""
    assert busiest([], 1.0) == 0
    assert busiest([0.0, 0.6, 0.9, 1.4, 1.5, 5.0], 1.0) == 4
    assert busiest([0.0, 0.1, 0.2], 0.5) == 6


def test_what_is_wrong_is_said() -> None:
    """A crowd, an exit code and a lost message are each found."""
    even = [number / 100 for number in range(1000)]
    good = Restarted("edge-1", 1000, 10.0, 0, even, even)
    assert Rolled([good]).problems == Rolled([good]).crowds == []
    crowded = Restarted("edge-1", 1000, 10.0, 0, [*even[:800], *[5.0] * 200], [*even[:800], *[5.0] * 200])
    assert len(Rolled([crowded]).problems) == len(Rolled([crowded]).crowds) == 1
    assert Rolled([Restarted("edge-1", 1000, 10.0, -9, even, even)]).problems == ["edge-1 ended with -9"]
    rolled = Rolled([good])
    rolled.verdict.add(LOST, "something")
    assert rolled.problems == ["lost: something (1 in all)"]


@pytest.mark.timeout(300)
async def test_rolling_restart_loses_nothing_and_spreads_the_reconnects() -> None:
    """300 clients, three edges, one after the other: each ends with 0, nothing is lost, and moments are even."""
    rolled = await roll(possible(300))
    assert rolled.problems == []
    assert rolled.verdict.messages > 0
    assert sum(one.clients for one in rolled.restarts) >= 300
