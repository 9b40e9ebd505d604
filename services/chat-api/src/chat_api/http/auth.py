"""Who asks: bearer tokens on every route, and tokens for local accounts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from chat_api.domain.commands import Actor
from chat_api.http.context import ContextDep
from chat_api.http.errors import ApiError, problem_response, problem_responses
from chat_api.http.schemas import TokenRequest, TokenResponse
from chat_api.store import queries
from chat_api.store.database import translated
from contracts.codes import ErrorCode
from kit import tokens
from kit.tokens import Principal, Role


class BearerTokens:
    """ASGI middleware: who has no good token gets 401 before anything else of the request is looked at."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app = app
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _needs_token(scope["path"]):
            try:
                scope["natter.principal"] = self._verify(dict(scope["headers"]).get(b"authorization", b""))
            except ApiError as refused:
                answer = problem_response(refused.code, refused.message, scope["natter.request_id"])
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _verify(self, header: bytes) -> Principal:
        scheme, _, token = header.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ApiError(ErrorCode.UNAUTHENTICATED, "Send a token: Authorization: Bearer <JWT>.")
        try:
            return tokens.verify(self._secret, token.strip())
        except tokens.TokenExpired:
            raise ApiError(ErrorCode.TOKEN_EXPIRED, "The token has expired: get a new one.") from None
        except tokens.TokenError:
            raise ApiError(ErrorCode.UNAUTHENTICATED, "The token is not valid.") from None


def _needs_token(path: str) -> bool:
    return path.startswith(("/v1/", "/chat/")) and path != "/v1/auth/token"


async def principal(request: Request) -> Principal:
    """Who asks, as `BearerTokens` has verified."""
    found: Principal = request.scope["natter.principal"]
    return found


PrincipalDep = Annotated[Principal, Depends(principal)]

AUTH_ERRORS = (ErrorCode.UNAUTHENTICATED, ErrorCode.TOKEN_EXPIRED)


def actor(principal: Principal) -> Actor:
    """The principal as the domain sees it."""
    return Actor(
        user_id=principal.user_id,
        privileged=principal.acts_for_others,
        staff=bool(principal.roles & {Role.CONSULTANT, Role.DOCTOR}),
    )


def require_privileged(principal: Principal) -> None:
    """403 unless the principal is a host application or an admin."""
    if not principal.acts_for_others:
        raise ApiError(ErrorCode.FORBIDDEN, "Only a service or an admin may do that.")


router = APIRouter(prefix="/auth", tags=["auth"])


@router.post(
    "/token",
    response_model=TokenResponse,
    responses=problem_responses(
        ErrorCode.WRONG_CREDENTIALS, ErrorCode.VALIDATION_FAILED, ErrorCode.MALFORMED_JSON, ErrorCode.PAYLOAD_TOO_LARGE
    ),
)
async def issue_token(body: TokenRequest, context: ContextDep) -> TokenResponse:
    """An access token for a local account."""
    async with translated(), context.engine.connect() as connection:
        account = await queries.account(connection, body.user_id)
    stored = account.password_hash if account else None
    if not await context.passwords.matches(stored, body.password.get_secret_value()) or account is None:
        raise ApiError(ErrorCode.WRONG_CREDENTIALS, "User or password is wrong.")
    ttl_s = context.settings.access_token_ttl_s
    token = tokens.issue(
        context.settings.jwt_secret.get_secret_value(),
        account.user.user_id,
        account.user.roles,
        ttl_s=ttl_s,
        name=account.user.name,
    )
    return TokenResponse(access_token=token, expires_in=ttl_s)
