"""Where the demo is played: a fresh stack that disappears afterwards, or a target that runs already."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TextIO
from urllib.parse import urlsplit

from bench.demo.errors import SetupFailed
from kit.settings import DEVELOPMENT_SECRET
from stack import Stack, StackError, StackOptions

Say = Callable[[str], None]

SECRET_VARIABLE = "NATTER_JWT_SECRET"
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """Addresses without trailing slash, and the secret that tokens are signed with."""

    name: str
    api_url: str
    pushes_url: str
    socket_urls: tuple[str, ...]
    secret: str
    metrics_url: str | None = None
    """chat-api's metrics, where they can be reached: they tell when no delivery is undecided any more."""
    fresh: bool = False
    """Nobody else has ever used it."""
    pids: Mapping[str, int] = field(default_factory=dict)
    """Process by name of part, where they are ours."""


def place_of_target(target: str) -> Place:
    """A target behind one address; raises `SetupFailed` if that is no http(s) URL."""
    url = urlsplit(target)
    if url.scheme not in ("http", "https") or not url.netloc or url.query or url.fragment:
        raise SetupFailed(f"--target must look like http://127.0.0.1:8080, not {target!r}")
    base = f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"
    return Place(
        name=base,
        api_url=base,
        pushes_url=f"{base}/v1/pushes",
        socket_urls=("ws" + base.removeprefix("http") + "/v1/ws",),
        secret=os.environ.get(SECRET_VARIABLE) or DEVELOPMENT_SECRET,
    )


@contextlib.asynccontextmanager
async def fresh_stack(say: Say, log_to: TextIO | None = None) -> AsyncIterator[Place]:
    """A temporary stack with two edges; `say` hears of each part, `log_to` gets their logs. Raises `SetupFailed`."""
    stack = Stack(StackOptions(edges=2, log_to=log_to))
    started = time.monotonic()
    teller = asyncio.create_task(_tell(stack, say, started))
    try:
        await stack.start()
    except StackError as failed:
        raise SetupFailed(f"the stack did not start: {failed}") from failed
    finally:
        teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)
    say(f"{', '.join(stack.parts)}: ready after {time.monotonic() - started:.1f} s")
    try:
        yield Place(
            name="a fresh stack",
            api_url=stack.api_url,
            pushes_url=f"{stack.notifier_url}/v1/pushes",
            socket_urls=tuple(stack.edge_urls),
            secret=stack.jwt_secret,
            metrics_url=f"{stack.api_url}/metrics",
            fresh=True,
            pids={name: part.pid for name, part in stack.parts.items() if part.pid is not None},
        )
    finally:
        await stack.stop()


async def _tell(stack: Stack, say: Say, started: float) -> None:
    """Say what is being started, for as long as it starts."""
    told: set[str] = set()
    say("starting NATS and Postgres, in a temporary directory")
    while True:
        new = [name for name, part in stack.parts.items() if part.running and name not in told]
        if new:
            say(f"{', '.join(new)}: started after {time.monotonic() - started:.1f} s")
            told.update(new)
        await asyncio.sleep(_LOOK_EVERY_S)
