"""How reconnects are spread, without a clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_edge.drain import spread, window_s


@given(st.integers(1, 3000), st.floats(0.01, 60))
def test_every_socket_has_a_share_of_the_window_to_itself(sockets: int, window: float) -> None:
    """Ascending, within the window, and never two in one share: no second has more than the even rate, and one."""
    moments = spread(sockets, window)
    share_s = window / sockets
    assert len(moments) == sockets
    for place, moment in enumerate(moments):
        assert share_s * place <= moment <= share_s * (place + 1) <= window * (1 + 1e-9)


@pytest.mark.parametrize("uniform", [lambda low, _high: low, lambda _low, high: high])
def test_no_second_has_more_than_its_part(uniform: Callable[[float, float], float]) -> None:
    """1,000 sockets in 10 s: 100 in each second, whatever the dice say."""
    seconds = Counter(int(moment - 1e-9) for moment in spread(1000, 10.0, uniform))
    assert max(seconds.values()) <= 101


def test_three_edges_at_once_stay_below_one_and_a_half_times_the_even_rate() -> None:
    """Also in any second that begins anywhere: 3,000 sockets of three edges in 10 s are at most 450 in one."""
    moments = sorted(moment for _ in range(3) for moment in spread(1000, 10.0))
    for place, start_s in enumerate(moments):
        inside = sum(1 for moment in moments[place : place + 500] if moment < start_s + 1.0)
        assert inside <= 310


def test_few_sockets_take_less_than_the_window() -> None:
    """200 a second are no stampede, so that an almost empty edge stops almost at once."""
    assert window_s(0, 10) == 0
    assert spread(0, 0.0) == []
    assert window_s(60, 10) == pytest.approx(0.3)
    assert window_s(100_000, 10) == 10
