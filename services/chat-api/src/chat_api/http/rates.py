"""Rate limits of HTTP: counted before a request is looked at, refused with the time after which to come again."""

from __future__ import annotations

import math

from starlette.types import ASGIApp, Receive, Scope, Send

from chat_api.access import Access
from chat_api.http.errors import ApiError, problem_response
from chat_api.limits import operations
from chat_api.limits.operations import Operation
from contracts.codes import ErrorCode
from kit.tokens import Principal

_MESSAGE = "Too many requests: come again in a moment."


class RateLimits:
    """ASGI middleware behind `BearerTokens`: who is known is counted by user, who is not by address."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait_s = self._wait_s(scope) if scope["type"] == "http" else 0.0
        if wait_s:
            headers = {"Retry-After": retry_after(wait_s)}
            answer = problem_response(ErrorCode.RATE_LIMITED, _MESSAGE, scope["natter.request_id"], headers=headers)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _wait_s(self, scope: Scope) -> float:
        operation = operations.of_request(scope["method"], scope["path"])
        if operation in operations.BY_ADDRESS:
            client = scope.get("client")
            return self._access.limiter.take(operation, client[0] if client else "")
        principal: Principal | None = scope.get("natter.principal")
        if principal is None:  # health, metrics, the document
            return 0.0
        return self._access.wait_s(operation, principal.user_id, principal.roles)


def count_password(access: Access, user_id: str) -> None:
    """A password of this user is about to be tried; raises 429 if that was too often."""
    wait_s = access.limiter.take(Operation.PASSWORD, user_id)
    if wait_s:
        raise ApiError(ErrorCode.RATE_LIMITED, _MESSAGE, headers={"Retry-After": retry_after(wait_s)})


def retry_after(wait_s: float) -> str:
    """Whole seconds, so that whoever comes then does not come too early."""
    return str(max(1, math.ceil(wait_s)))
