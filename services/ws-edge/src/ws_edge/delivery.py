"""Envelope → sockets → receipt: a NATS message's bytes go to each socket of its user as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contracts.codec import encode
from contracts.delivery import (
    DELIVERY_HEADER,
    DEVICES_HEADER,
    TRACE_HEADER,
    Durable,
    Live,
    Receipt,
    parse_delivery_header,
)
from contracts.errors import Undecodable
from contracts.frames import expired_frame
from kit import spans, tracing
from kit.logs import Stage, logger
from ws_edge.bus import Incoming
from ws_edge.connection import IDLE, Awaiting, Connection
from ws_edge.expiry import Expiry
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
        self.expiry = Expiry(now, self._take_back)

    def on_message(self, user_id: str, message: Incoming) -> None:
        """One message of `natter.user.<user_id>`."""
        headers = message.headers
        if headers is None:
            self.deliver(user_id, message.data, None, message.reply)
            return
        devices = headers.get(DEVICES_HEADER)
        trace = headers.get(TRACE_HEADER) if self._debug or spans.enabled else None
        self.deliver(user_id, message.data, headers.get(DELIVERY_HEADER), message.reply, devices, trace)

    def deliver(
        self,
        user_id: str,
        payload: bytes,
        header: str | None,
        reply: str,
        devices: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        """The frame in `payload` to the user's sockets, as `header` says; `devices`: only to these kinds, by comma."""
        self._figures.deliveries += 1
        started_ns = spans.now_ns() if traceparent is not None else 0
        connections = self._registry.of(user_id)
        if devices is not None:
            kinds = frozenset(kind.strip() for kind in devices.split(","))
            connections = tuple(one for one in connections if one.device_type in kinds)
        told: dict[str, str] = {}
        if self._debug:
            trace_id = tracing.trace_id(traceparent)
            told = {"user_id": user_id} if trace_id is None else {"user_id": user_id, "trace_id": trace_id}
            log.debug("frame for a user", stage=Stage.RECEIVED, delivery=header, **told)
            log.debug("sockets of the user", stage=Stage.LOCAL_CHECK, connections=len(connections), **told)
        if not connections:
            # The last socket left while this was on its way, or none is of the right kind: no receipt, so the sender
            # turns it into a push.
            self._figures.homeless += 1
            return
        delivery = self.deliver_to(connections, payload, header, reply=reply, about=user_id)
        if isinstance(delivery, Live):
            self._expect(user_id, delivery)
        if traceparent is not None and spans.enabled and delivery is not None:
            spans.record(
                spans.SpanName.EDGE_DELIVER,
                step=None,
                parent=traceparent,
                started_ns=started_ns,
                kind=spans.Kind.CONSUMER,
                edge_id=self._edge_id,
                sockets=len(connections),
                delivery=header or "",
            )
        if self._debug:
            ids = [connection.id for connection in connections]
            log.debug("written to sockets", stage=Stage.LOCAL_PUSH, connections=ids, **told)

    def deliver_to(
        self, connections: Sequence[Connection], payload: bytes, header: str | None, *, reply: str = "", about: str
    ) -> Durable | Live | None:
        """The frame to these sockets; returns how it was treated, None if the header makes no sense."""
        try:
            delivery = parse_delivery_header(header or "")
        except Undecodable as invalid:
            self._figures.malformed += 1
            log.warning("not delivered", stage=Stage.RECEIVED, about=about, reason=str(invalid))
            return None
        frame = encode_frame(Opcode.TEXT, payload)
        match delivery:
            case Durable(stream, seq):
                awaiting = Awaiting(reply, self._now()) if reply else None
                for connection in connections:
                    if not connection.send_durable(stream, seq, frame, awaiting):
                        self._figures.duplicates += 1
            case Live(key):
                for connection in connections:
                    connection.send_live(key, frame)
        return delivery

    def _expect(self, user_id: str, live: Live) -> None:
        if live.expires_in_ms is None:
            self.expiry.forget(user_id, live.key)
        elif expired_frame(live.key) is not None:
            self.expiry.renew(user_id, live.key, live.expires_in_ms / 1000)

    def _take_back(self, user_id: str, key: str) -> None:
        payload = expired_frame(key)
        if payload is None:
            return
        frame = encode_frame(Opcode.TEXT, payload)
        for connection in self._registry.of(user_id):
            connection.send_live(key, frame)

    def settle(self, connection: Connection, proved: list[Awaiting]) -> None:
        """A pong came back: answer each sender, unless this kind of device is already known to have it."""
        device = connection.device_type
        # What an idle desktop has is news until somebody has it on one.
        kind = IDLE.get(device, device) if connection.idle else device
        figures = self._figures
        now_s = self._now()
        for awaiting in proved:
            if kind in awaiting.reported or device in awaiting.reported:
                continue
            if not awaiting.reported:
                figures.receipt_seconds.observe(now_s - awaiting.since_s)
            awaiting.reported += (kind,)
            if self._publish(awaiting.reply, self._receipt(connection)):
                figures.receipts += 1
            else:
                figures.receipts_dropped += 1

    def _receipt(self, connection: Connection) -> bytes:
        if connection.receipt is None:
            device = connection.device_type
            receipt = Receipt(
                edge_id=self._edge_id,
                connection_id=connection.id,
                device_type=device,
                idle=connection.idle and device in IDLE,
            )
            connection.receipt = encode(receipt)
        return connection.receipt
