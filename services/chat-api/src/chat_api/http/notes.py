"""Internal notes on a consult: a conversation of its own among staff, found by the conversation that it is about."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.domain.commands import SendMessage
from chat_api.domain.errors import Conflict, NotFound
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep, actor
from chat_api.http.consult_schemas import NoteBody
from chat_api.http.context import ContextDep, IdempotencyKey
from chat_api.http.conversations import ConversationId
from chat_api.http.errors import ApiError, problem_responses
from chat_api.http.messages import WindowDep, readable
from chat_api.http.schemas import MessagePage
from chat_api.store import consults, queries
from chat_api.store.database import translated
from contracts.codec import encode
from contracts.codes import ErrorCode
from contracts.ids import new_id
from contracts.messages import Message, MessageDraft
from contracts.times import now
from kit import tracing
from kit.tokens import Principal

router = APIRouter(tags=["consults"])


@router.post(
    "/conversations/{conversation_id}/notes",
    status_code=201,
    response_model=Message,
    responses={
        200: {"model": Message, "description": "The same (sender, client_msg_id) was sent before: the first note."},
        **problem_responses(
            *AUTH_ERRORS,
            ErrorCode.FORBIDDEN,
            ErrorCode.NOT_FOUND,
            ErrorCode.CONFLICT,
            ErrorCode.IDEMPOTENCY_CONFLICT,
            ErrorCode.VALIDATION_FAILED,
            ErrorCode.MALFORMED_JSON,
            ErrorCode.PAYLOAD_TOO_LARGE,
        ),
    },
)
async def write(
    conversation_id: ConversationId,
    body: NoteBody,
    principal: PrincipalDep,
    context: ContextDep,
    _key: IdempotencyKey = None,
) -> Response:
    """Tell the other staff of this consult something that the customer never sees."""
    async with translated(), context.engine.connect() as connection:
        notes_id = await _notes_of(connection, conversation_id, principal)
    sent = await context.sends.send(
        SendMessage(
            conversation_id=notes_id,
            message_id=new_id(),
            sender_id=principal.user_id,
            sender_name=principal.name,
            draft=MessageDraft(client_msg_id=body.client_msg_id, content=body.content),
            now=now(),
            traceparent=tracing.current(),
            as_outsider=principal.acts_for_others,
        )
    )
    return Response(encode(sent.message), 200 if sent.duplicate else 201, media_type="application/json")


@router.get(
    "/conversations/{conversation_id}/notes",
    response_model=MessagePage,
    responses=problem_responses(
        *AUTH_ERRORS,
        ErrorCode.FORBIDDEN,
        ErrorCode.NOT_FOUND,
        ErrorCode.CONFLICT,
        ErrorCode.SEQ_OUT_OF_RANGE,
        ErrorCode.VALIDATION_FAILED,
    ),
)
async def history(
    conversation_id: ConversationId, window: WindowDep, principal: PrincipalDep, context: ContextDep
) -> Response:
    """A page of the notes in the order of their seq, which is that of the notes' own conversation."""
    async with translated(), context.engine.connect() as connection:
        notes_id = await _notes_of(connection, conversation_id, principal)
        last_seq = await readable(connection, notes_id, principal, window)
        messages = await queries.message_page(connection, notes_id, window)
    return Response(encode(MessagePage(messages=messages, last_seq=last_seq)), media_type="application/json")


async def _notes_of(connection: AsyncConnection, conversation_id: str, principal: Principal) -> str:
    """The conversation of the notes. Whether the caller takes part in it is decided there."""
    asker = actor(principal)
    if not (asker.staff or asker.privileged):
        # Said before anything is looked up: the answer is the same whether there are notes or not.
        raise ApiError(ErrorCode.FORBIDDEN, "Only staff has notes.")
    known = await consults.known(connection, conversation_id)
    if known is None:
        raise NotFound
    if known.notes_id is None:
        if not asker.privileged:
            raise NotFound
        raise Conflict("Nobody has had this consult yet: notes begin with the first one who takes it.")
    return known.notes_id
