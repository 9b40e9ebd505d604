"""What the system says: notices in conversations, notifications to one user, and what was said to the caller."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chat_api import metrics
from chat_api.commands import notices
from chat_api.domain.notices import NotifyConversation, NotifyUser
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep, actor, require_privileged
from chat_api.http.context import ContextDep, IdempotencyKey, once
from chat_api.http.conversations import ConversationId
from chat_api.http.errors import problem_responses
from chat_api.store import notifications
from chat_api.store.database import translated
from contracts.codec import encode
from contracts.codes import ErrorCode
from contracts.devices import DeviceType
from contracts.ids import UserId, Uuid, new_id
from contracts.messages import Message
from contracts.notices import Notification, NotificationDraft, SystemNotificationDraft
from contracts.times import now
from kit.logs import Stage, logger

log = logger()

router = APIRouter(tags=["notices"])

PAGE_MAX = 200

POST_ERRORS = problem_responses(
    *AUTH_ERRORS,
    ErrorCode.FORBIDDEN,
    ErrorCode.NOT_FOUND,
    ErrorCode.IDEMPOTENCY_CONFLICT,
    ErrorCode.VALIDATION_FAILED,
    ErrorCode.MALFORMED_JSON,
    ErrorCode.PAYLOAD_TOO_LARGE,
)


class SystemNotificationBody(SystemNotificationDraft):
    """A notice for everybody in a conversation."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"title": "Maintenance", "message": "Back at six.", "type": "maintenance"}],
        },
    )


class NotificationBody(NotificationDraft):
    """Something to say to one user."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "title": "Your appointment",
                    "content": "Tomorrow at nine.",
                    "type": "appointment_reminder",
                    "action": "open_appointment",
                }
            ],
        },
    )

    device_types: Annotated[list[DeviceType], Field(max_length=len(DeviceType))] = Field(
        default_factory=list,
        description="Only devices of these types get a frame, and only they count as having it; empty: all.",
    )


class NotificationPage(BaseModel):
    """Notifications, newest first; for older ones give the last one's id as `before`."""

    notifications: list[Notification]


@router.post(
    "/conversations/{conversation_id}/system-notifications",
    status_code=201,
    response_model=Message,
    responses=POST_ERRORS,
)
async def notify_conversation(
    conversation_id: ConversationId,
    body: SystemNotificationBody,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> Response:
    """Say something to everybody in a conversation: a message of the system, in history like every other, and a push
    for who is away. For a service or an admin, who need not take part."""
    require_privileged(principal)
    draft = SystemNotificationDraft.model_construct(**dict(body))
    command = NotifyConversation(conversation_id, new_id(), actor(principal), draft, now())
    message = await notices.notify_conversation(
        command, context.uow, once(principal.user_id, key, request, await request.body()), 201
    )
    stream = f"conversation:{message.conversation_id}"
    metrics.messages_accepted.inc()
    log.debug("notice accepted", stage=Stage.BROADCAST, stream=stream, seq=message.seq, message_id=message.id)
    return Response(encode(message), 201, media_type="application/json")


@router.post("/users/{user_id}/notifications", status_code=201, response_model=Notification, responses=POST_ERRORS)
async def notify_user(
    user_id: UserId,
    body: NotificationBody,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> Response:
    """Say something to one user, on every device or on those of some types; a push if none of them has it."""
    require_privileged(principal)
    draft = NotificationDraft.model_construct(**body.model_dump(exclude={"device_types"}))
    device_types = tuple(dict.fromkeys(body.device_types))
    command = NotifyUser(new_id(), actor(principal), user_id, draft, device_types, now())
    said = await notices.notify_user(
        command, context.uow, once(principal.user_id, key, request, await request.body()), 201
    )
    log.debug("notification accepted", stage=Stage.BROADCAST, stream=f"user:{user_id}", notification_id=said.id)
    return Response(encode(said), 201, media_type="application/json")


@router.get(
    "/notifications",
    response_model=NotificationPage,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.VALIDATION_FAILED),
)
async def mine(
    principal: PrincipalDep,
    context: ContextDep,
    before: Annotated[Uuid | None, Query(description="The id of the last one of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> Response:
    """What was said to the caller, newest first."""
    async with translated(), context.engine.connect() as connection:
        found = await notifications.page(connection, principal.user_id, before=before, limit=limit)
    return Response(encode(NotificationPage(notifications=found)), media_type="application/json")
