"""A browser in node: npm's `http_ece` reads what the notifier encrypts, node's own crypto checks signatures."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from contracts.devices import SubscriptionKeys

SOURCE = Path(__file__).parent / "webpush_peer"


def install(cache: Path) -> Path:
    """The peer's folder with its package, made once by `npm ci` for each version of its lock file."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = cache / hashlib.sha256(lock).hexdigest()[:16]
    if not folder.exists():
        # Made aside and moved: of two runs at the same time each finds a whole folder or none.
        making = cache / f"making-{os.getpid()}"
        making.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, making)
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=making,
            check=True,
            timeout=100,
            stdout=subprocess.DEVNULL,
        )
        try:
            making.rename(folder)
        except OSError:
            shutil.rmtree(making)
    return folder


class Browser:
    """A running peer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def subscribe(self, name: str) -> SubscriptionKeys:
        """The keys of a new subscription; their private halves never leave the peer."""
        return SubscriptionKeys(**await self._ask(act="subscribe", name=name))

    async def read(self, name: str, body: bytes) -> Any:
        """The JSON in a push to that subscription."""
        answer = await self._ask(act="read", name=name, body=base64.b64encode(body).decode())
        return json.loads(answer["text"])

    async def text(self, name: str, body: bytes) -> str:
        """What is in a push to that subscription, letter by letter."""
        answer = await self._ask(act="read", name=name, body=base64.b64encode(body).decode())
        return str(answer["text"])

    async def verify(self, authorization: str) -> dict[str, Any]:
        """Header, claims and key size of a `vapid` header, and whether its signature is `good`."""
        scheme, _, fields = authorization.partition(" ")
        assert scheme == "vapid"
        values = dict(part.strip().split("=", 1) for part in fields.split(","))
        return await self._ask(act="verify", token=values["t"], key=values["k"])

    async def _ask(self, **asked: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        async with asyncio.timeout(30):
            answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        assert "error" not in answer, answer
        return answer


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    """A peer with what `install` made."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SOURCE / "peer.cjs"),
        env={**os.environ, "NODE_PATH": str(folder / "node_modules")},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Browser(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
