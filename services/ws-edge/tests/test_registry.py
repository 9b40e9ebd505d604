"""Who is connected."""

from __future__ import annotations

from contracts.devices import DeviceType
from contracts.ids import new_id
from ws_edge.connection import Connection, Limits, Surroundings, TurnEnd
from ws_edge.metrics import Figures
from ws_edge.registry import Registry
from ws_edge.testing.wire import MemoryWire


def connection(user_id: str, device_id: str | None = None, device: DeviceType = DeviceType.DESKTOP) -> Connection:
    around = Surroundings(Limits(), TurnEnd(print), Figures(), lambda: 0.0, lambda _c, _a: None, lambda _c, _n: None)
    return Connection(
        around, MemoryWire(), connection_id=new_id(), user_id=user_id, device_type=device, device_id=device_id
    )


def test_users_come_and_go() -> None:
    """A user is online from the first socket to the last; removing twice is harmless."""
    registry = Registry()
    one, two = connection("ann"), connection("ann")
    assert registry.add(one) is None
    assert registry.add(two) is None
    assert registry.of("ann") == (one, two)
    assert registry.remove(one)
    assert not registry.remove(one)
    assert registry.online("ann")
    assert registry.remove(two)
    assert not registry.online("ann")
    assert registry.of("ann") == ()
    assert (len(registry), registry.users_count) == (0, 0)


def test_same_device_of_the_same_user_is_replaced() -> None:
    """A device id means something only together with its user; sockets without one replace nobody."""
    registry = Registry()
    old = connection("ann", "p1")
    registry.add(old)
    assert registry.add(connection("bob", "p1")) is None
    assert registry.add(connection("ann", "p2")) is None
    assert registry.add(connection("ann")) is None
    assert registry.add(connection("ann", "p1")) is old


def test_devices_are_counted_by_type() -> None:
    """What the metric shows."""
    registry = Registry()
    for device in (DeviceType.MOBILE, DeviceType.MOBILE, DeviceType.TABLET):
        registry.add(connection("ann", device=device))
    assert registry.devices() == {"mobile": 2, "tablet": 1}
    assert list(registry.users()) == ["ann"]
    assert len(registry.all()) == 3
