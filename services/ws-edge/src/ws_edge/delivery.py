"""Envelope → sockets → receipt: a NATS message's bytes go to each socket of its user as they are."""

from __future__ import annotations

from collections.abc import Callable

from contracts.codec import encode
from contracts.delivery import Durable, Live, Receipt, parse_delivery_header
from contracts.errors import Undecodable
from kit.logs import Stage, logger
from ws_edge.connection import Awaiting, Connection
from ws_edge.metrics import Figures
from ws_edge.registry import Registry
from ws_edge.rfc6455 import Opcode, encode_frame

log = logger()


class Delivery:
    """Writes frames to a user's sockets, and tells the sender which device has them."""

    def __init__(
        self,
        registry: Registry,
        figures: Figures,
        *,
        edge_id: str,
        now: Callable[[], float],
        publish: Callable[[str, bytes], bool],
        debug: bool = False,
    ) -> None:
        """`publish(subject, payload)` queues without waiting and says whether there was room."""
        self._registry = registry
        self._figures = figures
        self._edge_id = edge_id
        self._now = now
        self._publish = publish
        self._debug = debug  # asked once: a log call that prints nothing would still cost its arguments

    def deliver(self, user_id: str, payload: bytes, header: str | None, reply: str) -> None:
        """One message of `natter.user.<user_id>`: the frame in `payload`, how to treat it in `header`."""
        figures = self._figures
        figures.deliveries += 1
        connections = self._registry.of(user_id)
        if self._debug:
            log.debug("frame for a user", stage=Stage.RECEIVED, user_id=user_id, delivery=header)
            log.debug("sockets of the user", stage=Stage.LOCAL_CHECK, user_id=user_id, connections=len(connections))
        if not connections:
            # The last socket left while this was on its way: no receipt, so the sender turns it into a push.
            figures.homeless += 1
            return
        try:
            delivery = parse_delivery_header(header or "")
        except Undecodable as invalid:
            figures.malformed += 1
            log.warning("not delivered", stage=Stage.RECEIVED, user_id=user_id, reason=str(invalid))
            return
        frame = encode_frame(Opcode.TEXT, payload)
        match delivery:
            case Durable(stream, seq):
                awaiting = Awaiting(reply, self._now()) if reply else None
                for connection in connections:
                    if not connection.send_durable(stream, seq, frame, awaiting):
                        figures.duplicates += 1
            case Live(key):
                for connection in connections:
                    connection.send_live(key, frame)
        if self._debug:
            ids = [connection.id for connection in connections]
            log.debug("written to sockets", stage=Stage.LOCAL_PUSH, user_id=user_id, connections=ids)

    def settle(self, connection: Connection, proved: list[Awaiting]) -> None:
        """A pong came back: answer each sender, unless this kind of device is already known to have it."""
        device = connection.device_type
        figures = self._figures
        now_s = self._now()
        for awaiting in proved:
            if device in awaiting.reported:
                continue
            if not awaiting.reported:
                figures.receipt_seconds.observe(now_s - awaiting.since_s)
            awaiting.reported += (device,)
            if self._publish(awaiting.reply, self._receipt(connection)):
                figures.receipts += 1
            else:
                figures.receipts_dropped += 1

    def _receipt(self, connection: Connection) -> bytes:
        if connection.receipt is None:
            connection.receipt = encode(
                Receipt(edge_id=self._edge_id, connection_id=connection.id, device_type=connection.device_type)
            )
        return connection.receipt
