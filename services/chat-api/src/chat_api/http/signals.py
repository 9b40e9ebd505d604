"""Live signals over HTTP: for clients without a socket, and for a host application."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import Field

from chat_api.http.auth import AUTH_ERRORS, PrincipalDep, require_privileged
from chat_api.http.context import ContextDep
from chat_api.http.conversations import ConversationId
from chat_api.http.errors import problem_responses
from chat_api.http.schemas import Body
from contracts.codec import Flag
from contracts.codes import ErrorCode
from contracts.ids import UserId

router = APIRouter(prefix="/conversations", tags=["conversations"])


class TypingBody(Body):
    """Whether somebody types now. `user_id` is for a service, which speaks for its users."""

    is_typing: Flag
    user_id: UserId | None = Field(default=None, description="Service and admin only.")


@router.post(
    "/{conversation_id}/typing",
    status_code=204,
    responses=problem_responses(
        *AUTH_ERRORS,
        ErrorCode.FORBIDDEN,
        ErrorCode.NOT_FOUND,
        ErrorCode.VALIDATION_FAILED,
        ErrorCode.MALFORMED_JSON,
        ErrorCode.PAYLOAD_TOO_LARGE,
    ),
)
async def typing(
    conversation_id: ConversationId, body: TypingBody, principal: PrincipalDep, context: ContextDep
) -> Response:
    """Tell the others that somebody types. Nothing is stored; without renewal it ends by itself after 6 s."""
    if body.user_id not in (None, principal.user_id):
        require_privileged(principal)
    await context.signals.typing(conversation_id, body.user_id or principal.user_id, body.is_typing)
    return Response(status_code=204)
