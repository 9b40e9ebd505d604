"""Staff who are in no conversation yet learn that the queue has changed: a live signal for everybody with a role."""

from __future__ import annotations

from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store import consults
from chat_api.store.database import DatabaseUnavailable, translated
from contracts import subjects
from contracts.delivery import DELIVERY_HEADER, TRACE_HEADER, Live, delivery_header
from contracts.envelope import Envelope
from contracts.frames import ConsultUpdate, ServerAction, frame_bytes
from contracts.times import rfc3339
from kit.logs import Stage, logger

log = logger()

STAFF = ("consultant", "doctor")
"""Who may take a consult."""


class RoleSignals:
    """Nobody waits for these: whoever misses one asks for the queue, which says the same."""

    def __init__(self, engine: AsyncEngine, nats_client: Client) -> None:
        self._engine = engine
        self._nats = nats_client

    async def tell(self, event: Envelope) -> None:
        """Publish how the consult stands, if `event` is a step of one. Never what was said in it."""
        if not event.type.startswith("consult."):
            return
        frame = await self._frame(event)
        if frame is None:
            return
        headers = {DELIVERY_HEADER: delivery_header(Live(f"consult:{event.data['conversation_id']}"))}
        if event.traceparent is not None:
            headers[TRACE_HEADER] = event.traceparent
        for role in STAFF:
            await self._nats.publish(subjects.role(role), frame, headers=headers)

    async def _frame(self, event: Envelope) -> bytes | None:
        """The consult as it stands now, which may be further than `event`: the latest is what a queue shows."""
        conversation_id = event.data["conversation_id"]
        try:
            async with translated(), self._engine.connect() as connection:
                row = await consults.one(connection, conversation_id)
        except DatabaseUnavailable:
            # Deliveries must not wait for a hint.
            log.debug("staff is not told of a consult", stage=Stage.DELIVER, stream=event.subject, seq=event.seq)
            return None
        if row is None:
            return None
        told = ConsultUpdate(
            conversation_id=conversation_id,
            event=event.type,
            state=row.state.value,
            customer_id=row.customer_id,
            assignee_id=row.assignee_id,
            topic=row.topic,
        )
        data = told.model_dump(mode="json", exclude_none=True)
        return frame_bytes(ServerAction.CONSULT_UPDATED, data, frame_id=event.id, time=rfc3339(event.time))
