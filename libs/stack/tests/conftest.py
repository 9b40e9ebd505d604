"""What the tests of libs/stack share: options with stand-in services, and waiting without luck."""

import asyncio
import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from stack import Backend, Programs, Stack, StackOptions
from stack.postgres_binaries import binary

HERE = Path(__file__).parent
STANDIN = (sys.executable, str(HERE / "standin.py"))
STANDINS = Programs(STANDIN, STANDIN, STANDIN)

Descendants = Callable[[], dict[int, float]]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory of this test alone.

    Not pytest's own: as root, Postgres runs as another user, who must be able to walk to its data; every pytest that
    starts on the machine takes that right away again from the directory that all of them share.
    """
    with tempfile.TemporaryDirectory(prefix="natter-test-") as directory:
        yield Path(directory)


@pytest.fixture
def standins() -> Programs:
    return STANDINS


@pytest.fixture
def servers_only(tmp_path: Path) -> StackOptions:
    return StackOptions(data_dir=tmp_path / "data", backend=Backend.EMBEDDED, chat_api=False, notifier=False, edges=0)


@pytest.fixture
def nats_only(servers_only: StackOptions) -> StackOptions:
    return dataclasses.replace(servers_only, postgres=False)


@pytest.fixture
def descendants() -> Descendants:
    """Tells pid and start time of every process below this one that the test has started.

    Tests of other folders keep servers in this process until all is over: those, and what they start, do not count.
    """
    bystanders = set(psutil.Process().children())

    def look() -> dict[int, float]:
        found = {}
        for child in set(psutil.Process().children()) - bystanders:
            with contextlib.suppress(psutil.NoSuchProcess):
                found.update({below.pid: below.create_time() for below in (child, *child.children(recursive=True))})
        return found

    return look


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Poll `condition` until it holds."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"did not happen within {timeout_s:g} s: {what}"
        await asyncio.sleep(0.05)


def alive(pid: int, created: float) -> bool:
    """Tell whether that very process still runs (a zombie does not)."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def sql(stack: Stack, statement: str) -> str:
    """Run one statement with the stack's own password and return the bare answer."""
    psql = (str(binary("psql")), "-X", "-w", "-q", "-t", "-A", "-c", statement, "-d", stack.database_url)
    environment = {**os.environ, "PGPASSWORD": stack.database_password}
    done = await asyncio.to_thread(subprocess.run, psql, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()
