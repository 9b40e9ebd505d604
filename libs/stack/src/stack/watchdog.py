"""Ends a stack's processes when the stack dies, where the kernel has no death signal (anything but Linux).

Run as a script by Watchdog. It reads `+<pid> <signal>` and `-<pid>` from standard input; the end of the input means
that the stack is gone: it signals every process group it still knows, and after five seconds kills what is left.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

_GRACE_S = 5.0


class Watchdog:
    """The stack's end of the pipe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._lock = threading.Lock()

    def watch(self, pid: int, death_signal: int) -> None:
        """End process group `pid` with `death_signal` should this process die."""
        self._say(f"+{pid} {death_signal}\n")

    def forget(self, pid: int) -> None:
        """Leave process group `pid` alone from now on: it has ended."""
        self._say(f"-{pid}\n")

    def close(self) -> None:
        """End the watchdog; call it when every process has ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _say(self, line: str) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with self._lock, contextlib.suppress(OSError, ValueError):
            stdin.write(line.encode())
            stdin.flush()


def main() -> None:
    """Follow the pipe, then end what it named."""
    watched: dict[int, int] = {}
    for line in sys.stdin:
        pid, *death_signal = line[1:].split()
        if line.startswith("+"):
            watched[int(pid)] = int(death_signal[0])
        else:
            watched.pop(int(pid), None)
    for pid, number in watched.items():
        _signal_group(pid, signal.SIGCONT)
        _signal_group(pid, number)
    give_up = time.monotonic() + _GRACE_S
    while time.monotonic() < give_up and any(_signal_group(pid, 0) for pid in watched):
        time.sleep(0.05)
    for pid in watched:
        _signal_group(pid, signal.SIGKILL)


def _signal_group(pid: int, number: int) -> bool:
    try:
        os.killpg(pid, number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
