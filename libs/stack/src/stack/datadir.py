"""The directory of one stack: who may use it now, and what an earlier stack left running in it."""

import contextlib
import fcntl
import json
import os
import signal
import threading
from pathlib import Path
from typing import IO

import psutil

from stack.errors import DataDirInUse

_STOP_LEFTOVER_S = 10.0
_SAME_START_S = 2.0


class DataDirLock:
    """Held as long as a stack uses a data directory; the kernel releases it when the process dies, however it dies."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock. Raises DataDirInUse at once if another stack holds it."""
        file = open(self._data_dir / "lock", "a+")  # noqa: SIM115 - stays open as long as the stack runs
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip()
            file.close()
            raise DataDirInUse(self._data_dir, owner) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the lock back; harmless if it was never taken."""
        if self._file is not None:
            self._file.close()
            self._file = None


class PidJournal:
    """Remembers on disk which processes a stack started, so that the next one can end what a crash left behind.

    A pid alone proves nothing, the kernel gives it out again; pid and start time together name one process for ever.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "pids.json"
        self._entries: dict[int, float] = {}
        self._lock = threading.Lock()  # a process's end is noticed in its log thread

    def add(self, pid: int) -> None:
        """Note that `pid` belongs to this data directory."""
        with contextlib.suppress(psutil.NoSuchProcess), self._lock:
            self._entries[pid] = psutil.Process(pid).create_time()
            self._write()

    def remove(self, pid: int) -> None:
        """Forget `pid`: it has ended."""
        with self._lock:
            # The directory may be gone: a test that wipes it is no reason to fail here.
            if self._entries.pop(pid, None) is not None and self._path.parent.exists():
                self._write()

    def leftovers(self) -> list[psutil.Process]:
        """Return the processes of an earlier stack on this directory that still run."""
        try:
            recorded = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return []
        found = []
        for pid, created in recorded.items():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(int(pid))
                # Not ==: the system's start time, which this is counted from, moves with the clock.
                if abs(process.create_time() - created) < _SAME_START_S and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _write(self) -> None:
        unfinished = self._path.with_suffix(".new")
        unfinished.write_text(json.dumps(self._entries))
        unfinished.rename(self._path)


def stop_leftovers(journal: PidJournal) -> list[str]:
    """End what an earlier stack left running; return a `name (pid 123)` for each. Blocks up to 20 s."""
    described, processes = [], journal.leftovers()
    for process in processes:
        with contextlib.suppress(psutil.Error):
            name = process.name()
            described.append(f"{name} (pid {process.pid})")
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT if name.startswith("postgres") else signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=_STOP_LEFTOVER_S)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_STOP_LEFTOVER_S)
    return described
