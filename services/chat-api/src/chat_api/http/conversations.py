"""Conversations: open, list, change, and who takes part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from chat_api.commands import handlers
from chat_api.commands.handlers import Room
from chat_api.domain.commands import (
    AddParticipants,
    AdvanceRead,
    CreateConversation,
    RemoveParticipant,
    UpdateConversation,
)
from chat_api.domain.errors import InvalidReference, NotFound
from chat_api.http import list_cursor
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep, actor, require_privileged
from chat_api.http.context import Context, ContextDep, IdempotencyKey, once
from chat_api.http.errors import problem_responses
from chat_api.http.schemas import (
    PARTICIPANTS_MAX,
    ConversationChange,
    ConversationKind,
    ConversationOut,
    ConversationPage,
    NewConversation,
    NewParticipants,
    ParticipantOut,
    ReadBody,
    ReadOut,
)
from chat_api.store import presence, queries
from chat_api.store.database import translated
from chat_api.store.queries import ConversationSummary
from contracts.codes import ErrorCode
from contracts.ids import UserId, Uuid, new_id
from contracts.times import now
from kit.tokens import Principal

router = APIRouter(prefix="/conversations", tags=["conversations"])

ConversationId = Annotated[Uuid, Path(description="A conversation's id.")]

_BODY_ERRORS = (ErrorCode.VALIDATION_FAILED, ErrorCode.MALFORMED_JSON, ErrorCode.PAYLOAD_TOO_LARGE)


@router.post(
    "",
    status_code=201,
    response_model=ConversationOut,
    response_model_exclude_none=True,
    responses=problem_responses(
        *AUTH_ERRORS,
        ErrorCode.FORBIDDEN,
        ErrorCode.UNKNOWN_USER,
        ErrorCode.LIMIT_REACHED,
        ErrorCode.IDEMPOTENCY_CONFLICT,
        *_BODY_ERRORS,
    ),
)
async def create(
    body: NewConversation,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> ConversationOut:
    """Open a conversation. The caller owns it and takes part in it."""
    conversation_id = await handlers.create_conversation(
        CreateConversation(
            conversation_id=new_id(),
            actor=actor(principal),
            owner_id=body.owner_id or principal.user_id,
            participant_ids=tuple(body.participant_ids),
            title=body.title,
            metadata=body.metadata,
            now=now(),
        ),
        context.uow,
        once(principal.user_id, key, request, await request.body()),
        201,
        _room(context),
    )
    return await _one(conversation_id, principal, context)


def _room(context: Context) -> Room:
    settings = context.settings
    return Room(settings.conversations_per_user_max, settings.participants_max)


@router.get(
    "",
    response_model=ConversationPage,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.VALIDATION_FAILED),
)
async def list_mine(
    principal: PrincipalDep,
    context: ContextDep,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    kind: Annotated[ConversationKind, Query(description="`notes`: those of internal notes instead.")] = "chat",
) -> ConversationPage:
    """The caller's conversations, newest activity first."""
    before = list_cursor.read(cursor) if cursor is not None else None
    async with translated(), context.engine.connect() as connection:
        found = await queries.conversation_list(
            connection, principal.user_id, limit=limit + 1, before=before, notes=kind == "notes"
        )
    page, more = found[:limit], len(found) > limit
    return ConversationPage(
        conversations=[conversation_out(summary) for summary in page],
        next_cursor=list_cursor.write(page[-1].last_activity_at, page[-1].conversation_id) if more else None,
    )


@router.get(
    "/{conversation_id}",
    response_model=ConversationOut,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED),
)
async def get_one(conversation_id: ConversationId, principal: PrincipalDep, context: ContextDep) -> ConversationOut:
    """One conversation with its participants (the first thousand)."""
    return await _one(conversation_id, principal, context)


@router.patch(
    "/{conversation_id}",
    response_model=ConversationOut,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, *_BODY_ERRORS),
)
async def change(
    conversation_id: ConversationId, body: ConversationChange, principal: PrincipalDep, context: ContextDep
) -> ConversationOut:
    """Change title or metadata: the owner, or a consultant or doctor who takes part."""
    await handlers.update_conversation(
        UpdateConversation(conversation_id, actor(principal), body.title, body.metadata, now()), context.uow
    )
    return await _one(conversation_id, principal, context)


@router.post(
    "/{conversation_id}/participants",
    response_model=ConversationOut,
    response_model_exclude_none=True,
    responses=problem_responses(
        *AUTH_ERRORS,
        ErrorCode.FORBIDDEN,
        ErrorCode.NOT_FOUND,
        ErrorCode.UNKNOWN_USER,
        ErrorCode.LIMIT_REACHED,
        ErrorCode.IDEMPOTENCY_CONFLICT,
        *_BODY_ERRORS,
    ),
)
async def add_participants(
    conversation_id: ConversationId,
    body: NewParticipants,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> ConversationOut:
    """Let users in; who is in already stays as he is."""
    command = AddParticipants(conversation_id, actor(principal), tuple(dict.fromkeys(body.user_ids)), now())
    await handlers.add_participants(
        command, context.uow, once(principal.user_id, key, request, await request.body()), 200, _room(context)
    )
    return await _one(conversation_id, principal, context)


@router.delete(
    "/{conversation_id}/participants/{user_id}",
    status_code=204,
    responses=problem_responses(
        *AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.VALIDATION_FAILED
    ),
)
async def remove_participant(
    conversation_id: ConversationId, user_id: UserId, principal: PrincipalDep, context: ContextDep
) -> Response:
    """Take a user out, or leave. Who has a consult hands it over instead."""
    await handlers.remove_participant(RemoveParticipant(conversation_id, actor(principal), user_id, now()), context.uow)
    return Response(status_code=204)


@router.put(
    "/{conversation_id}/read",
    response_model=ReadOut,
    responses=problem_responses(
        *AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, ErrorCode.SEQ_OUT_OF_RANGE, *_BODY_ERRORS
    ),
)
async def mark_read(
    conversation_id: ConversationId, body: ReadBody, principal: PrincipalDep, context: ContextDep
) -> ReadOut:
    """Move the caller's read cursor; a lower seq is ignored. A service moves its users', also by message ids."""
    if body.user_id not in (None, principal.user_id) or body.message_ids is not None:
        require_privileged(principal)
    wanted = body.seq or await _highest_seq(conversation_id, body.message_ids or (), context)
    command = AdvanceRead(conversation_id, body.user_id or principal.user_id, wanted, now())
    return ReadOut(seq=await handlers.advance_read(command, context.uow))


async def _highest_seq(conversation_id: str, message_ids: Sequence[str], context: Context) -> int:
    async with translated(), context.engine.connect() as connection:
        found = await presence.highest_seq(connection, conversation_id, message_ids)
    if found is None:
        raise InvalidReference("None of `message_ids` is a message of this conversation.")
    return found


async def _one(conversation_id: str, principal: Principal, context: Context) -> ConversationOut:
    async with translated(), context.engine.connect() as connection:
        summary = await queries.conversation_summary(connection, conversation_id, principal.user_id)
        if summary is None or (summary.read_seq is None and not principal.acts_for_others):
            raise NotFound
        people = await queries.participants(connection, conversation_id, PARTICIPANTS_MAX)
    out = conversation_out(summary)
    out.participants = [
        ParticipantOut(user_id=one.user_id, name=one.name, joined_at=one.joined_at, read_seq=one.read_seq)
        for one in people
    ]
    return out


def conversation_out(summary: ConversationSummary) -> ConversationOut:
    """A summary as it stands in a list."""
    return ConversationOut(
        id=summary.conversation_id,
        title=summary.title,
        owner_id=summary.owner_id,
        metadata=summary.metadata,
        kind="chat" if summary.notes_of is None else "notes",
        notes_of=summary.notes_of,
        last_seq=summary.last_seq,
        read_seq=summary.read_seq,
        unread_count=summary.unread_count,
        muted=summary.muted,
        muted_until=summary.muted_until,
        last_message=summary.last_message,
        created_at=summary.created_at,
        last_activity_at=summary.last_activity_at,
    )
