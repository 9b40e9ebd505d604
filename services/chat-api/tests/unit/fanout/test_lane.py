"""The floor: up to where everything is settled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chat_api.fanout.lane import Floor


@given(st.integers(0, 1000), st.lists(st.integers(1, 5), min_size=1, max_size=30), st.data())
def test_floor_is_the_highest_settled_prefix(start: int, steps: list[int], data: st.DataObject) -> None:
    """Opened in order, settled in any: the floor is the last event before the first that is open."""
    places = []
    place = start
    for step in steps:
        place += step
        places.append(place)
    floor = Floor(start)
    opened: list[int] = []
    settled: set[int] = set()
    while len(settled) < len(places):
        can_open = len(opened) < len(places)
        open_ones = [place for place in opened if place not in settled]
        if can_open and (not open_ones or data.draw(st.booleans())):
            opened.append(places[len(opened)])
            floor.opened(opened[-1])
        else:
            chosen = data.draw(st.sampled_from(open_ones))
            settled.add(chosen)
            floor.done(chosen)
        prefix = start
        for place in opened:
            if place not in settled:
                break
            prefix = place
        assert floor.settled == prefix
    assert floor.settled == places[-1]


def test_a_new_floor_begins_where_it_is_told() -> None:
    """Nothing settled yet is the predecessor's floor."""
    floor = Floor(17)
    floor.opened(18)
    assert floor.settled == 17


def test_an_event_that_comes_again_does_not_sink_the_floor() -> None:
    """JetStream may repeat an event; what was settled stays settled."""
    floor = Floor(0)
    for place in (1, 2, 3):
        floor.opened(place)
    floor.opened(1)
    for place in (1, 2, 3, 1):
        floor.done(place)
    assert floor.settled == 3
