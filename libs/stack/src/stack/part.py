"""A part of the stack as its users see it, and what all parts that are local processes have in common."""

import asyncio
import contextlib
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

from stack import ports
from stack.errors import PartFailed, PortTaken
from stack.process import Command, Process, Runtime, describe_exit

_PROBE_EVERY_S = 0.05
_PROBE_TIMEOUT_S = 2.0
_PORT_ATTEMPTS = 5


class Part(Protocol):
    """A server that can be ended, frozen and started again under a running stack."""

    @property
    def name(self) -> str:
        """Its name in logs and in `Stack.part`."""

    @property
    def host(self) -> str:
        """The name or address under which this machine reaches it."""

    @property
    def port(self) -> int:
        """The port it listens on; the same after every start."""

    @property
    def pid(self) -> int | None:
        """Its process id on this machine; None while it does not run."""

    @property
    def running(self) -> bool:
        """Whether it runs (a suspended one does)."""

    @property
    def died(self) -> bool:
        """Whether it ended although nobody told it to."""

    @property
    def exit_code(self) -> int | None:
        """How it ended last (negative: the number of the signal that ended it); None while it runs or never ran."""

    async def start(self) -> None:
        """Start it and wait until it is ready; nothing happens if it runs. Raises PartFailed, PortTaken."""

    async def terminate(self, grace_s: float | None = None) -> None:
        """End it the polite way and wait; after `grace_s` seconds, kill it."""

    async def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone."""

    async def suspend(self) -> None:
        """Freeze it: its sockets stay open and say nothing."""

    async def resume(self) -> None:
        """Let a frozen one go on."""

    async def dispose(self) -> None:
        """Leave nothing of it behind but its data directory; it is not started again."""

    def log_tail(self, lines: int = 30) -> list[str]:
        """Return the last lines of its log, at most 200."""


class LocalPart(ABC):
    """A part that is a child process of the stack."""

    stop_signal = signal.SIGTERM
    host = ports.HOST

    def __init__(
        self,
        name: str,
        runtime: Runtime,
        *,
        port: int | None,
        port_variable: str | None,
        ready_timeout_s: float,
        stop_grace_s: float,
    ) -> None:
        self.name = name
        self._runtime = runtime
        self._fixed = port is not None
        self._port = port
        self._port_variable = port_variable
        self._ready_timeout_s = ready_timeout_s
        self._stop_grace_s = stop_grace_s
        self._process: Process | None = None
        self._wanted = False

    @abstractmethod
    def _command(self, port: int) -> Command:
        """Say what to run."""

    @abstractmethod
    async def _probe(self, port: int) -> str:
        """Ask the server whether it is ready: an empty string, or why not. May raise OSError."""

    async def _prepare(self) -> None:  # noqa: B027 - most parts need nothing
        """Do what has to be done before each start."""

    @property
    def port(self) -> int:
        """The port it listens on; the same after every start."""
        if self._port is None:
            raise PartFailed(self.name, "has not been started yet and has no port")
        return self._port

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether it runs (a suspended one does)."""
        return self._process is not None and self._process.exit_code is None

    @property
    def died(self) -> bool:
        """Whether it ended although nobody told it to."""
        return self._wanted and not self.running

    @property
    def exit_code(self) -> int | None:
        """How it ended last (negative: the number of the signal that ended it); None while it runs or never ran."""
        return self._process.exit_code if self._process is not None else None

    async def start(self) -> None:
        """Start it and wait until it is ready; nothing happens if it runs. Raises PartFailed, PortTaken."""
        if self.running:
            return
        await self._prepare()
        # A port that we chose can be lost to somebody between the choice and the start. Once it has been used others
        # know it, and it stays.
        attempts = 1 if self._port is not None else _PORT_ATTEMPTS
        for attempt in range(1, attempts + 1):
            port = self._port or ports.free_port()
            try:
                await self._start_on(port)
            except PortTaken:
                if attempt == attempts:
                    raise
            else:
                self._port = port
                self._wanted = True
                return

    async def _start_on(self, port: int) -> None:
        if not ports.is_free(port):
            raise self._port_taken(port)
        self._process = Process(self.name, self._command(port), self._runtime)
        try:
            await self._until_ready(self._process, port)
        except BaseException as failure:
            await self._process.stop(signal.SIGKILL, grace_s=0)
            if isinstance(failure, PartFailed) and not ports.is_free(port):
                raise self._port_taken(port) from failure
            raise

    async def _until_ready(self, process: Process, port: int) -> None:
        give_up = time.monotonic() + self._ready_timeout_s
        answer = "it did not answer"
        while time.monotonic() < give_up:
            code = process.exit_code
            if code is not None:
                raise PartFailed(self.name, f"ended before it was ready ({describe_exit(code)})", process.log_tail())
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                answer = await asyncio.wait_for(self._probe(port), _PROBE_TIMEOUT_S)
                if not answer and process.exit_code is None:
                    return
            await asyncio.sleep(_PROBE_EVERY_S)
        reason = f"was not ready within {self._ready_timeout_s:g} s ({answer})"
        raise PartFailed(self.name, reason, process.log_tail())

    def _port_taken(self, port: int) -> PortTaken:
        return PortTaken(self.name, port, ports.owner_of(port), self._port_variable if self._fixed else None)

    async def terminate(self, grace_s: float | None = None) -> None:
        """End it the polite way and wait; after `grace_s` seconds, kill it."""
        self._wanted = False
        if self._process is not None:
            await self._process.stop(self.stop_signal, self._stop_grace_s if grace_s is None else grace_s)

    async def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone."""
        self._wanted = False
        if self._process is not None:
            await self._process.stop(signal.SIGKILL, grace_s=0)

    async def suspend(self) -> None:
        """Freeze it and everything it started: sockets stay open and say nothing."""
        if self._process is not None and self.running:
            self._process.signal_tree(signal.SIGSTOP)

    async def resume(self) -> None:
        """Let a frozen one go on."""
        if self._process is not None and self.running:
            self._process.signal_tree(signal.SIGCONT)

    async def dispose(self) -> None:
        """Leave nothing of it behind but its data directory; it is not started again."""
        await self.terminate()

    def log_tail(self, lines: int = 30) -> list[str]:
        """Return the last lines of its log, at most 200."""
        return self._process.log_tail(lines) if self._process is not None else []


async def all_or_none(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run steps side by side; when one fails, cut the others short and let them clean up before its error goes on."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
