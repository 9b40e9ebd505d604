"""Local accounts: signing in, refresh tokens, signing out, another password."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from chat_api.commands.accounts import SignedIn
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep
from chat_api.http.context import Context, ContextDep
from chat_api.http.errors import ApiError, problem_responses
from chat_api.http.rates import count_password
from chat_api.http.schemas import LogoutBody, PasswordBody, RefreshBody, TokenRequest, TokenResponse
from chat_api.store import queries
from chat_api.store.database import translated
from contracts.codes import ErrorCode
from contracts.times import now
from kit import tokens

router = APIRouter(prefix="/auth", tags=["auth"])

_BODY_ERRORS = (ErrorCode.VALIDATION_FAILED, ErrorCode.MALFORMED_JSON, ErrorCode.PAYLOAD_TOO_LARGE)
_WRONG = "User or password is wrong."


@router.post(
    "/token",
    response_model=TokenResponse,
    responses=problem_responses(ErrorCode.WRONG_CREDENTIALS, ErrorCode.USER_BLOCKED, *_BODY_ERRORS),
)
async def sign_in(body: TokenRequest, request: Request, response: Response, context: ContextDep) -> TokenResponse:
    """Begin a session of a local account: a short access token, and a refresh token for the next one."""
    count_password(context.access, body.user_id)
    stored = await _checked(context, body.user_id, body.password.get_secret_value())
    signed_in = await context.access.accounts.sign_in(body.user_id, stored, _agent(request), now())
    return _answer(context, signed_in, response)


@router.post(
    "/refresh",
    response_model=TokenResponse,
    responses=problem_responses(*AUTH_ERRORS, *_BODY_ERRORS),
    # 401 is about the refresh token here; no bearer token is needed.
    openapi_extra={"security": []},
)
async def refresh(body: RefreshBody, response: Response, context: ContextDep) -> TokenResponse:
    """The next pair of tokens. The old refresh token is used up: come again with it, and the session ends.

    Who lost the answer may repeat the request within a few seconds, and gets the same refresh token.
    """
    signed_in = await context.access.accounts.refresh(body.refresh_token.get_secret_value(), now())
    return _answer(context, signed_in, response)


@router.post("/logout", status_code=204, responses=problem_responses(*AUTH_ERRORS, *_BODY_ERRORS))
async def sign_out(principal: PrincipalDep, context: ContextDep, body: LogoutBody | None = None) -> Response:
    """End the session of the token that asks, or with `all` every session of its user."""
    everywhere = body is not None and body.all
    if principal.session_id is None and not everywhere:
        message = "This token belongs to no session here: whoever signed it ends it. `all` ends what was issued so far."
        raise ApiError(ErrorCode.VALIDATION_FAILED, message)
    session_id = None if everywhere else principal.session_id
    await context.access.accounts.sign_out(principal.user_id, session_id, now())
    return Response(status_code=204)


@router.put(
    "/password",
    response_model=TokenResponse,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.WRONG_CREDENTIALS, *_BODY_ERRORS),
)
async def change_password(
    body: PasswordBody, request: Request, response: Response, principal: PrincipalDep, context: ContextDep
) -> TokenResponse:
    """Another password. Every other session ends; this one gets a new pair of tokens."""
    count_password(context.access, principal.user_id)
    stored = await _checked(context, principal.user_id, body.old_password.get_secret_value())
    signed_in = await context.access.accounts.change_password(
        principal.user_id,
        principal.session_id,
        old_hash=stored,
        new_hash=await context.passwords.hash(body.new_password.get_secret_value()),
        user_agent=_agent(request),
        now=now(),
    )
    return _answer(context, signed_in, response)


async def _checked(context: Context, user_id: str, password: str) -> str:
    """The stored hash that the password matches; 401 if there is none, after the same time."""
    async with translated(), context.engine.connect() as connection:
        account = await queries.account(connection, user_id)
    stored = account.password_hash if account else None
    if not await context.passwords.matches(stored, password) or stored is None:
        raise ApiError(ErrorCode.WRONG_CREDENTIALS, _WRONG)
    return stored


def _answer(context: Context, signed_in: SignedIn, response: Response) -> TokenResponse:
    response.headers["Cache-Control"] = "no-store"
    ttl_s = context.settings.access_token_ttl_s
    after = signed_in.issued_after
    token = tokens.issue(
        context.settings.jwt_secret.get_secret_value(),
        signed_in.user.user_id,
        signed_in.user.roles,
        ttl_s=ttl_s,
        name=signed_in.user.name,
        session_id=signed_in.session_id,
        after=after.timestamp() if after is not None else 0.0,
    )
    return TokenResponse(
        access_token=token,
        expires_in=ttl_s,
        refresh_token=signed_in.refresh_token,
        refresh_expires_in=max(0, int((signed_in.refresh_expires_at - now()).total_seconds())),
    )


def _agent(request: Request) -> str | None:
    # Postgres' text holds no NUL; HTTP's headers hold none either.
    return request.headers.get("user-agent")
