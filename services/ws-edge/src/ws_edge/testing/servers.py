"""Real servers for tests: nats-server on a free port, and an edge in this process."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from kit import tokens
from ws_edge.app import Edge
from ws_edge.settings import EdgeSettings

PATIENCE_S = 10.0


async def until(true: Callable[[], bool], what: str = "it", timeout_s: float = PATIENCE_S) -> None:
    """Poll until something is true; raises TimeoutError with its name."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not true():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"{what} did not happen within {timeout_s} s")
        await asyncio.sleep(0.005)


class NatsServer:
    """A nats-server that can be stopped and started again on the same port, which is given."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.url = f"nats://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start, and wait until it answers."""
        beside = Path(sys.executable).parent / "nats-server"
        binary = str(beside) if beside.exists() else shutil.which("nats-server")
        if binary is None:
            raise FileNotFoundError("nats-server is not installed: it comes with the development dependencies")
        self._process = await asyncio.create_subprocess_exec(
            binary,
            *("-a", "127.0.0.1", "-p", str(self.port), "-l", str(self._folder / "nats.log")),
            *("-js", "-sd", str(self._folder / "jetstream")),
        )
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
                    return

    async def stop(self) -> None:
        """End it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def running_edge(nats_url: str, *, wait_ready: bool = True, **settings: Any) -> AsyncIterator[Edge]:
    """An edge with short times, ready; drained at the end."""
    quick: dict[str, Any] = {
        "canary_interval_s": 0.05,
        "canary_deaf_after_s": 5.0,  # a restart of NATS on a busy machine is no deafness
        "drain_window_s": 0.1,
        "close_timeout_s": 0.3,
        "slow_close_grace_s": 0.1,
        "command_timeout_s": 1.0,
        "port": 0,
    }
    edge = Edge(EdgeSettings(nats_url=nats_url, **{**quick, **settings}))
    task = asyncio.create_task(edge.run())
    try:
        await until(lambda: task.done() or edge.listening.is_set(), "listening")
        if wait_ready:
            await until(lambda: task.done() or edge.health.ready, "ready")
        yield edge
    finally:
        edge.stop()
        await task


def token(
    edge: Edge,
    user_id: str,
    *roles: str,
    ttl_s: float = 3600,
    name: str | None = None,
    session_id: str | None = None,
) -> str:
    """A token that `edge` accepts."""
    secret = edge.settings.jwt_secret.get_secret_value()
    return tokens.issue(secret, user_id, roles, ttl_s=ttl_s, name=name, session_id=session_id)
