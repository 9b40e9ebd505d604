"""Users: who I am, and registration by a host application."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from chat_api.commands import handlers
from chat_api.domain.commands import RegisterUser
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep, require_privileged
from chat_api.http.context import ContextDep, IdempotencyKey, once
from chat_api.http.errors import problem_responses
from chat_api.http.schemas import NewUser, UserOut
from chat_api.store import queries
from chat_api.store.database import translated
from contracts.codes import ErrorCode
from contracts.times import now

router = APIRouter(prefix="/users", tags=["users"])


@router.get("/me", response_model=UserOut, response_model_exclude_none=True, responses=problem_responses(*AUTH_ERRORS))
async def me(principal: PrincipalDep, context: ContextDep) -> UserOut:
    """The caller: as registered, or as the token says."""
    async with translated(), context.engine.connect() as connection:
        known = await queries.user(connection, principal.user_id)
    if known is None:
        return UserOut(user_id=principal.user_id, name=principal.name, roles=sorted(principal.roles))
    return UserOut(user_id=known.user_id, name=known.name, roles=list(known.roles))


@router.post(
    "",
    status_code=201,
    response_model=UserOut,
    response_model_exclude_none=True,
    responses={
        200: {"model": UserOut, "description": "This very user was registered before."},
        **problem_responses(
            *AUTH_ERRORS,
            ErrorCode.FORBIDDEN,
            ErrorCode.ALREADY_EXISTS,
            ErrorCode.IDEMPOTENCY_CONFLICT,
            ErrorCode.VALIDATION_FAILED,
            ErrorCode.MALFORMED_JSON,
            ErrorCode.PAYLOAD_TOO_LARGE,
        ),
    },
)
async def register(
    body: NewUser,
    request: Request,
    response: Response,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> UserOut:
    """Make a user known. The same registration again changes nothing; an existing password stays."""
    require_privileged(principal)
    password_hash = await context.passwords.hash(body.password.get_secret_value()) if body.password else None
    roles = tuple(sorted(set(body.roles)))
    created = await handlers.register_user(
        RegisterUser(body.user_id, body.name, roles, now()),
        context.uow,
        actor_id=principal.user_id,
        password_hash=password_hash,
        once=once(principal.user_id, key, request, await request.body()),
        status=201,
    )
    if not created:
        response.status_code = 200
    return UserOut(user_id=body.user_id, name=body.name, roles=list(roles))
