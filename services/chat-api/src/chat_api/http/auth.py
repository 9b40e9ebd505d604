"""Who asks: bearer tokens on every route, believed unless they were revoked."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from chat_api.access import Access
from chat_api.commands.ports import StoreUnavailable
from chat_api.domain.commands import Actor
from chat_api.http.errors import ApiError, problem_response
from contracts.codes import ErrorCode
from kit import tokens
from kit.tokens import KeyUnknown, Principal, Role


class BearerTokens:
    """ASGI middleware: who has no good token gets 401 before anything else of the request is looked at.

    Whom another issuer vouches for is registered when he is first seen.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _needs_token(scope["path"]):
            try:
                found = self._verify(dict(scope["headers"]).get(b"authorization", b""))
                await self._meet(found)
                scope["natter.principal"] = found
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
            found = self._access.verifier.verify(token.strip())
        except tokens.TokenExpired:
            raise ApiError(ErrorCode.TOKEN_EXPIRED, "The token has expired: get a new one.") from None
        except KeyUnknown:
            raise ApiError(ErrorCode.UNAVAILABLE, "The issuer's keys are being fetched: try again.") from None
        except tokens.TokenError:
            raise ApiError(ErrorCode.UNAUTHENTICATED, "The token is not valid.") from None
        refusal = self._access.revocations.refuses(found)
        if refusal is not None:
            raise ApiError(refusal, _REFUSALS[refusal])
        return found

    async def _meet(self, found: Principal) -> None:
        try:
            await self._access.newcomers.meet(found)
        except StoreUnavailable:
            raise ApiError(ErrorCode.UNAVAILABLE, "The service is not available right now.") from None


_REFUSALS = {
    ErrorCode.TOKEN_REVOKED: "The token's session is over: sign in.",
    ErrorCode.USER_BLOCKED: "This user may not use the service.",
}
_WITHOUT_TOKEN = frozenset({"/v1/auth/token", "/v1/auth/refresh"})


_UNREGISTER = re.compile(r"/v1/devices/[^/]+/unregister\Z")
"""Who logged out without network has no token, but a key."""


def _needs_token(path: str) -> bool:
    if _UNREGISTER.match(path):
        return False
    # The seed's own path, which host applications call; what else begins like it is a page.
    if path.startswith("/chat/"):
        return path.endswith("/send")
    return path.startswith("/v1/") and path not in _WITHOUT_TOKEN


async def principal(request: Request) -> Principal:
    """Who asks, as `BearerTokens` has verified."""
    found: Principal = request.scope["natter.principal"]
    return found


PrincipalDep = Annotated[Principal, Depends(principal)]

AUTH_ERRORS = (
    ErrorCode.UNAUTHENTICATED,
    ErrorCode.TOKEN_EXPIRED,
    ErrorCode.TOKEN_REVOKED,
    ErrorCode.USER_BLOCKED,
)


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
