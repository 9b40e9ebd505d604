"""Messages: send, edit, delete, and history by seq."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.commands import handlers
from chat_api.commands.handlers import Sent
from chat_api.domain.commands import SYSTEM_ID, DeleteMessage, EditMessage, SendMessage
from chat_api.domain.errors import NotFound, SeqOutOfRange
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep, actor, require_privileged
from chat_api.http.context import Context, ContextDep, IdempotencyKey
from chat_api.http.conversations import ConversationId
from chat_api.http.errors import ApiError, problem_responses
from chat_api.http.schemas import ChatSendBody, ChatSent, EditBody, EventPage, MessagePage, SendBody, public_event
from chat_api.store import queries
from chat_api.store.database import translated
from chat_api.store.queries import Window
from contracts.codec import WHOLE_NUMBER_MAX, encode
from contracts.codes import ErrorCode
from contracts.ids import CLIENT_MSG_ID_PATTERN, Uuid, new_id
from contracts.messages import Message, MessageDraft, SenderType
from contracts.stream_ids import ConversationStream
from contracts.times import now
from kit import tracing
from kit.logs import Stage, logger
from kit.tokens import Principal

log = logger()

router = APIRouter(tags=["messages"])
seed_router = APIRouter(tags=["messages"])

_BODY_ERRORS = (ErrorCode.VALIDATION_FAILED, ErrorCode.MALFORMED_JSON, ErrorCode.PAYLOAD_TOO_LARGE)
_PAGE_ERRORS = problem_responses(
    *AUTH_ERRORS, ErrorCode.NOT_FOUND, ErrorCode.SEQ_OUT_OF_RANGE, ErrorCode.VALIDATION_FAILED
)

PAGE_MAX = 200

_NAMES_A_MESSAGE = re.compile(CLIENT_MSG_ID_PATTERN)


@router.post(
    "/conversations/{conversation_id}/messages",
    status_code=201,
    response_model=Message,
    responses={
        200: {"model": Message, "description": "The same (sender, client_msg_id) was sent before: the first message."},
        **problem_responses(
            *AUTH_ERRORS,
            ErrorCode.FORBIDDEN,
            ErrorCode.NOT_FOUND,
            ErrorCode.UNKNOWN_USER,
            ErrorCode.IDEMPOTENCY_CONFLICT,
            *_BODY_ERRORS,
        ),
    },
)
async def send(
    conversation_id: ConversationId,
    body: SendBody,
    principal: PrincipalDep,
    context: ContextDep,
    _key: IdempotencyKey = None,
) -> Response:
    """Send a message. `client_msg_id` is what makes a repeat harmless, for ever; an Idempotency-Key adds nothing."""
    is_system = body.sender_type is SenderType.SYSTEM
    if body.sender_id not in (None, principal.user_id) or body.exclude_user_ids or is_system or body.sender_name:
        require_privileged(principal)
    draft = MessageDraft.model_construct(**{name: getattr(body, name) for name in MessageDraft.model_fields})
    sent = await _send(
        context,
        principal,
        conversation_id,
        draft,
        sender_id=body.sender_id or (SYSTEM_ID if is_system else principal.user_id),
        exclude=tuple(body.exclude_user_ids),
        sender_type=body.sender_type,
        shown_name=body.sender_name,
    )
    return Response(encode(sent.message), 200 if sent.duplicate else 201, media_type="application/json")


@seed_router.post(
    "/chat/{conversation_id}/send",
    response_model=ChatSent,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.NOT_FOUND, ErrorCode.IDEMPOTENCY_CONFLICT, *_BODY_ERRORS),
)
async def chat_send(
    conversation_id: ConversationId,
    body: ChatSendBody,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> ChatSent:
    """Save and broadcast in one call, as host applications did before Natter."""
    named = body.client_msg_id or (new_id() if key is None else _client_msg_id(key))
    draft = MessageDraft.model_validate(body.model_dump() | {"client_msg_id": named})
    sent = await _send(context, principal, conversation_id, draft, sender_id=principal.user_id)
    return ChatSent(message_id=sent.message.id)


def _client_msg_id(key: str) -> str:
    """The name of the message that an Idempotency-Key stands for: the key itself, or its digest if it cannot be one."""
    return key if _NAMES_A_MESSAGE.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()


async def _send(
    context: Context,
    principal: Principal,
    conversation_id: str,
    draft: MessageDraft,
    *,
    sender_id: str,
    exclude: tuple[str, ...] = (),
    sender_type: SenderType = SenderType.CHAT,
    shown_name: str | None = None,
) -> Sent:
    command = SendMessage(
        conversation_id=conversation_id,
        message_id=new_id(),
        sender_id=sender_id,
        sender_name=principal.name if sender_id == principal.user_id else None,
        draft=draft,
        now=now(),
        exclude_user_ids=exclude,
        sender_type=sender_type,
        shown_name=shown_name,
        traceparent=tracing.current(),
        privileged=principal.acts_for_others,
    )
    sent = await context.sends.send(command)
    message = sent.message
    stream = f"conversation:{message.conversation_id}"
    log.debug("message accepted", stage=Stage.BROADCAST, stream=stream, seq=message.seq, message_id=message.id)
    return sent


@router.patch(
    "/messages/{message_id}",
    response_model=Message,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, *_BODY_ERRORS),
)
async def edit(message_id: Uuid, body: EditBody, principal: PrincipalDep, context: ContextDep) -> Response:
    """Change the text of one's own message."""
    message = await handlers.change_message(EditMessage(message_id, actor(principal), body.content, now()), context.uow)
    return Response(encode(message), media_type="application/json")


@router.delete(
    "/messages/{message_id}",
    response_model=Message,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED),
)
async def delete(message_id: Uuid, principal: PrincipalDep, context: ContextDep) -> Response:
    """Take back one's own message; answers the tombstone that stays."""
    message = await handlers.change_message(DeleteMessage(message_id, actor(principal), now()), context.uow)
    return Response(encode(message), media_type="application/json")


SeqQuery = Annotated[int | None, Query(ge=0, le=WHOLE_NUMBER_MAX)]


async def _window(
    after_seq: SeqQuery = None,
    before_seq: SeqQuery = None,
    around_seq: SeqQuery = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> Window:
    """Which page is asked for; without any of the three: the newest."""
    if sum(value is not None for value in (after_seq, before_seq, around_seq)) > 1:
        raise ApiError(ErrorCode.VALIDATION_FAILED, "Give only one of after_seq, before_seq and around_seq.")
    return Window(after=after_seq, before=before_seq, around=around_seq, limit=limit)


WindowDep = Annotated[Window, Depends(_window)]


@router.get("/conversations/{conversation_id}/messages", response_model=MessagePage, responses=_PAGE_ERRORS)
async def history(
    conversation_id: ConversationId, window: WindowDep, principal: PrincipalDep, context: ContextDep
) -> Response:
    """A page of messages in the order of their seq."""
    async with translated(), context.engine.connect() as connection:
        last_seq = await readable(connection, conversation_id, principal, window)
        messages = await queries.message_page(connection, conversation_id, window)
    return Response(encode(MessagePage(messages=messages, last_seq=last_seq)), media_type="application/json")


@router.get("/conversations/{conversation_id}/events", response_model=EventPage, responses=_PAGE_ERRORS)
async def events(
    conversation_id: ConversationId, window: WindowDep, principal: PrincipalDep, context: ContextDep
) -> Response:
    """A page of all durable events: how a client fills a gap. No seq is ever missing between two pages."""
    async with translated(), context.engine.connect() as connection:
        last_seq = await readable(connection, conversation_id, principal, window)
        stream = str(ConversationStream(conversation_id))
        found = await queries.event_page(connection, stream, window)
    page = EventPage(events=[public_event(event) for event in found], last_seq=last_seq)
    return Response(encode(page), media_type="application/json")


async def readable(connection: AsyncConnection, conversation_id: str, principal: Principal, window: Window) -> int:
    """The conversation's last seq, if the caller may read it and the window lies within."""
    state = await queries.conversation_state(connection, conversation_id, [principal.user_id])
    if state is None or (principal.user_id not in state.members and not principal.acts_for_others):
        raise NotFound
    asked = window.after if window.after is not None else window.around
    if asked is not None and asked > state.last_seq:
        raise SeqOutOfRange(f"The conversation ends at seq {state.last_seq}.")
    return state.last_seq
