"""What an admin may do with a user's access: block, unblock, end every session."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from chat_api.http.auth import AUTH_ERRORS, PrincipalDep, require_privileged
from chat_api.http.context import ContextDep, IdempotencyKey, once
from chat_api.http.errors import problem_responses
from contracts.codes import ErrorCode
from contracts.ids import UserId
from contracts.times import now

router = APIRouter(prefix="/admin/users", tags=["admin"])

_ERRORS = problem_responses(
    *AUTH_ERRORS,
    ErrorCode.FORBIDDEN,
    ErrorCode.NOT_FOUND,
    ErrorCode.IDEMPOTENCY_CONFLICT,
    ErrorCode.VALIDATION_FAILED,
)
Target = Annotated[UserId, Path(description="The user whom it is about.")]


@router.post("/{user_id}/block", status_code=204, responses=_ERRORS)
async def block(
    user_id: Target, request: Request, principal: PrincipalDep, context: ContextDep, key: IdempotencyKey = None
) -> Response:
    """The user may not use the service any more: every token is refused, every socket closed within a second."""
    require_privileged(principal)
    claim = once(principal.user_id, key, request, b"")
    await context.access.accounts.block(user_id, principal.user_id, now(), claim)
    return Response(status_code=204)


@router.post("/{user_id}/unblock", status_code=204, responses=_ERRORS)
async def unblock(
    user_id: Target, request: Request, principal: PrincipalDep, context: ContextDep, key: IdempotencyKey = None
) -> Response:
    """The user may sign in again; what was issued before stays refused."""
    require_privileged(principal)
    claim = once(principal.user_id, key, request, b"")
    await context.access.accounts.unblock(user_id, principal.user_id, now(), claim)
    return Response(status_code=204)


@router.post("/{user_id}/revoke-sessions", status_code=204, responses=_ERRORS)
async def revoke_sessions(
    user_id: Target, request: Request, principal: PrincipalDep, context: ContextDep, key: IdempotencyKey = None
) -> Response:
    """Every token of the user that was issued so far is refused, also a host application's; who signs in anew is in."""
    require_privileged(principal)
    claim = once(principal.user_id, key, request, b"")
    await context.access.accounts.revoke_sessions(user_id, principal.user_id, now(), claim)
    return Response(status_code=204)
