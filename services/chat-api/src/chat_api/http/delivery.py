"""The story of a message's delivery, and how far everybody in a conversation has read and been reached."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from chat_api.domain.errors import NotFound
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep
from chat_api.http.context import ContextDep
from chat_api.http.conversations import ConversationId
from chat_api.http.errors import ApiError, problem_responses
from chat_api.push_records import PushRecords
from chat_api.settings import ChatApiSettings
from chat_api.store import delivery, queries
from chat_api.store.database import translated
from chat_api.store.delivery import Recipient, Sent
from contracts.codec import Contract, encode
from contracts.codes import ErrorCode
from contracts.delivery import OfflineReason
from contracts.devices import DeviceType
from contracts.ids import UserId, Uuid
from contracts.pushes import DevicePush, DevicePushState, PushRecord, PushState, SkipReason
from contracts.times import Instant

router = APIRouter(tags=["delivery"])

_FOR_STAFF = frozenset({"push_id", "device", "provider_ref", "last_error", "skip_reason"})
"""What the sender of a message is not told: whose device it is, and what the recipient wishes to hear of whom."""

RECIPIENTS_MAX = 200
CURSORS_MAX = 200

LEDGER_LATE_S = 5.0
"""A receipt may be settled and not yet written down; after this it is."""


class DeliveryState(StrEnum):
    """How far a message has come with one recipient."""

    READ = "read"
    DELIVERED = "delivered"
    HANDED_OVER = "handed_over"
    """It reached no device: the notifier has it."""
    WAITING = "waiting"
    """On its way: it will be delivered or handed over."""
    UNKNOWN = "unknown"
    """No device has confirmed it as far as anybody remembers, and it is older than the ledger."""


class NotifierAnswer(StrEnum):
    """Whether the notifier's part of the story is in it."""

    ANSWERED = "answered"
    UNKNOWN = "unknown"
    """It did not answer in time: what it did is not known now."""
    NOT_ASKED = "not_asked"
    """This installation does not say where it is (`NATTER_NOTIFIER_URL`)."""


class DeviceDelivery(Contract):
    """One device that has the message."""

    device_type: DeviceType
    received_at: Instant
    connection_id: Uuid | None = None
    """For services and admins only."""
    edge_id: str | None = None
    """For services and admins only."""


class HandedOver(Contract):
    """What the notifier was given and has not taken yet."""

    reason: OfflineReason
    at: Instant


class PushToDevice(Contract):
    """The push to one device; without a device type the provider found the user's devices by itself."""

    device_type: DeviceType | None = None
    provider: str
    state: DevicePushState
    attempts: int
    attempted_at: Instant | None = None
    accepted_at: Instant | None = None
    """The provider took it."""
    acknowledged_at: Instant | None = None
    """The app has shown it."""
    retracted_at: Instant | None = None
    """The device was told to take it back."""
    push_id: Uuid | None = None
    """For services and admins only, as what follows."""
    device: Uuid | None = None
    skip_reason: SkipReason | None = None
    provider_ref: str | None = None
    last_error: str | None = None


class PushDecision(Contract):
    """What the notifier made of it."""

    state: PushState
    provider: str | None = None
    attempts: int
    settled_at: Instant | None = None
    skip_reason: SkipReason | None = None
    """Why there is no push. For services and admins only, like the next two: it may be a wish of the recipient, such as
    not to hear of this conversation."""
    held: bool | None = None
    """It waits for the end of quiet hours or of a snooze."""
    due_at: Instant | None = None
    """When it is looked at again."""
    devices: tuple[PushToDevice, ...] = ()


class PushStory(Contract):
    """The way beside the sockets."""

    handed_over: HandedOver | None = None
    decision: PushDecision | None = None


class RecipientDelivery(Contract):
    """What became of the message with one recipient."""

    user_id: UserId
    state: DeliveryState
    read: bool
    delivered_at: Instant | None = None
    """When the first device confirmed it; missing once the ledger has forgotten it."""
    devices: tuple[DeviceDelivery, ...] = ()
    push: PushStory = PushStory()


class MessageDelivery(Contract):
    """The story of one message, for up to 200 recipients in the order of their ids."""

    message_id: Uuid
    conversation_id: Uuid
    seq: int
    recipients: tuple[RecipientDelivery, ...]
    next_after: UserId | None = None
    """If there are more: ask again with `after`."""
    notifier: NotifierAnswer


class ConversationCursor(Contract):
    """How far one participant has read, and up to which message a device of his has confirmed."""

    user_id: UserId
    read_seq: int = Field(ge=0)
    delivered_seq: int = Field(ge=0)


class ConversationCursors(Contract):
    """Up to 200 participants, those who are furthest first."""

    cursors: tuple[ConversationCursor, ...]


@router.get(
    "/messages/{message_id}/delivery",
    response_model=MessageDelivery,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED),
)
async def story(
    message_id: Uuid,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    after: Annotated[UserId | None, Query(description="Recipients behind this user id.")] = None,
    limit: Annotated[int, Query(ge=1, le=RECIPIENTS_MAX)] = RECIPIENTS_MAX,
) -> Response:
    """What became of a message: who has it on which device, who has read it, who got a push.

    For its sender, a service, an admin.
    """
    async with translated(), context.engine.connect() as connection:
        message = await delivery.sent(connection, message_id)
        if message is None:
            raise NotFound
        if principal.user_id != message.sender_id and not principal.acts_for_others:
            state = await queries.conversation_state(connection, message.conversation_id, [principal.user_id])
            if state is None or principal.user_id not in state.members:
                raise NotFound
            raise ApiError(ErrorCode.FORBIDDEN, "Only the sender sees what became of a message.")
        found = await delivery.recipients(connection, message, after or "", limit + 1)
    page = found[:limit]
    records: PushRecords = request.app.state.push_records
    pushes = await records.of(message.event_id, [one.user_id for one in page]) if records.configured else {}
    if not records.configured:
        notifier = NotifierAnswer.NOT_ASKED
    else:
        notifier = NotifierAnswer.UNKNOWN if pushes is None else NotifierAnswer.ANSWERED
    answer = MessageDelivery(
        message_id=message.message_id,
        conversation_id=message.conversation_id,
        seq=message.seq,
        recipients=tuple(
            _recipient(message, one, (pushes or {}).get(one.user_id), context.settings, whole=principal.acts_for_others)
            for one in page
        ),
        next_after=page[-1].user_id if len(found) > limit else None,
        notifier=notifier,
    )
    return Response(encode(answer), media_type="application/json")


@router.get(
    "/conversations/{conversation_id}/cursors",
    response_model=ConversationCursors,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED),
)
async def cursors(conversation_id: ConversationId, principal: PrincipalDep, context: ContextDep) -> Response:
    """How far everybody has read and been reached: what a client that was away has missed of `read` and `delivered`."""
    async with translated(), context.engine.connect() as connection:
        state = await queries.conversation_state(connection, conversation_id, [principal.user_id])
        if state is None or (principal.user_id not in state.members and not principal.acts_for_others):
            raise NotFound
        found = await delivery.cursors(connection, conversation_id, CURSORS_MAX)
    answer = ConversationCursors(
        cursors=tuple(
            ConversationCursor(user_id=one.user_id, read_seq=one.read_seq, delivered_seq=one.delivered_seq)
            for one in found
        )
    )
    return Response(encode(answer), media_type="application/json")


def _recipient(
    message: Sent, one: Recipient, push: PushRecord | None, settings: ChatApiSettings, *, whole: bool
) -> RecipientDelivery:
    handed_over = None
    if one.handed_over_reason is not None and one.handed_over_at is not None:
        handed_over = HandedOver(reason=OfflineReason(one.handed_over_reason), at=one.handed_over_at)
    decision = None
    if push is not None:
        decision = PushDecision(
            state=push.state,
            skip_reason=push.skip_reason if whole else None,
            provider=push.provider,
            attempts=push.attempts,
            settled_at=push.settled_at,
            held=push.held if whole else None,
            due_at=push.due_at if whole else None,
            devices=tuple(_to_device(one, whole=whole) for one in push.devices),
        )
    return RecipientDelivery(
        user_id=one.user_id,
        state=_state(message, one, handed_over is not None or decision is not None, settings),
        read=one.read_seq >= message.seq,
        delivered_at=one.devices[0].received_at if one.devices else None,
        devices=tuple(
            DeviceDelivery(
                device_type=device.device_type,
                received_at=device.received_at,
                connection_id=device.connection_id if whole else None,
                edge_id=device.edge_id if whole else None,
            )
            for device in one.devices
        ),
        push=PushStory(handed_over=handed_over, decision=decision),
    )


def _to_device(push: DevicePush, *, whole: bool) -> PushToDevice:
    told = {**dict(push), "push_id": push.id}
    names = [name for name in PushToDevice.model_fields if whole or name not in _FOR_STAFF]
    return PushToDevice(**{name: told[name] for name in names})


def _state(message: Sent, one: Recipient, handed_over: bool, settings: ChatApiSettings) -> DeliveryState:
    if one.read_seq >= message.seq:
        return DeliveryState.READ
    if one.devices or one.delivered_seq >= message.seq:
        return DeliveryState.DELIVERED
    if handed_over:
        return DeliveryState.HANDED_OVER
    age = datetime.now(UTC) - message.recorded_at
    if age > timedelta(days=max(1, settings.delivery_ledger_days)):
        return DeliveryState.UNKNOWN
    # Settled, and no device has it: then the notifier has taken it. But a receipt is settled before it is written down.
    longest_s = settings.delivery_ack_timeout_s + settings.important_mobile_wait_s + LEDGER_LATE_S
    if message.settled and age > timedelta(seconds=longest_s):
        return DeliveryState.HANDED_OVER
    return DeliveryState.WAITING
