"""One child process: whatever happens to who waits for it, it does not stay behind."""

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from stack.datadir import PidJournal
from stack.logs import LineSink
from stack.process import Command, Runtime, run_to_end

from .conftest import until

DEAF = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(600)
"""


async def test_a_second_cancellation_leaves_no_process(tmp_path: Path) -> None:
    """Cancelled, and cancelled again while it cleans up: the process is ended before the cancellation goes on."""
    runtime = Runtime(tmp_path, LineSink(None), PidJournal(tmp_path), None)
    command = Command((sys.executable, "-c", DEAF), dict(os.environ), tmp_path)
    running = asyncio.create_task(run_to_end("deaf", command, runtime, timeout_s=60))
    log = tmp_path / "logs" / "deaf.log"
    await until(lambda: log.exists() and log.read_text().strip() != "", "the process prints its id")
    pid = int(log.read_text().split()[-1])
    for _ in range(3):
        running.cancel()
        await asyncio.sleep(0)  # one turn, so that each cancellation reaches it by itself
    with pytest.raises(asyncio.CancelledError):
        await running

    assert not psutil.pid_exists(pid)
