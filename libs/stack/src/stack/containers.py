"""NATS and Postgres from containers: the same images and the same nats.conf as in production, for the same tests.

The only file that imports testcontainers.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import docker.errors  # type: ignore[import-untyped]
from testcontainers.core.container import DockerContainer

from stack import ports
from stack.errors import PartFailed, StackError
from stack.logs import LogPump
from stack.nats import CONFIG, password_environment, probe_nats
from stack.options import StackOptions
from stack.part import Part
from stack.postgres import DATABASE, LOCALE_ARGS, ROLE, probe_postgres
from stack.process import Runtime
from stack.secrets import Secrets

NATS_IMAGE = "nats:2"
POSTGRES_IMAGE = "postgres:18"
_PROBE_EVERY_S = 0.1
_PROBE_TIMEOUT_S = 3.0
_STOP_GRACE_S = 20
# testcontainers makes its cleaner's container with the first one; two firsts at the same time would make it twice.
_ONE_AT_A_TIME = threading.Lock()


class ContainerPart:
    """A part that runs in a container and is reached on one port of this machine, the same after every start."""

    def __init__(
        self,
        name: str,
        container: DockerContainer,
        port: int,
        probe: Callable[[str, int], Awaitable[str]],
        runtime: Runtime,
        ready_timeout_s: float,
    ) -> None:
        self.name = name
        self.host = container.get_docker_client().host()
        self.port = port
        self._container = container
        self._probe = probe
        self._log = LogPump(name, runtime.log_dir, runtime.sink)
        self._ready_timeout_s = ready_timeout_s
        self._starting: asyncio.Future[None] | None = None
        self._created = False
        self._wanted = False

    @property
    def pid(self) -> int | None:
        """Number of the container's first process, as the engine's machine counts."""
        return int(self._state().get("Pid", 0)) or None

    @property
    def running(self) -> bool:
        """Whether it runs (a suspended one does)."""
        return bool(self._state().get("Running", False))

    @property
    def died(self) -> bool:
        """Whether it ended although nobody told it to."""
        return self._wanted and not self.running

    @property
    def exit_code(self) -> int | None:
        """How it ended last, as the engine says it (128 and the signal's number); None while it runs or never ran."""
        state = self._state()
        return int(state["ExitCode"]) if state and not state.get("Running", False) else None

    async def start(self) -> None:
        """Start it and wait until it is ready; nothing happens if it runs. Raises PartFailed."""
        if self.running:
            return
        # Shielded: a thread cannot be cancelled, and dispose must know what it has made.
        self._starting = asyncio.ensure_future(asyncio.to_thread(self._start))
        try:
            await asyncio.shield(self._starting)
        except Exception as error:  # the engine's client has no root of its own for what can go wrong here
            raise PartFailed(self.name, f"its container did not start ({error})", self.log_tail()) from error
        try:
            async with asyncio.timeout(self._ready_timeout_s):
                await self._until_ready()
        except TimeoutError:
            reason = f"was not ready within {self._ready_timeout_s:g} s"
            raise PartFailed(self.name, reason, self.log_tail()) from None
        self._wanted = True

    async def terminate(self, grace_s: float | None = None) -> None:
        """End it the polite way and wait; after `grace_s` seconds, kill it."""
        self._wanted = False
        if self.running:
            await self.resume()
            grace = _STOP_GRACE_S if grace_s is None else round(grace_s)
            await asyncio.to_thread(self._wrapped.stop, timeout=grace)

    async def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone."""
        self._wanted = False
        if self.running:
            await asyncio.to_thread(self._wrapped.kill)
            await asyncio.to_thread(self._wrapped.wait)

    async def suspend(self) -> None:
        """Freeze every process in it."""
        if self.running:
            await asyncio.to_thread(self._wrapped.pause)

    async def resume(self) -> None:
        """Let a frozen one go on."""
        if self._state().get("Paused"):
            await asyncio.to_thread(self._wrapped.unpause)

    async def dispose(self) -> None:
        """Remove the container and its volumes."""
        if self._starting is not None:
            await asyncio.wait([self._starting])
        await self.terminate()
        self._log.join(2.0)
        await asyncio.to_thread(self._container.stop)
        self._created = False

    def log_tail(self, lines: int = 30) -> list[str]:
        """Return the last lines of its log, at most 200."""
        return self._log.tail(lines)

    @property
    def _wrapped(self) -> Any:
        return self._container.get_wrapped_container()

    def _state(self) -> dict[str, Any]:
        if not self._created:
            return {}
        try:
            self._wrapped.reload()
        except docker.errors.NotFound:
            return {}
        state: dict[str, Any] = self._wrapped.attrs["State"]
        return state

    def _start(self) -> None:
        first = not self._created
        if self._created:
            self._wrapped.start()
        else:
            with _ONE_AT_A_TIME:
                self._container.start()
            self._created = True
        tail: int | str = "all" if first else 0
        self._log.follow_lines(_lines(self._wrapped.logs(stream=True, follow=True, tail=tail)))

    async def _until_ready(self) -> None:
        while True:
            if not self.running:
                raise PartFailed(self.name, "its container ended before it was ready", self.log_tail())
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                if not await asyncio.wait_for(self._probe(self.host, self.port), _PROBE_TIMEOUT_S):
                    return
            await asyncio.sleep(_PROBE_EVERY_S)


def container_parts(options: StackOptions, runtime: Runtime, secrets: Secrets) -> dict[str, Part]:
    """Describe the containers of a stack; their start creates them. Raises StackError without an engine."""
    parts: dict[str, Part] = {}

    async def nats_ready(host: str, port: int) -> str:
        return await probe_nats(host, port, "observer", secrets.nats_passwords["observer"])

    async def postgres_ready(host: str, port: int) -> str:
        return await probe_postgres(host, port, secrets.postgres_password)

    try:
        if options.nats:
            port = options.ports.get("nats") or ports.free_port()
            parts["nats"] = ContainerPart(
                "nats", _nats(port, secrets), port, nats_ready, runtime, options.ready_timeout_s
            )
        if options.postgres:
            port = options.ports.get("postgres") or ports.free_port()
            parts["postgres"] = ContainerPart(
                "postgres", _postgres(port, secrets), port, postgres_ready, runtime, options.ready_timeout_s
            )
    except docker.errors.DockerException as error:
        raise StackError(f"BACKEND=containers needs a Docker engine, and none answers: {error}") from error
    return parts


def _nats(port: int, secrets: Secrets) -> DockerContainer:
    return (
        DockerContainer(NATS_IMAGE)
        .with_bind_ports(4222, port)
        .with_envs(**password_environment(secrets))
        .with_copy_into_container(CONFIG, "/etc/nats/natter.conf")
        .with_command(["-c", "/etc/nats/natter.conf", "-n", "natter", "-sd", "/data"])
    )


def _postgres(port: int, secrets: Secrets) -> DockerContainer:
    return (
        DockerContainer(POSTGRES_IMAGE)
        .with_bind_ports(5432, port)
        .with_envs(
            POSTGRES_USER=ROLE,
            POSTGRES_DB=DATABASE,
            POSTGRES_PASSWORD=secrets.postgres_password,
            POSTGRES_INITDB_ARGS=" ".join(LOCALE_ARGS),
        )
        .with_command(["postgres", "-c", "max_connections=200", "-c", "log_checkpoints=off"])
    )


def _lines(chunks: Any) -> Iterator[bytes]:
    """Cut the engine's stream, whose pieces end anywhere, into lines."""
    rest = b""
    # The engine ends the stream with the container; the connection under it is ours to close.
    with contextlib.suppress(OSError), contextlib.closing(chunks):
        for chunk in chunks:
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
    if rest:
        yield rest
