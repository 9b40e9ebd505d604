"""Consults: a customer asks for somebody, waits in the queue, and is taken, assigned, handed over, closed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from chat_api.commands import consults as commands
from chat_api.domain.commands import Actor
from chat_api.domain.consult import (
    AssignConsult,
    CloseConsult,
    ConsultCommand,
    HandOverConsult,
    OpenConsult,
    ReopenConsult,
    TakeConsult,
)
from chat_api.domain.errors import NotFound
from chat_api.http import list_cursor
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep, actor
from chat_api.http.consult_schemas import (
    AssignBody,
    ConsultOpenedOut,
    ConsultOut,
    ConsultPage,
    HandOverBody,
    NewConsult,
)
from chat_api.http.context import Context, ContextDep, IdempotencyKey, once
from chat_api.http.conversations import ConversationId, conversation_out
from chat_api.http.errors import ApiError, problem_responses
from chat_api.store import consults, queries
from chat_api.store.consults import ConsultRow, State
from chat_api.store.database import translated
from contracts.codes import ErrorCode
from contracts.ids import UserId, new_id
from contracts.messages import MessageDraft
from contracts.times import now
from kit.tokens import Principal

router = APIRouter(tags=["consults"])

_BODY_ERRORS = (ErrorCode.VALIDATION_FAILED, ErrorCode.MALFORMED_JSON, ErrorCode.PAYLOAD_TOO_LARGE)
_STEP_ERRORS = (*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, ErrorCode.CONFLICT)
_STEP_RESPONSES = problem_responses(
    *_STEP_ERRORS, ErrorCode.UNKNOWN_USER, ErrorCode.IDEMPOTENCY_CONFLICT, ErrorCode.VALIDATION_FAILED
)
_NAMING_RESPONSES = problem_responses(
    *_STEP_ERRORS, ErrorCode.ASSIGNEE_OFFLINE, ErrorCode.UNKNOWN_USER, ErrorCode.IDEMPOTENCY_CONFLICT, *_BODY_ERRORS
)


@router.post(
    "/consults",
    status_code=201,
    response_model=ConsultOpenedOut,
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
async def open_one(
    body: NewConsult, request: Request, principal: PrincipalDep, context: ContextDep, key: IdempotencyKey = None
) -> ConsultOpenedOut:
    """Ask for a consultant without naming one. The conversation waits in the queue until somebody takes it."""
    draft = None
    if body.content is not None:
        draft = MessageDraft(client_msg_id=body.client_msg_id or new_id(), content=body.content)
    conversation_id = await commands.open_consult(
        OpenConsult(
            conversation_id=new_id(),
            actor=actor(principal),
            customer_id=body.customer_id or principal.user_id,
            topic=body.topic,
            metadata=body.metadata,
            draft=draft,
            now=now(),
        ),
        context.uow,
        once(principal.user_id, key, request, await request.body()),
        201,
        context.settings.conversations_per_user_max,
    )
    async with translated(), context.engine.connect() as connection:
        row = await consults.one(connection, conversation_id)
        summary = await queries.conversation_summary(connection, conversation_id, principal.user_id)
    assert row is not None
    assert summary is not None, "it was opened a moment ago, and conversations do not go away"
    return ConsultOpenedOut(conversation=conversation_out(summary), consult=_out(row, principal))


@router.get(
    "/consults",
    response_model=ConsultPage,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.VALIDATION_FAILED),
)
async def queue(
    principal: PrincipalDep,
    context: ContextDep,
    state: Annotated[State, Query(description="Waiting: oldest first. The others: newest first.")] = State.WAITING,
    assignee: Annotated[
        UserId | None,
        Query(description="`me`, or (service and admin only) somebody else. Nobody has a waiting one."),
    ] = None,
    cursor: Annotated[
        str | None, Query(max_length=list_cursor.LENGTH_MAX, description="`next_cursor` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ConsultPage:
    """The queue, for consultants and doctors, and the consults that they have; a service or an admin sees all."""
    asker = actor(principal)
    _require_staff(asker)
    assignee_id = asker.user_id if assignee == "me" or (assignee is None and not asker.privileged) else assignee
    if assignee_id not in (None, asker.user_id) and not asker.privileged:
        raise ApiError(ErrorCode.FORBIDDEN, "Only a service or an admin may see what somebody else has.")
    behind = None if cursor is None else list_cursor.read(cursor)
    async with translated(), context.engine.connect() as connection:
        found = await consults.page(connection, state, assignee_id=assignee_id, limit=limit + 1, behind=behind)
    page, more = found[:limit], len(found) > limit
    return ConsultPage(
        consults=[_out(row, principal) for row in page],
        next_cursor=list_cursor.write(page[-1].opened_at, page[-1].conversation_id) if more else None,
    )


@router.get(
    "/conversations/{conversation_id}/consult",
    response_model=ConsultOut,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED),
)
async def get_one(conversation_id: ConversationId, principal: PrincipalDep, context: ContextDep) -> ConsultOut:
    """One consult: for those who take part, and while it waits for every consultant and doctor."""
    asker = actor(principal)
    async with translated(), context.engine.connect() as connection:
        row = await consults.one(connection, conversation_id)
        state = await queries.conversation_state(connection, conversation_id, [asker.user_id])
    if row is None or state is None:
        raise NotFound
    in_the_queue = asker.staff and row.state is State.WAITING
    if not (asker.privileged or asker.user_id in state.members or in_the_queue):
        raise NotFound
    return _out(row, principal)


@router.post(
    "/conversations/{conversation_id}/consult/take",
    response_model=ConsultOut,
    response_model_exclude_none=True,
    responses=_STEP_RESPONSES,
)
async def take(
    conversation_id: ConversationId,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> ConsultOut:
    """Take a waiting consult for oneself. Of two who do it at once one gets it, the other 409 `conflict`."""
    return await _step(TakeConsult(conversation_id, actor(principal), now()), request, principal, context, key)


@router.post(
    "/conversations/{conversation_id}/consult/assign",
    response_model=ConsultOut,
    response_model_exclude_none=True,
    responses=_NAMING_RESPONSES,
)
async def assign(
    conversation_id: ConversationId,
    body: AssignBody,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> ConsultOut:
    """Give a waiting consult to a consultant or doctor; who is offline gets none: 409 `assignee_offline`."""
    _require_presence(context)
    command = AssignConsult(conversation_id, actor(principal), body.user_id, now())
    return await _step(command, request, principal, context, key)


@router.post(
    "/conversations/{conversation_id}/consult/hand-over",
    response_model=ConsultOut,
    response_model_exclude_none=True,
    responses=_NAMING_RESPONSES,
)
async def hand_over(
    conversation_id: ConversationId,
    body: HandOverBody,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> ConsultOut:
    """Pass one's consult to somebody who is online, or back into the queue; one leaves conversation and notes."""
    if body.user_id is not None:
        _require_presence(context)
    command = HandOverConsult(conversation_id, actor(principal), body.user_id, body.reason, now())
    return await _step(command, request, principal, context, key)


@router.post(
    "/conversations/{conversation_id}/consult/close",
    response_model=ConsultOut,
    response_model_exclude_none=True,
    responses=_STEP_RESPONSES,
)
async def close(
    conversation_id: ConversationId,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> ConsultOut:
    """End a consult: its customer, or who has it. Conversation and history stay."""
    return await _step(CloseConsult(conversation_id, actor(principal), now()), request, principal, context, key)


@router.post(
    "/conversations/{conversation_id}/consult/reopen",
    response_model=ConsultOut,
    response_model_exclude_none=True,
    responses=_STEP_RESPONSES,
)
async def reopen(
    conversation_id: ConversationId,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> ConsultOut:
    """Put a closed consult into the queue again; who had it leaves."""
    return await _step(ReopenConsult(conversation_id, actor(principal), now()), request, principal, context, key)


async def _step(
    command: ConsultCommand, request: Request, principal: Principal, context: Context, key: str | None
) -> ConsultOut:
    same = once(principal.user_id, key, request, await request.body())
    await commands.take_step(command, context.uow, context.presence, same, 200)
    async with translated(), context.engine.connect() as connection:
        row = await consults.one(connection, command.conversation_id)
    assert row is not None, "the step was taken, so there is a consult"
    return _out(row, principal)


def _require_staff(asker: Actor) -> None:
    if not (asker.staff or asker.privileged):
        raise ApiError(ErrorCode.FORBIDDEN, "Only staff may see the queue.")


def _require_presence(context: Context) -> None:
    if not context.presence.hearing:
        # Everybody would be taken for offline.
        raise ApiError(ErrorCode.UNAVAILABLE, "Right now it is not known who is online.")


def _out(row: ConsultRow, principal: Principal) -> ConsultOut:
    # Who has it takes part in the notes; to the customer there are none.
    told = principal.acts_for_others or row.assignee_id == principal.user_id
    return ConsultOut(
        conversation_id=row.conversation_id,
        customer_id=row.customer_id,
        customer_name=row.customer_name,
        topic=row.topic,
        state=row.state,
        assignee_id=row.assignee_id,
        assignee_name=row.assignee_name,
        opened_at=row.opened_at,
        taken_at=row.taken_at,
        closed_at=row.closed_at,
        notes_conversation_id=row.notes_conversation_id if told else None,
    )
