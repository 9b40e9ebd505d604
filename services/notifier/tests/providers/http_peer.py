"""An HTTP/1.1 server on this machine that answers as it is told and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import h11


@dataclass
class Asked:
    """A request that came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Answer:
    """What is said to a request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    """Nothing is ever said."""
    endless: bool = False
    """The body comes again and again, until the client hangs up."""
    after: asyncio.Event | None = None
    """Said when this has happened."""

    @staticmethod
    def of(status: int, value: Any, **headers: str) -> Answer:
        """JSON; `_` in a header's name stands for `-`."""
        return Answer(
            status, json.dumps(value).encode(), {name.replace("_", "-"): said for name, said in headers.items()}
        )


class HttpPeer:
    """Answers with `answer`, which a test may change, or with what `answers` says for a request."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer = Answer()
        self.answers: Callable[[Asked], Answer] | None = None
        self.connections = 0
        self.url = ""
        self.news = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as many requests as come."""
        self.connections += 1
        self._open.add(writer)
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._request(connection, reader, writer):
                connection.start_next_cycle()
        except (ConnectionError, h11.ProtocolError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _request(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        asked = None
        while not isinstance(event := connection.next_event(), (h11.EndOfMessage, h11.ConnectionClosed)):
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65_536))
            elif isinstance(event, h11.Request):
                headers = {name.decode(): value.decode() for name, value in event.headers}
                asked = Asked(event.method.decode(), event.target.decode(), headers, b"")
            elif isinstance(event, h11.Data):
                assert asked is not None
                asked.body += bytes(event.data)
        if asked is None:
            return False
        self.asked.append(asked)
        self.news.set()
        answer = self.answers(asked) if self.answers else self.answer
        if answer.hang:
            await reader.read()
            return False
        if answer.after is not None:
            await answer.after.wait()
        size = {} if answer.endless else {"content-length": str(len(answer.body))}
        said = [*size.items(), *answer.headers.items()]
        writer.write(connection.send(h11.Response(status_code=answer.status, headers=said)) or b"")
        writer.write(connection.send(h11.Data(data=answer.body)) or b"")
        while answer.endless:
            writer.write(connection.send(h11.Data(data=answer.body)) or b"")
            await writer.drain()
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        return connection.our_state is h11.DONE

    async def until_asked(self, times: int) -> None:
        """Wait for so many requests in all."""
        async with asyncio.timeout(30):
            while len(self.asked) < times:
                self.news.clear()
                await self.news.wait()

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._open:
            writer.close()


@asynccontextmanager
async def http_peer() -> AsyncIterator[HttpPeer]:
    """A server on a free port of 127.0.0.1."""
    peer = HttpPeer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
        peer.hang_up()
