"""Finds free TCP ports on this machine, and says who holds one that is not free."""

import contextlib
import fcntl
import functools
import os
import random
import socket
import tempfile
from pathlib import Path

import psutil

HOST = "127.0.0.1"
_LOWEST_PORT = 15_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EPHEMERAL_FLOOR_ELSEWHERE = 49_152  # IANA; macOS and the BSDs keep to it

_handed_out: set[int] = set()


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As every server of ours does: connections of an earlier listener that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a port that is free now, and that neither this process nor another of ours on this machine has been given.

    What a process has been given is its own until it ends, whether something listens there or not: a server that is
    being restarted comes back to the port that others know, and must not find another run's server on it.

    The port lies below the range from which the kernel takes the local ports of outgoing connections. A port inside
    that range (what bind(0) returns) can be lost while its server is being restarted: to anybody's outgoing
    connection, or to a client of that very server, which then connects to itself and believes the server is back.

    Someone else may still take it before it is used: whoever starts a server on it must be ready to try another one.
    """
    ceiling = _ephemeral_floor() - 1
    for _ in range(1_000):
        port = random.randint(_LOWEST_PORT, ceiling)  # noqa: S311 - spreads load, hides nothing
        if port not in _handed_out and _reserve(port) and is_free(port):
            _handed_out.add(port)
            return port
    raise OSError(f"no free port between {_LOWEST_PORT} and {ceiling}")


def _reserve(port: int) -> bool:
    """Take the port among all processes of this user; False if another one has it. The kernel gives it back."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):
        return False
    return True


@functools.cache
def _reservations() -> int:
    """A file without content of which each process locks the bytes whose numbers are its ports.

    It stays open: the kernel drops a process's locks on a file as soon as that process closes it anywhere.
    """
    path = Path(tempfile.gettempdir()) / f"natter-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def owner_of(port: int) -> str | None:
    """Name the process that listens on `port` as `name (pid 123)`; None where the system does not tell."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                # The name only: another program's command line may hold that program's secrets.
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None


def _ephemeral_floor() -> int:
    try:
        floor = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        floor = _EPHEMERAL_FLOOR_ELSEWHERE
    # A machine that hands out nearly every port leaves us no room below: then any port is as good as another.
    return floor if floor > _LOWEST_PORT + 5_000 else 65_536
