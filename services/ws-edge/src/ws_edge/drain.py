"""How an edge stops without a stampede: each socket gets its own moment to come back elsewhere."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from contracts.codes import CloseCode
from contracts.frames import ServerAction, frame_bytes
from kit.logs import Stage, logger
from ws_edge.connection import Connection
from ws_edge.registry import Registry
from ws_edge.rfc6455 import Opcode, encode_frame

log = logger()

RECONNECTS_PER_S = 200
"""As many clients coming back at once as the other edges and chat-api's sync take without noticing."""
RECEIPT_GRACE_S = 1.0
"""How long a socket may stay beyond its moment for a pong that proves deliveries."""
STEP_S = 0.05


def window_s(sockets: int, longest_s: float) -> float:
    """Over how many seconds to spread the reconnects: short when there are few."""
    return min(longest_s, sockets / RECONNECTS_PER_S)


def tell_to_reconnect(
    connections: Sequence[Connection], longest_s: float, uniform: Callable[[float, float], float] = random.uniform
) -> list[tuple[float, Connection]]:
    """Send each socket `reconnect` with its own moment; returns (seconds from now, socket), soonest first."""
    window = window_s(len(connections), longest_s)
    moments = []
    for connection in connections:
        after_s = uniform(0.0, window)
        frame = frame_bytes(ServerAction.RECONNECT, {"after_ms": int(after_s * 1000)})
        connection.send(encode_frame(Opcode.TEXT, frame))
        moments.append((after_s, connection))
    return sorted(moments, key=lambda moment: moment[0])


async def drain(registry: Registry, longest_s: float, now: Callable[[], float]) -> None:
    """Empty the edge: sockets are told, then closed with 1012 each at its own moment, receipts first."""
    started_s = now()
    moments = tell_to_reconnect(registry.all(), longest_s)
    log.info("draining", stage=Stage.LIFECYCLE, connections=len(moments), window_s=window_s(len(moments), longest_s))
    while moments:
        await asyncio.sleep(min(STEP_S, max(0.005, started_s + moments[0][0] - now())))
        elapsed_s = now() - started_s
        later = []
        for after_s, connection in moments:
            patience_s = RECEIPT_GRACE_S if connection.owes_receipts else 0.0
            if elapsed_s >= after_s + patience_s:
                connection.close(CloseCode.DRAINING, "this server stops: reconnect")
            elif not connection.closed:
                later.append((after_s, connection))
        moments = later
