"""One socket's buffer and barrier, on a wire in memory and a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts.devices import DeviceType
from contracts.ids import new_id
from ws_edge.connection import Awaiting, Connection, Limits, Surroundings, TurnEnd
from ws_edge.metrics import Figures
from ws_edge.rfc6455 import encode_frame
from ws_edge.testing.wire import MemoryWire

PING = 9


class Bench:
    """A connection with everything around it in the test's hands."""

    def __init__(self, limits: Limits | None = None, *, confirmed: bool = True) -> None:
        self.now_s = 100.0
        self.figures = Figures()
        self.settled: list[Awaiting] = []
        self.left: list[int] = []
        self._soon: list[Callable[[], None]] = []
        self.wire = MemoryWire()
        around = Surroundings(
            limits or Limits(),
            TurnEnd(self._soon.append),
            self.figures,
            lambda: self.now_s,
            lambda _connection, proved: self.settled.extend(proved),
            lambda _connection, code: self.left.append(code),
        )
        self.connection = Connection(
            around, self.wire, connection_id=new_id(), user_id="ann", device_type=DeviceType.MOBILE
        )
        if confirmed:
            self.connection.confirm(text(b"connected"))
            self.turn()
            self.wire.writes.clear()

    def turn(self) -> None:
        """The end of this turn of the loop, and of those that it causes."""
        while self._soon:
            self._soon.pop(0)()


def text(payload: bytes) -> bytes:
    return encode_frame(1, payload)


def test_burst_is_one_write_with_the_ping_at_its_end() -> None:
    """Frames of one turn leave together, and one ping covers them all."""
    bench = Bench()
    for seq in range(1, 4):
        bench.connection.send_durable("s", seq, text(b"%d" % seq), Awaiting(f"r{seq}", 0))
    bench.turn()
    assert len(bench.wire.writes) == 1
    assert bench.wire.frames() == [(1, b"1"), (1, b"2"), (1, b"3"), (PING, b"1")]
    bench.connection.pong(b"1")
    assert [awaiting.reply for awaiting in bench.settled] == ["r1", "r2", "r3"]


def test_first_frame_is_connected_whatever_came_before() -> None:
    """What comes in before the confirmation waits for it."""
    bench = Bench(confirmed=False)
    bench.connection.send(text(b"early"))
    bench.turn()
    assert bench.wire.writes == []
    bench.connection.confirm(text(b"connected"))
    bench.turn()
    assert bench.wire.frames() == [(1, b"connected"), (1, b"early")]


def test_frame_without_a_receipt_needs_no_ping() -> None:
    """Nobody asks, nobody is asked."""
    bench = Bench()
    bench.connection.send_durable("s", 1, text(b"1"), None)
    bench.turn()
    assert bench.wire.frames() == [(1, b"1")]


@pytest.mark.parametrize("payload", [b"", b"0", b"2", b"01", b"+1", b" 1", b"x"])
def test_other_pongs_prove_nothing(payload: bytes) -> None:
    """Only the number that is out counts."""
    bench = Bench()
    bench.connection.send_durable("s", 1, text(b"1"), Awaiting("r", 0))
    bench.turn()
    bench.connection.pong(payload)
    assert bench.settled == []
    bench.connection.pong(b"1")
    bench.connection.pong(b"1")
    assert len(bench.settled) == 1


def test_latest_of_a_live_key_replaces_the_unsent_one() -> None:
    """A slow socket gets the state, not its history; another key is another state."""
    bench = Bench()
    bench.wire.paused = True
    for number in range(5000):
        bench.connection.send_live("typing:bob", text(b"%d" % number))
    bench.connection.send_live("typing:eve", text(b"e"))
    bench.wire.paused = False
    bench.connection.resume()
    assert bench.wire.frames() == [(1, b"4999"), (1, b"e")]
    assert not bench.connection.closed


@pytest.mark.parametrize("limits", [Limits(frames_max=100), Limits(bytes_max=1_000)])
def test_live_frames_of_many_keys_are_bounded_too(limits: Limits) -> None:
    """Coalescing bounds what one key costs; 10,000 keys on a stuck socket meet the same limits as everything else."""
    bench = Bench(limits)
    bench.wire.paused = True
    for number in range(10_000):
        bench.connection.send_live(f"presence:{number}", text(b"online"))
    assert bench.left == [4408]
    assert bench.connection._queue == []


def test_live_frames_that_grow_in_their_place_are_bounded_too() -> None:
    """A replaced frame may be larger than the one before it."""
    bench = Bench(Limits(bytes_max=10_000))
    bench.wire.paused = True
    for number in range(10):
        bench.connection.send_live(f"k{number}", text(b"small"))
    assert bench.left == []
    for number in range(10):
        bench.connection.send_live(f"k{number}", text(b"x" * 2_000))
    assert bench.left == [4408]


def test_burst_beyond_the_limit_does_not_hurt_a_socket_that_takes_it() -> None:
    """The limit is on what the kernel did not take, not on what comes in one turn."""
    bench = Bench(Limits(frames_max=10))
    for number in range(100):
        bench.connection.send(text(b"%d" % number))
    bench.turn()
    assert [payload for _, payload in bench.wire.frames()] == [b"%d" % number for number in range(100)]


def test_much_that_waited_leaves_in_pieces_and_in_order() -> None:
    """What a stuck socket holds back is never joined as a whole."""
    bench = Bench(Limits(bytes_max=10_000_000))
    bench.wire.paused = True
    for seq in range(1, 101):
        bench.connection.send_durable("s", seq, text(b"%d " % seq + b"x" * 50_000), Awaiting("r", 0))
    bench.wire.paused = False
    bench.connection.resume()
    assert max(map(len, bench.wire.writes)) < 400_000
    *frames, ping = bench.wire.frames()
    assert [int(payload.split()[0]) for _, payload in frames] == list(range(1, 101))
    assert ping[0] == PING
    bench.connection.send(text(b"more"))
    bench.turn()
    assert bench.wire.frames() == [(1, b"more")]


@pytest.mark.parametrize("limits", [Limits(frames_max=10), Limits(bytes_max=100)])
def test_stuck_socket_is_closed_4408_and_forgets_everything(limits: Limits) -> None:
    """Frames or bytes: whichever limit comes first."""
    bench = Bench(limits)
    bench.wire.paused = True
    for seq in range(1, 40):
        bench.connection.send_durable("s", seq, text(b"12345"), Awaiting("r", 0))
    assert bench.wire.closed_with is not None
    assert bench.wire.closed_with[0] == 4408
    assert bench.left == [4408]
    assert bench.figures.slow_closes == 1
    bench.turn()
    assert bench.wire.writes == []


def test_bytes_that_wait_in_the_kernel_count() -> None:
    """What was handed over but not taken is still ours."""
    bench = Bench(Limits(bytes_max=1000))
    bench.wire.paused, bench.wire.stuck_bytes = True, 990
    bench.connection.send(text(b"x" * 20))
    assert bench.left == [4408]


def test_pending_receipts_are_bounded_and_the_oldest_goes() -> None:
    """A socket that never answers holds no more than the limit."""
    bench = Bench(Limits(receipts_max=3))
    for seq in range(1, 10):
        bench.connection.send_durable("s", seq, text(b"x"), Awaiting(f"r{seq}", 0))
    bench.turn()
    bench.connection.pong(b"1")
    assert [awaiting.reply for awaiting in bench.settled] == ["r7", "r8", "r9"]
    assert bench.figures.receipts_dropped == 6


def test_streams_remembered_are_bounded() -> None:
    """The longest unused stream is forgotten first."""
    bench = Bench(Limits(streams_max=2))
    for stream in ("a", "b", "a", "c"):
        bench.connection.send_durable(stream, 5, text(b"x"), None)
    assert not bench.connection.send_durable("a", 5, text(b"x"), None)
    assert not bench.connection.send_durable("c", 5, text(b"x"), None)
    assert bench.connection.send_durable("b", 5, text(b"x"), None)


def test_silence_brings_a_ping_and_no_pong_a_close() -> None:
    """The two times of the heartbeat; a pong starts them anew."""
    bench = Bench(Limits(heartbeat_interval_s=45, connection_timeout_s=20))
    check = bench.connection.check

    def at(now_s: float) -> None:
        bench.now_s = now_s
        check(now_s)
        bench.turn()

    at(144.9)
    assert bench.wire.frames() == []
    at(145)
    assert bench.wire.frames() == [(PING, b"1")]
    bench.connection.heard_at_s = bench.now_s
    bench.connection.pong(b"1")
    at(189)
    assert bench.wire.frames() == []
    at(190)
    assert bench.wire.frames() == [(PING, b"2")]
    at(209.9)
    assert bench.left == []
    at(210)
    assert bench.left == [1001]


def test_stuck_socket_that_owes_a_pong_is_closed_too() -> None:
    """A ping that cannot even leave is not answered either."""
    bench = Bench()
    bench.wire.paused = True
    bench.now_s = 150
    bench.connection.check(150)
    bench.turn()
    bench.connection.check(170)
    assert bench.left == [1001]


def test_unconfirmed_and_expired_sockets_are_closed() -> None:
    """NATS that does not answer is 1011, a token that ends is 4401."""
    bench = Bench(confirmed=False)
    bench.connection.check(105)
    assert bench.left == [1011]
    bench = Bench()
    bench.connection.expires_at_s = 101
    bench.connection.check(101)
    assert bench.left == [4401]


def test_nothing_is_written_after_close() -> None:
    """What was queued leaves first; then the close frame is the last."""
    bench = Bench()
    bench.connection.send(text(b"last"))
    bench.connection.close(1012, "bye")
    assert bench.wire.frames() == [(1, b"last")]
    bench.connection.send(text(b"late"))
    bench.connection.send_live("k", text(b"late"))
    assert bench.connection.send_durable("s", 1, text(b"late"), None) is False
    bench.connection.close(4408, "again")
    bench.turn()
    assert bench.wire.writes == []
    assert bench.wire.closed_with == (1012, "bye")
    assert bench.left == [1012]


def test_one_broken_socket_does_not_hold_its_neighbours_back() -> None:
    """An exception while writing ends that socket alone."""
    bench = Bench()

    def broken(_data: bytes) -> None:
        raise RuntimeError("closed under us")

    bench.connection.send(text(b"x"))
    bench.wire.write = broken  # type: ignore[method-assign, assignment]
    bench.turn()
    assert bench.left == [1011]


class Barrier(RuleBasedStateMachine):
    """Any order of frames, turns, stalls and pongs: the client sees each seq once, as published; receipts are true."""

    @initialize()
    def begin(self) -> None:
        self.bench = Bench(Limits(receipts_max=1_000))
        self.seen: dict[str, list[int]] = {"a": [], "b": []}
        self.asked: list[tuple[str, int]] = []
        self.pings: list[bytes] = []
        self.read_until: dict[bytes, dict[str, set[int]]] = {}

    @rule(stream=st.sampled_from("ab"), seq=st.integers(1, 30))
    def publish(self, stream: str, seq: int) -> None:
        self.asked.append((stream, seq))
        awaiting = Awaiting(f"{stream} {seq}", 0)
        self.bench.connection.send_durable(stream, seq, text(f"{stream} {seq}".encode()), awaiting)

    @rule()
    def end_of_turn(self) -> None:
        self.bench.turn()
        for opcode, payload in self.bench.wire.frames():
            if opcode == PING:
                self.pings.append(payload)
                self.read_until[payload] = {stream: set(seqs) for stream, seqs in self.seen.items()}
            else:
                stream, seq = payload.decode().split()
                self.seen[stream].append(int(seq))

    @rule(stalled=st.booleans())
    def stall(self, stalled: bool) -> None:
        self.bench.wire.paused = stalled
        if not stalled:
            self.bench.connection.resume()

    @rule(which=st.integers(0, 5))
    def pong(self, which: int) -> None:
        if not self.pings:
            return
        payload = self.pings[-1 - which % len(self.pings)]
        before = len(self.bench.settled)
        self.bench.connection.pong(payload)
        for awaiting in self.bench.settled[before:]:
            stream, seq = awaiting.reply.split()
            assert int(seq) in self.read_until[payload][stream]

    @invariant()
    def each_seq_comes_once_in_the_order_of_publication(self) -> None:
        if not hasattr(self, "seen"):
            return
        for stream, seqs in self.seen.items():
            published = list(dict.fromkeys(seq for name, seq in self.asked if name == stream))
            assert seqs == published[: len(seqs)]
        assert len(self.bench.settled) <= len(self.asked)

    def teardown(self) -> None:
        """In the end, a client that reads and answers has proved everything that was asked."""
        if not hasattr(self, "bench"):
            return
        self.stall(stalled=False)
        self.end_of_turn()
        for _ in range(3):
            if self.pings:
                self.pong(0)
            self.end_of_turn()
        assert len(self.bench.settled) == len(self.asked)


TestBarrier = Barrier.TestCase
TestBarrier.settings = hypothesis_settings(max_examples=100, stateful_step_count=40, deadline=None)
