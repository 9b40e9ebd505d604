import os
import socket
import subprocess
import sys

from stack import ports


def test_a_listening_port_is_not_free_and_has_an_owner() -> None:
    """A port with a listener is taken, and the listener's process is named."""
    with socket.create_server((ports.HOST, 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert f"(pid {os.getpid()})" in (ports.owner_of(port) or "")
    assert ports.is_free(port)
    assert ports.owner_of(port) is None


def test_free_ports_differ_and_are_no_ephemeral_ones() -> None:
    """No port is given twice, and none can be lost to an outgoing connection."""
    found = [ports.free_port() for _ in range(50)]
    assert len(set(found)) == 50
    assert max(found) < ports._ephemeral_floor()


def test_what_one_process_was_given_no_other_gets() -> None:
    """Nobody listens there yet, or not at the moment: it is the other process's all the same, until that one ends."""
    program = "from stack import ports; print(*(ports.free_port() for _ in range(20)), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        taken = [int(port) for port in other.stdout.readline().split()]
        assert len(taken) == 20
        assert all(ports.is_free(port) for port in taken)
        assert not any(ports._reserve(port) for port in taken)
        other.communicate("\n")
    assert all(ports._reserve(port) for port in taken)
