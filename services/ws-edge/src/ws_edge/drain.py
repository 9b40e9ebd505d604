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

RECONNECTS_PER_S = 50
"""As many clients coming back at once as the other edges and chat-api's sync take without noticing. Two cores that also
held the 3,000 clients were full at about 200 (`python -m tests.chaos.rolling`), and what is planned evenly then arrives
in heaps."""
GRACE_S = 1.0
"""How long a socket may stay beyond its moment for a pong that proves deliveries, or for the answer to a command."""
STEP_S = 0.05


def window_s(sockets: int, longest_s: float) -> float:
    """Over how many seconds to spread the reconnects: short when there are few."""
    return min(longest_s, sockets / RECONNECTS_PER_S)


def spread(sockets: int, window: float, uniform: Callable[[float, float], float] = random.uniform) -> list[float]:
    """A moment for each socket, ascending: each has an equal share of the window to itself, and any place in its share.

    Moments that are only random crowd: of 1,000 in 10 s, some second has 120. So many edges stopping one after the
    other, or at once, never send more than their sockets divided by the window.
    """
    share_s = window / sockets if sockets else 0.0
    return [share_s * (place + uniform(0.0, 1.0)) for place in range(sockets)]


def tell_to_reconnect(connections: Sequence[Connection], longest_s: float) -> list[tuple[float, Connection]]:
    """Send each socket `reconnect` with its own moment; returns (seconds from now, socket), soonest first."""
    # Shuffled: one user's sockets, or those that came together, have nothing in common on their way back.
    shuffled = random.sample(connections, len(connections))
    moments = list(zip(spread(len(shuffled), window_s(len(shuffled), longest_s)), shuffled, strict=True))
    for after_s, connection in moments:
        frame = frame_bytes(ServerAction.RECONNECT, {"after_ms": int(after_s * 1000)})
        connection.send(encode_frame(Opcode.TEXT, frame))
    return moments


async def drain(
    registry: Registry, longest_s: float, now: Callable[[], float], busy: Callable[[Connection], bool]
) -> None:
    """Empty the edge: sockets are told, then closed with 1012 each at its own moment, receipts first.

    `busy` says whether a socket waits for the answer to a command; it may stay a little longer, too.
    """
    started_s = now()
    moments = tell_to_reconnect(registry.all(), longest_s)
    log.info("draining", stage=Stage.LIFECYCLE, connections=len(moments), window_s=window_s(len(moments), longest_s))
    while moments:
        await asyncio.sleep(min(STEP_S, max(0.005, started_s + moments[0][0] - now())))
        elapsed_s = now() - started_s
        later = []
        for after_s, connection in moments:
            patience_s = GRACE_S if connection.owes_receipts or busy(connection) else 0.0
            if elapsed_s >= after_s + patience_s:
                connection.close(CloseCode.DRAINING, "this server stops: reconnect")
            elif not connection.closed:
                later.append((after_s, connection))
        moments = later
