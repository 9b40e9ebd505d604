"""Counts frames per second that one edge process writes to its sockets, from Delivery to the clients' kernels.

`python bench_fanout.py [--sockets N] [--users N] [--bytes N] [--seconds N] [--receipts] [--burst N]`: the edge's
delivery, connections and transport run in this process on uvloop (no NATS: `Delivery.deliver` is called directly, once
per frame and user); the clients are one other process that reads bytes and answers pings. A frame counts when a client
process has read it. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import selectors
import socket
import time

import uvloop

from contracts.devices import DeviceType
from contracts.ids import new_id
from ws_edge.connection import Connection, Limits, Surroundings, TurnEnd
from ws_edge.delivery import Delivery
from ws_edge.metrics import Figures
from ws_edge.registry import Registry
from ws_edge.testing.raw import client_frame, upgrade_request
from ws_edge.transport import Socket, TransportLimits, Upgrade, listen


class Bench:
    """A handler factory that enters every socket into one registry, user by user in turn."""

    def __init__(self, users: int) -> None:
        self.registry, self.figures, self.users, self.receipts = Registry(), Figures(), users, 0
        self.delivery = Delivery(self.registry, self.figures, edge_id="bench", now=time.monotonic, publish=self._count)
        turn = TurnEnd(asyncio.get_running_loop().call_soon)
        limits = Limits(bytes_max=64 << 20, frames_max=1_000_000)
        self.around = Surroundings(
            limits, turn, self.figures, time.monotonic, self.delivery.settle, lambda c, _code: self._left(c)
        )

    def _count(self, _subject: str, _payload: bytes) -> bool:
        self.receipts += 1
        return True

    def _left(self, connection: Connection) -> None:
        self.registry.remove(connection)


class Member:
    """One benchmark socket."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def opened(self, socket: Socket) -> None:
        number = len(self._bench.registry)
        self._connection = Connection(
            self._bench.around,
            socket,
            connection_id=new_id(),
            user_id=f"u{number % self._bench.users}",
            device_type=DeviceType.DESKTOP,
        )
        self._bench.registry.add(self._connection)
        self._connection.confirm(b"")

    def message(self, opcode: int, payload: bytes) -> None: ...

    def pong(self, payload: bytes) -> None:
        self._connection.pong(payload)

    def heard(self) -> None: ...

    def resumed(self) -> None:
        self._connection.resume()

    def closed(self, code: int) -> None:
        self._connection.lost(code)


def clients(port: int, count: int, read: multiprocessing.sharedctypes.Synchronized[int], pongs: bool) -> None:
    """Read everything; `read` grows by the bytes. With `pongs`, a ping at the end of a read is answered."""
    selector = selectors.DefaultSelector()
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(upgrade_request())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
    total = 0
    buffer = bytearray(1 << 18)
    while True:
        for key, _ in selector.select(1):
            size = key.fileobj.recv_into(buffer)  # type: ignore[union-attr]
            if not size:
                return
            total += size
            if pongs:
                # A ping is `89 LL digits` at the end of what the edge wrote.
                end = bytes(buffer[max(0, size - 12) : size])
                at = end.rfind(b"\x89")
                if at >= 0 and at + 2 + end[at + 1] == len(end):
                    total -= len(end) - at
                    key.fileobj.send(client_frame(10, end[at + 2 :], mask=b"\0\0\0\0"))  # type: ignore[union-attr]
        read.value = total


async def run(arguments: argparse.Namespace) -> None:
    bench = Bench(arguments.users)
    server = await listen(lambda _request: Upgrade(Member(bench)), TransportLimits(65_536), "127.0.0.1", 0)
    read = multiprocessing.Value("q", 0, lock=False)
    port = server.sockets[0].getsockname()[1]
    process = multiprocessing.Process(
        target=clients, args=(port, arguments.sockets, read, arguments.receipts), daemon=True
    )
    process.start()
    while len(bench.registry) < arguments.sockets:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    payload = b"x" * arguments.bytes
    per_frame = len(payload) + 4
    started, cpu, seq, published = time.perf_counter(), time.process_time(), 0, 0
    while time.perf_counter() - started < arguments.seconds:
        for _ in range(arguments.burst):
            seq += 1
            for user in range(arguments.users):
                reply = f"r.{seq}" if arguments.receipts else ""
                bench.delivery.deliver(f"u{user}", payload, f"d {seq} conversation:c{user % 8}", reply)
        published += arguments.sockets * arguments.burst
        await asyncio.sleep(0)
        while published * per_frame - read.value > 32 << 20:  # noqa: ASYNC110
            await asyncio.sleep(0.0005)
    while read.value < published * per_frame:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    seconds = time.perf_counter() - started
    print(  # noqa: T201
        json.dumps(
            {
                "bench": "edge_fanout",
                "sockets": arguments.sockets,
                "users": arguments.users,
                "bytes": arguments.bytes,
                "burst": arguments.burst,
                "receipts": bench.receipts,
                "frames": published,
                "frames_per_s": round(published / seconds),
                "frames_per_edge_cpu_s": round(published / (time.process_time() - cpu)),
                "edge_cpu_share": round((time.process_time() - cpu) / seconds, 2),
                "edge_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            }
        )
    )
    process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--bytes", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--receipts", action="store_true")
    uvloop.run(run(parser.parse_args()))
