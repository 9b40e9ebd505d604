"""Envelope to sockets to receipt, without NATS and without TCP."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from contracts.codec import decode
from contracts.delivery import Receipt
from contracts.devices import DeviceType
from contracts.ids import new_id
from ws_edge.connection import Connection, Limits, Surroundings, TurnEnd
from ws_edge.delivery import Delivery
from ws_edge.metrics import Figures
from ws_edge.registry import Registry
from ws_edge.testing.messages import FakeMessage
from ws_edge.testing.wire import MemoryWire

HEADER = "d 1 conversation:c"


class Bench:
    """An edge's middle: registry, delivery and sockets on wires in memory."""

    def __init__(self) -> None:
        self.registry, self.figures = Registry(), Figures()
        self.published: list[tuple[str, Receipt]] = []
        self.room = True
        self._soon: list[Callable[[], None]] = []
        self.delivery = Delivery(
            self.registry, self.figures, edge_id="edge-1", now=lambda: 1.0, publish=self._publish, debug=True
        )
        self.around = Surroundings(
            Limits(frames_max=5),
            TurnEnd(self._soon.append),
            self.figures,
            lambda: 1.0,
            self.delivery.settle,
            self._left,
        )

    def _left(self, connection: Connection, _code: int) -> None:
        self.registry.remove(connection)

    def _publish(self, subject: str, payload: bytes) -> bool:
        if self.room:
            self.published.append((subject, decode(Receipt, payload)))
        return self.room

    def socket(self, device: DeviceType) -> tuple[Connection, MemoryWire]:
        wire = MemoryWire()
        connection = Connection(self.around, wire, connection_id=new_id(), user_id="ann", device_type=device)
        self.registry.add(connection)
        connection.confirm(b"")
        self.turn()
        wire.writes.clear()
        return connection, wire

    def turn(self) -> None:
        while self._soon:
            self._soon.pop(0)()


def test_each_kind_of_device_is_reported_once() -> None:
    """Three sockets, two kinds, two receipts, in the order of their pongs."""
    bench = Bench()
    phone, laptop, second = (
        bench.socket(DeviceType.MOBILE)[0],
        bench.socket(DeviceType.DESKTOP)[0],
        bench.socket(DeviceType.DESKTOP)[0],
    )
    bench.delivery.deliver("ann", b"{}", HEADER, "natter.receipt.i.1")
    bench.turn()
    for connection in (second, laptop, phone):
        connection.pong(b"1")
    assert [(subject, receipt.connection_id) for subject, receipt in bench.published] == [
        ("natter.receipt.i.1", second.id),
        ("natter.receipt.i.1", phone.id),
    ]
    assert bench.figures.receipts == 2


@pytest.mark.parametrize(
    ("devices", "told"),
    [
        # In the order of their pongs: which device, whether nobody sits before it, and what the sender is told.
        ([(DeviceType.DESKTOP, True)], [(DeviceType.DESKTOP, True)]),
        ([(DeviceType.DESKTOP, True), (DeviceType.DESKTOP, True)], [(DeviceType.DESKTOP, True)]),
        (
            [(DeviceType.DESKTOP, True), (DeviceType.DESKTOP, False)],
            [(DeviceType.DESKTOP, True), (DeviceType.DESKTOP, False)],
        ),
        ([(DeviceType.DESKTOP, False), (DeviceType.DESKTOP, True)], [(DeviceType.DESKTOP, False)]),
        (
            [(DeviceType.TABLET, True), (DeviceType.DESKTOP, True)],
            [(DeviceType.TABLET, True), (DeviceType.DESKTOP, True)],
        ),
        ([(DeviceType.MOBILE, True), (DeviceType.MOBILE, False)], [(DeviceType.MOBILE, False)]),
    ],
)
def test_who_sits_before_a_device_is_part_of_its_receipt(
    devices: list[tuple[DeviceType, bool]], told: list[tuple[DeviceType, bool]]
) -> None:
    """An idle desktop is told once; that somebody has it after all is news. A phone is looked at when it rings."""
    bench = Bench()
    sockets = []
    for device, idle in devices:
        connection, _ = bench.socket(device)
        connection.set_idle(idle)
        sockets.append(connection)
    bench.delivery.deliver("ann", b"{}", HEADER, "r")
    bench.turn()
    for connection in sockets:
        connection.pong(b"1")
    assert [(receipt.device_type, receipt.idle) for _, receipt in bench.published] == told


def test_a_receipt_says_how_it_is_now() -> None:
    """What was encoded before somebody came back is not used again."""
    bench = Bench()
    connection, _ = bench.socket(DeviceType.DESKTOP)
    for seq, idle in enumerate((False, True, True, False), 1):
        connection.set_idle(idle)
        bench.delivery.deliver("ann", b"{}", f"d {seq} conversation:c", "r")
        bench.turn()
        connection.pong(b"%d" % seq)
    assert [receipt.idle for _, receipt in bench.published] == [False, True, True, False]


def test_message_for_nobody_is_counted() -> None:
    """No socket, no receipt: the sender learns it by waiting."""
    bench = Bench()
    bench.delivery.deliver("ann", b"{}", HEADER, "r")
    assert (bench.figures.homeless, bench.published) == (1, [])


@pytest.mark.parametrize("header", [None, "", "d", "d x s", "d 1", "x 1", "x y s", "q 1 s", "l "])
def test_message_without_a_valid_header_is_not_written(header: str | None) -> None:
    """It could be written twice."""
    bench = Bench()
    _, wire = bench.socket(DeviceType.MOBILE)
    bench.delivery.deliver("ann", b"{}", header, "r")
    bench.turn()
    assert wire.writes == []
    assert bench.figures.malformed == 1


def test_socket_that_overflows_during_a_delivery_does_not_disturb_the_others() -> None:
    """A stuck socket is struck out while the delivery walks over the user's sockets."""
    bench = Bench()
    _, stuck = bench.socket(DeviceType.MOBILE)
    _, quick = bench.socket(DeviceType.DESKTOP)
    stuck.paused = True
    for seq in range(1, 20):
        bench.delivery.deliver("ann", b"%d" % seq, f"d {seq} conversation:c", "")
        bench.turn()
    assert stuck.closed_with is not None
    assert [payload for _, payload in quick.frames()] == [b"%d" % seq for seq in range(1, 20)]
    assert len(bench.registry) == 1


def test_receipt_without_room_is_counted() -> None:
    """A full outbox loses receipts, and says so."""
    bench = Bench()
    phone, _ = bench.socket(DeviceType.MOBILE)
    bench.room = False
    bench.delivery.deliver("ann", b"{}", HEADER, "r")
    bench.turn()
    phone.pong(b"1")
    assert (bench.figures.receipts, bench.figures.receipts_dropped) == (0, 1)


def test_only_the_named_kinds_of_device_get_it_and_confirm() -> None:
    """Seed row S13: routing by device type; without such a device there is no receipt at all."""
    bench = Bench()
    phone, phone_wire = bench.socket(DeviceType.MOBILE)
    laptop, laptop_wire = bench.socket(DeviceType.DESKTOP)
    headers = {"Natter-Delivery": HEADER, "Natter-Devices": "mobile,tablet"}
    bench.delivery.on_message("ann", FakeMessage("natter.user.ann", b"{}", "r", headers))
    bench.turn()
    assert (len(phone_wire.writes), laptop_wire.writes) == (1, [])
    laptop.pong(b"1")
    assert bench.published == []
    phone.pong(b"1")
    assert [receipt.device_type for _, receipt in bench.published] == [DeviceType.MOBILE]
    bench.delivery.on_message(
        "ann", FakeMessage("natter.user.ann", b"{}", "r", {**headers, "Natter-Devices": "tablet"})
    )
    bench.turn()
    assert bench.figures.homeless == 1


def test_a_signal_that_is_not_renewed_is_taken_back() -> None:
    """Typing ends by a frame of its own; once it has ended in words, by no other."""
    bench = Bench()
    _, wire = bench.socket(DeviceType.MOBILE)
    key = f"typing:{new_id()}:bob"
    bench.delivery.deliver("ann", b"{}", f"x 6000 {key}", "")
    assert len(bench.delivery.expiry) == 1
    bench.delivery._take_back("ann", key)
    bench.turn()
    assert json.loads(wire.frames()[-1][1])["data"] == {
        "conversation_id": key.split(":")[1],
        "user_id": "bob",
        "is_typing": False,
    }
    bench.delivery.deliver("ann", b"{}", f"x 6000 {key}", "")
    bench.delivery.deliver("ann", b"{}", f"l {key}", "")
    bench.delivery.deliver("ann", b"{}", "x 6000 other:kind", "")
    assert len(bench.delivery.expiry) == 0
