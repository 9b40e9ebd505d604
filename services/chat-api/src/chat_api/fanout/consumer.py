"""A lane's consumer of EVENTS: it brings what is stored from now on; what was before is read from the record."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.fanout.lanes import Term
from chat_api.settings import ChatApiSettings
from chat_api.store import following
from chat_api.store.keys import ORIGIN, Key
from contracts.codec import decode
from contracts.envelope import Envelope
from contracts.errors import ContractError
from contracts.streams import EVENTS, fanout_durable, fanout_epoch
from kit import bus

IDLE_HEARTBEAT_S = 2.0


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer at work; `next_place` is where in EVENTS it begins."""

    subscription: Subscription
    next_place: int


async def stream_info(js: JetStreamContext) -> StreamInfo:
    """EVENTS as it is now; it is made if it is gone."""
    try:
        return await js.stream_info(EVENTS.name)
    except nats.js.errors.NotFoundError:
        await bus.ensure_stream(js, EVENTS)
        return await js.stream_info(EVENTS.name)


async def consume(
    nats_client: Client,
    js: JetStreamContext,
    term: Term,
    settings: ChatApiSettings,
    take: Callable[[Msg], Awaitable[None]],
) -> Consumer:
    """Begin a consumer for this term, and end those of former ones: their owners get nothing more."""
    place = (await stream_info(js)).state.last_seq
    former = await _former_consumers(js, term)
    # Subscribed before the consumer exists: its first message must find someone.
    subscription = await nats_client.subscribe(
        nats_client.new_inbox(), cb=take, pending_msgs_limit=settings.fanout_inflight_max + 1000
    )
    try:
        await js.add_consumer(
            EVENTS.name,
            ConsumerConfig(
                durable_name=fanout_durable(term.lane, term.epoch),
                deliver_subject=subscription.subject,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=place + 1,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=settings.fanout_ack_wait_s,
                # Also the bound of the subscription's queue: the server sends no more than this unacknowledged.
                max_ack_pending=settings.fanout_inflight_max,
                idle_heartbeat=IDLE_HEARTBEAT_S,
            ),
        )
        for name in former:
            with contextlib.suppress(nats.js.errors.NotFoundError):
                await js.delete_consumer(EVENTS.name, name)
    except BaseException:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
        raise
    return Consumer(subscription, place + 1)


async def _former_consumers(js: JetStreamContext, term: Term) -> list[str]:
    found: list[str] = []
    offset = 0
    while page := await js.consumers_info(EVENTS.name, offset=offset):
        offset += len(page)
        for consumer in page:
            epoch = fanout_epoch(consumer.name, term.lane)
            if epoch is not None and epoch < term.epoch:
                found.append(consumer.name)
    return found


async def floor_of_place(js: JetStreamContext, engine: AsyncEngine, term: Term) -> Key:
    """The floor of a lane whose last owner noted a place in EVENTS only (a release before 0003).

    It is the key just below the event that follows the place. If none follows, everything relayed is settled.
    """
    stream = await stream_info(js)
    place = term.place if term.stream_created == str(stream.created) else 0
    place = max(place + 1, stream.state.first_seq)
    if place <= stream.state.last_seq:
        with contextlib.suppress(ContractError, nats.js.errors.NotFoundError):
            message = await js.get_msg(EVENTS.name, seq=place)
            key = await following.key_of_event(engine, decode(Envelope, message.data or b"").id)
            if key is not None:
                return key.predecessor()
    return await following.relayed(engine) or ORIGIN
