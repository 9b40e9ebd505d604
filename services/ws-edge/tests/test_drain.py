"""How reconnects are spread, and who may stay a little longer, on a clock that the test turns."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.devices import DeviceType
from contracts.ids import new_id
from ws_edge.connection import Awaiting, Connection, Limits, Surroundings, TurnEnd
from ws_edge.drain import GRACE_S, drain, spread, window_s
from ws_edge.metrics import Figures
from ws_edge.registry import Registry
from ws_edge.rfc6455 import encode_frame
from ws_edge.testing.servers import until
from ws_edge.testing.wire import MemoryWire


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
    """50 a second are no stampede, so that an almost empty edge stops almost at once."""
    assert window_s(0, 10) == 0
    assert spread(0, 0.0) == []
    assert window_s(60, 10) == pytest.approx(1.2)
    assert window_s(100_000, 10) == 10


class Edge:
    """A registry of sockets in memory; `now_s` stands still until the test moves it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.registry = Registry()
        self.busy: set[Connection] = set()
        self._around = Surroundings(
            Limits(),
            TurnEnd(asyncio.get_running_loop().call_soon),
            Figures(),
            lambda: self.now_s,
            lambda _connection, _proved: None,
            self._left,
        )

    def _left(self, connection: Connection, _code: int) -> None:
        self.registry.remove(connection)

    def joined(self) -> tuple[Connection, MemoryWire]:
        """A socket that has been greeted."""
        wire = MemoryWire()
        connection = Connection(
            self._around, wire, connection_id=new_id(), user_id=new_id(), device_type=DeviceType.MOBILE
        )
        self.registry.add(connection)
        connection.confirm(encode_frame(1, b"{}"))
        return connection, wire

    def drain(self) -> asyncio.Task[None]:
        """Begin to drain, over as short a window as four sockets need."""
        return asyncio.create_task(drain(self.registry, 10, lambda: self.now_s, self.busy.__contains__))


async def test_each_socket_is_told_and_closed_at_its_moment_receipts_and_answers_first() -> None:
    """Idle: at its moment. Owing a pong, or waiting for an answer: as soon as that is there, or when grace is over."""
    edge = Edge()
    (idle, idle_wire), (owing, owing_wire), (asking, asking_wire), (mute, mute_wire) = (edge.joined() for _ in range(4))
    for connection in (owing, mute):
        connection.send_durable("s", 1, encode_frame(1, b"{}"), Awaiting("r", 0))
    edge.busy.add(asking)
    draining = edge.drain()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for wire in (idle_wire, owing_wire, asking_wire, mute_wire):
        told = [json.loads(payload) for opcode, payload in wire.frames() if opcode == 1 and b"reconnect" in payload]
        assert [frame["action"] for frame in told] == ["reconnect"]
        assert 0 <= told[0]["data"]["after_ms"] <= 80
        assert wire.closed_with is None

    edge.now_s = 0.5  # beyond every moment, within the grace
    await until(lambda: idle.closed, "idle is closed")
    assert idle_wire.closed_with == (1012, "this server stops: reconnect")
    assert not owing.closed
    assert not asking.closed
    owing.pong(b"1")
    edge.busy.clear()
    await until(lambda: owing.closed and asking.closed, "those who have what they waited for are closed")
    assert not mute.closed
    edge.now_s = 0.5 + GRACE_S
    await until(lambda: mute.closed, "nobody keeps the edge for ever")
    assert mute_wire.closed_with is not None
    async with asyncio.timeout(5):
        await draining


async def test_who_obeys_and_leaves_early_is_no_longer_waited_for() -> None:
    """A client that goes at its word: nothing is closed again, and the drain ends without the clock."""
    edge = Edge()
    (first, wire), (second, _) = edge.joined(), edge.joined()
    draining = edge.drain()
    await asyncio.sleep(0)
    for connection in (first, second):
        connection.lost(1000)
    async with asyncio.timeout(5):
        await draining
    assert wire.closed_with is None
