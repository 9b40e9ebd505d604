"""What a killed Postgres leaves in and around its data directory, and how to get past it without harm."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

_FAST_STOP_S = 30.0
_KILL_WAIT_S = 10.0


async def stop_strays(data: Path) -> list[str]:
    """Stop every Postgres process that works in the data directory `data`; return what was stopped.

    Call it only while holding the lock of the directory: then no such process belongs to a living stack. Every process
    of Postgres has its data directory as working directory, which is the proof that it is this one's. Two Postgres on
    one directory would destroy it, so this comes before each start.
    """
    found = await asyncio.to_thread(_processes_in, data)
    if not found:
        return []
    described = [f"postgres (pid {process.pid})" for process in found]
    # To the postmaster this means: end the sessions, write a checkpoint, go. Its children ignore or survive it.
    for process in found:
        if process.pid == _recorded_pid(data):
            _signal(process, signal.SIGCONT)
            _signal(process, signal.SIGINT)
    if not await _gone(data, _FAST_STOP_S if _recorded_pid(data) in {p.pid for p in found} else 1.0):
        for process in await asyncio.to_thread(_processes_in, data):
            _signal(process, signal.SIGKILL)
        await _gone(data, _KILL_WAIT_S)
    return described


def clear_stale_pid_file(data: Path) -> None:
    """Remove a postmaster.pid whose number now belongs to another program; Postgres would take that one for itself.

    A file whose process is gone stays: Postgres handles it, and needs it to find its old shared memory. Call it after
    stop_strays, when no Postgres works in the directory any more.
    """
    pid = _recorded_pid(data)
    if pid is not None and psutil.pid_exists(pid):
        (data / "postmaster.pid").unlink(missing_ok=True)


async def _gone(data: Path, timeout_s: float) -> bool:
    give_up = time.monotonic() + timeout_s
    while await asyncio.to_thread(_processes_in, data):
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(0.05)
    return True


def _processes_in(data: Path) -> list[psutil.Process]:
    wanted = os.path.realpath(data)
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error, OSError):
            named = (process.info["name"] or "").startswith("postgres")
            if named and process.cwd() == wanted and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _recorded_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)
