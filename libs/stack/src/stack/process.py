"""One child process: started so that it cannot outlive the stack, its output pumped, its end noticed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from stack.datadir import PidJournal
from stack.errors import PartFailed
from stack.logs import LineSink, LogPump
from stack.watchdog import Watchdog

_SHIM = Path(__file__).with_name("exec_shim.py")
_POLL_S = 0.02
_LOG_JOIN_S = 2.0


@dataclass(frozen=True)
class Command:
    """What to run, as whom, and how it is told to end."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)  # holds passwords
    cwd: Path
    user: str | None = None
    """Operating-system user to become; None stays who we are."""
    death_signal: signal.Signals = signal.SIGKILL
    """What the process receives when the stack dies without stopping it."""
    stdin: bytes = b""
    quiet: bool = False
    """Keep its output in the log file only."""


@dataclass(frozen=True)
class Runtime:
    """What all processes of one stack share."""

    data_dir: Path
    sink: LineSink
    journal: PidJournal
    watchdog: Watchdog | None
    """None where the kernel's own death signal does the work."""

    @property
    def log_dir(self) -> Path:
        """Where each part keeps its log."""
        return self.data_dir / "logs"


class Process:
    """A running child. It leads its own session, so that Ctrl-C in the terminal reaches the stack and not its parts."""

    def __init__(self, name: str, command: Command, runtime: Runtime) -> None:
        self.name = name
        self._runtime = runtime
        self._log = LogPump(name, runtime.log_dir, LineSink(None) if command.quiet else runtime.sink)
        kernel_signal = 0 if runtime.watchdog else int(command.death_signal)
        shim = [sys.executable, "-I", "-S", str(_SHIM), str(os.getpid()), str(kernel_signal), command.user or "-"]
        self._popen = subprocess.Popen(
            [*shim, *command.argv],
            env=dict(command.env),
            cwd=command.cwd,
            stdin=subprocess.PIPE if command.stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._end_noted = False
        runtime.journal.add(self.pid)
        if runtime.watchdog:
            runtime.watchdog.watch(self.pid, command.death_signal)
        assert self._popen.stdout is not None
        self._log.follow(self._popen.stdout)
        if self._popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._popen.stdin as stdin:
                stdin.write(command.stdin)

    @property
    def pid(self) -> int:
        """Process id; also the id of its process group."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the number of the signal that ended it."""
        code = self._popen.poll()
        if code is not None and not self._end_noted:
            self._end_noted = True
            self._runtime.journal.remove(self.pid)
            if self._runtime.watchdog:
                self._runtime.watchdog.forget(self.pid)
        return code

    def log_tail(self, lines: int = 30) -> list[str]:
        """Return the last lines it printed; complete once the process has ended."""
        if self.exit_code is not None:
            self._log.join(_LOG_JOIN_S)
        return self._log.tail(lines)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone; nothing happens if it has ended."""
        if self.exit_code is None:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to its whole process group."""
        # Before the leader is reaped its pid, and so the group's id, cannot belong to anybody else.
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def signal_tree(self, number: signal.Signals) -> None:
        """Send a signal to the process, then to all its descendants (Postgres's are no members of its group)."""
        with contextlib.suppress(psutil.Error):
            leader = psutil.Process(self.pid)
            leader.send_signal(number)
            for child in leader.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.send_signal(number)

    async def wait(self, timeout_s: float) -> int | None:
        """Wait for the end and return the exit code; None if it still runs after `timeout_s`."""
        give_up = time.monotonic() + timeout_s
        # Polled: Popen has no event, and asyncio's own subprocesses are tied to the loop that started them.
        while (code := self.exit_code) is None and time.monotonic() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        return code

    async def stop(self, number: signal.Signals, grace_s: float) -> None:
        """Ask it to end with `number` and kill it after `grace_s`; SIGKILL asks nothing. Returns when it has ended.

        A cancellation waits until then: who is cancelled while cleaning up would leave a process behind.
        """
        stopping = asyncio.create_task(self._stop(number, grace_s))
        cancelled: asyncio.CancelledError | None = None
        while not stopping.done():
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError as late:
                cancelled = late
        stopping.result()
        if cancelled is not None:
            raise cancelled

    async def _stop(self, number: signal.Signals, grace_s: float) -> None:
        if self.exit_code is None and number != signal.SIGKILL:
            self.signal_tree(signal.SIGCONT)  # a frozen process would not hear it
            self.send(number)
            if await self.wait(grace_s) is None:
                self._runtime.sink.write(self.name, f"did not stop within {grace_s:g} s: killed")
        self.kill()
        while self.exit_code is None:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        self._log.join(_LOG_JOIN_S)


async def run_to_end(name: str, command: Command, runtime: Runtime, timeout_s: float) -> None:
    """Run a program that ends by itself. Raises PartFailed if it fails or takes longer than `timeout_s`."""
    process = Process(name, command, runtime)
    try:
        code = await process.wait(timeout_s)
        if code is None:
            raise PartFailed(name, f"did not finish within {timeout_s:g} s", process.log_tail())
        if code != 0:
            raise PartFailed(name, f"failed ({describe_exit(code)})", process.log_tail())
    finally:
        await process.stop(signal.SIGTERM, grace_s=2.0)


def describe_exit(code: int) -> str:
    """Say an exit code as a person would."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"ended by {signal.Signals(-code).name}"
    return f"ended by signal {-code}"
