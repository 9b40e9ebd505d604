"""Who must go, on sockets in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.codec import encode
from contracts.codes import CloseCode
from contracts.control import Disconnect, Revocation
from contracts.devices import DeviceType
from contracts.ids import new_id
from kit.tokens import Principal
from ws_edge.connection import Connection, Limits, Surroundings, TurnEnd
from ws_edge.expulsion import Expulsion
from ws_edge.kv import Entry
from ws_edge.metrics import Figures
from ws_edge.registry import Registry
from ws_edge.testing.messages import FakeMessage
from ws_edge.testing.wire import MemoryWire

AT = datetime(2026, 1, 31, 8, 15, tzinfo=UTC)
SESSION = new_id()


class Bench:
    """An edge's registry and its bouncer."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.expulsion = Expulsion(self.registry)
        self.around = Surroundings(
            Limits(), TurnEnd(lambda _run: None), Figures(), lambda: 0.0, lambda _c, _a: None, self._left
        )

    def _left(self, connection: Connection, _code: int) -> None:
        self.registry.remove(connection)

    def socket(
        self, user_id: str = "ann", *, session_id: str | None = None, issued_s: float = -60, **more: Any
    ) -> tuple[Connection, MemoryWire]:
        principal = Principal(user_id, frozenset(), 0.0, session_id=session_id, issued_at=AT.timestamp() + issued_s)
        wire = MemoryWire()
        given: dict[str, Any] = {"connection_id": new_id(), "device_type": DeviceType.DESKTOP, **more}
        connection = Connection(self.around, wire, user_id=user_id, principal=principal, **given)
        self.registry.add(connection)
        return connection, wire

    def revoke(self, **fields: Any) -> None:
        self.expulsion.on_entry(Entry("k", encode(Revocation(**{"user_id": "ann", "at": AT, **fields})), 1))

    def disconnect(self, **fields: Any) -> None:
        self.expulsion.on_disconnect(FakeMessage("s", encode(Disconnect(**{"user_id": "ann", **fields}))))


def closed(wire: MemoryWire) -> int | None:
    return None if wire.closed_with is None else wire.closed_with[0]


def test_only_the_sockets_of_revoked_tokens_close() -> None:
    """A session's; all that are older than a moment; never another user's."""
    bench = Bench()
    mine, other = bench.socket(session_id=SESSION)[1], bench.socket(session_id=new_id())[1]
    new, bob = bench.socket(issued_s=60)[1], bench.socket("bob")[1]
    bench.revoke(session_id=SESSION)
    assert [closed(wire) for wire in (mine, other, new, bob)] == [4401, None, None, None]
    bench.revoke()
    assert [closed(wire) for wire in (other, new, bob)] == [4401, None, None]
    bench.revoke(blocked=True)
    assert [closed(wire) for wire in (new, bob)] == [4403, None]


def test_nothing_is_written_after_the_close() -> None:
    """What comes for the user then finds no socket, and the socket takes no frame."""
    bench = Bench()
    connection, wire = bench.socket()
    bench.revoke(blocked=True)
    connection.send(b"late")
    connection.flush()
    assert (wire.writes, bench.registry.of("ann")) == ([], ())


def test_a_lifted_block_lets_in_again() -> None:
    """And an entry that was deleted, or makes no sense, changes nothing."""
    bench = Bench()
    bench.revoke(blocked=True)
    principal = Principal("ann", frozenset(), 0.0, issued_at=AT.timestamp() + 1)
    assert bench.expulsion.refuses(principal) is not None
    bench.expulsion.on_entry(Entry("block.ann", None, 2))
    bench.expulsion.on_entry(Entry("block.ann", b"?", 3))
    assert bench.expulsion.refuses(principal) is not None
    bench.revoke(lifted=True, at=datetime(2026, 1, 31, 9, tzinfo=UTC))
    assert bench.expulsion.refuses(principal) is None


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({}, [1001, 1001]),
        ({"device_type": DeviceType.MOBILE}, [1001, None]),
        ({"code": CloseCode.FORBIDDEN, "reason": "ü" * 200}, [4403, 4403]),
        ({"user_id": "bob"}, [None, None]),
        ({"connection_id": new_id()}, [None, None]),
    ],
)
def test_an_admin_disconnects_what_matches(fields: dict[str, Any], codes: list[int | None]) -> None:
    """All that is given must match; the reason fits into a close frame."""
    bench = Bench()
    phone, laptop = bench.socket(device_type=DeviceType.MOBILE)[1], bench.socket()[1]
    bench.disconnect(**fields)
    assert [closed(phone), closed(laptop)] == codes
    if phone.closed_with is not None:
        assert len(phone.closed_with[1].encode()) <= 123


def test_one_connection_is_disconnected_by_its_id() -> None:
    """Its neighbour stays; nonsense closes nobody."""
    bench = Bench()
    (first, wire), (_, neighbour) = bench.socket(), bench.socket()
    bench.expulsion.on_disconnect(FakeMessage("s", b"?"))
    bench.disconnect(connection_id=first.id)
    assert (closed(wire), closed(neighbour)) == (1001, None)
