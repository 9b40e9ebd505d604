"""Who is connected here: user → connections, in plain dicts; nothing here waits, so nothing here can be overtaken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ws_edge.connection import Connection

_NONE: tuple[Connection, ...] = ()


class Registry:
    """The one list of an edge's sockets. Tuples, not lists: a delivery may close sockets while it walks over them."""

    def __init__(self) -> None:
        self._users: dict[str, tuple[Connection, ...]] = {}
        self._connections: dict[str, Connection] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: Connection) -> Connection | None:
        """Enter a connection; returns the one of the same user and device that it replaces (still entered)."""
        mates = self._users.get(connection.user_id, _NONE)
        self._users[connection.user_id] = (*mates, connection)
        self._connections[connection.id] = connection
        if connection.device_id is None:
            return None
        return next((mate for mate in mates if mate.device_id == connection.device_id), None)

    def remove(self, connection: Connection) -> bool:
        """Strike a connection out; returns whether it was entered."""
        if self._connections.pop(connection.id, None) is None:
            return False
        rest = tuple(mate for mate in self._users[connection.user_id] if mate is not connection)
        if rest:
            self._users[connection.user_id] = rest
        else:
            del self._users[connection.user_id]
        return True

    def of(self, user_id: str) -> tuple[Connection, ...]:
        """A user's connections here, oldest first."""
        return self._users.get(user_id, _NONE)

    def online(self, user_id: str) -> bool:
        """Whether the user has a connection here."""
        return user_id in self._users

    def all(self) -> list[Connection]:
        """Every connection, as of now."""
        return list(self._connections.values())

    def users(self) -> Iterable[str]:
        """Every user with a connection here."""
        return self._users.keys()

    @property
    def users_count(self) -> int:
        """How many users have a connection here."""
        return len(self._users)

    def devices(self) -> Counter[str]:
        """Connections by device type."""
        return Counter(connection.device_type.value for connection in self._connections.values())
