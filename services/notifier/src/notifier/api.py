"""The notifier over HTTP: health, metrics, and the record of pushes for services and administrators."""

from __future__ import annotations

import re
from typing import Annotated, Self

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, model_validator
from starlette.exceptions import HTTPException

from contracts.codec import Contract, Flag, encode
from contracts.codes import ErrorCode
from contracts.ids import UserId, Uuid, new_id
from contracts.problems import PROBLEM_JSON, FieldProblem, problem, problem_headers
from contracts.pushes import PushRecord, PushState
from kit.health import Health
from kit.tokens import TokenError, TokenExpired, verify
from notifier.afterwards.record import AfterwardsRecord
from notifier.errors import NotifierError, StoreUnavailable
from notifier.metrics import Metrics
from notifier.store import Store

PAGE_MAX = 1000
_BIGINT_MAX = 2**63 - 1
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_CODE_OF_STATUS = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}


class PushPage(Contract):
    """One page of pushes; ask again with `after_id=next_after_id` until a page is empty."""

    pushes: list[PushRecord]
    next_after_id: int


class Refused(NotifierError):
    """A request that gets a problem as its answer."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class DeadLetters(Contract):
    """Which dead letters: some by the ids of their deliveries, or every one."""

    ids: Annotated[tuple[int, ...], Field(max_length=PAGE_MAX)] | None = None
    all: Flag = False

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.ids is not None) == self.all:
            raise ValueError("either ids or all: true")
        return self


class Count(Contract):
    """How many it were."""

    count: int


class Acknowledgement(Contract):
    """Whose push it is: a service asks for its users."""

    user_id: UserId


def create_api(*, store: Store, record: AfterwardsRecord, metrics: Metrics, health: Health, jwt_secret: str) -> FastAPI:
    """The application; everything it needs is an argument."""
    api = FastAPI(title="Natter notifier", version="1", docs_url=None, redoc_url=None)

    def staff_only(request: Request) -> None:
        _require_staff(request, jwt_secret)

    # Routes with this say 401 or 403 before they look at anything else of the request.
    guarded = [Depends(staff_only)]

    @api.get("/healthz/live", include_in_schema=False)
    async def live() -> Response:
        status, body = health.live_report()
        return Response(body, status, media_type="application/json")

    @api.get("/healthz/ready", include_in_schema=False)
    async def ready() -> Response:
        status, body = health.report()
        return Response(body, status, media_type="application/json")

    @api.get("/metrics", include_in_schema=False)
    async def show_metrics() -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @api.get("/v1/pushes", dependencies=guarded, response_model=PushPage, response_model_exclude_none=True)
    async def list_pushes(
        after_id: Annotated[int, Query(ge=0, le=_BIGINT_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
        event_id: Annotated[Uuid | None, Query()] = None,
        user_id: Annotated[UserId | None, Query()] = None,
        state: Annotated[PushState | None, Query()] = None,
        provider: Annotated[str | None, Query(max_length=64)] = None,
    ) -> PushPage:
        """What became of every delivery, oldest first, device by device."""
        pushes = await store.pushes(
            after_id=after_id, limit=limit, event_id=event_id, user_id=user_id, state=state, provider=provider
        )
        return PushPage(pushes=pushes, next_after_id=pushes[-1].id if pushes else after_id)

    @api.get("/v1/pushes/dead", dependencies=guarded, response_model=PushPage, response_model_exclude_none=True)
    async def list_dead(
        after_id: Annotated[int, Query(ge=0, le=_BIGINT_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
        user_id: Annotated[UserId | None, Query()] = None,
        provider: Annotated[str | None, Query(max_length=64)] = None,
    ) -> PushPage:
        """What was due and taken by nobody: it waits for somebody to replay or drop it."""
        pushes = await store.pushes(
            after_id=after_id, limit=limit, user_id=user_id, state=PushState.DEAD, provider=provider
        )
        return PushPage(pushes=pushes, next_after_id=pushes[-1].id if pushes else after_id)

    @api.post("/v1/pushes/dead/replay", dependencies=guarded)
    async def replay(which: DeadLetters) -> Count:
        """Make dead letters due again, as if nothing had been tried."""
        return Count(count=await record.replay(which.ids))

    @api.post("/v1/pushes/dead/drop", dependencies=guarded)
    async def drop(which: DeadLetters) -> Count:
        """Give dead letters up for good."""
        return Count(count=await record.drop(which.ids))

    @api.post("/v1/pushes/{push_id}/ack", dependencies=guarded, status_code=204)
    async def acknowledge(push_id: Uuid, whose: Acknowledgement) -> Response:
        """The app has shown it; again: nothing changes."""
        found = await record.acknowledge(push_id, whose.user_id)
        if found is None:
            raise Refused(ErrorCode.NOT_FOUND, "there is no such push of this user")
        provider, news = found
        if news:
            metrics.acknowledged.labels(provider).inc()
        return Response(status_code=204)

    @api.get("/v1/pushes/summary", dependencies=guarded)
    async def summary() -> dict[PushState, int]:
        """How many deliveries stand where."""
        return await store.counts()

    _add_problems(api)
    return api


def _require_staff(request: Request, jwt_secret: str) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused(ErrorCode.UNAUTHENTICATED, "an Authorization header with a Bearer token is needed")
    try:
        principal = verify(jwt_secret, token.strip())
    except TokenExpired as expired:
        raise Refused(ErrorCode.TOKEN_EXPIRED, str(expired)) from None
    except TokenError as invalid:
        raise Refused(ErrorCode.UNAUTHENTICATED, str(invalid)) from None
    if not principal.acts_for_others:
        raise Refused(ErrorCode.FORBIDDEN, "this needs the role service or admin")


# --- problems (RFC 9457) ----------------------------------------------------------------------------------------------


def _add_problems(api: FastAPI) -> None:
    @api.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return _problem(request, error.code, str(error))

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        fields = tuple(
            FieldProblem(field=".".join(map(str, each["loc"])), message=each["msg"]) for each in error.errors()
        )
        return _problem(request, ErrorCode.VALIDATION_FAILED, "Some fields are missing or wrong.", errors=fields)

    @api.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        code = _CODE_OF_STATUS.get(error.status_code, ErrorCode.VALIDATION_FAILED)
        return _problem(request, code, str(error.detail), headers=dict(error.headers or {}))

    @api.exception_handler(StoreUnavailable)
    async def unavailable(request: Request, _error: StoreUnavailable) -> Response:
        return _problem(request, ErrorCode.UNAVAILABLE, "the database cannot answer now")

    @api.exception_handler(Exception)
    async def unexpected(request: Request, _error: Exception) -> Response:
        return _problem(request, ErrorCode.INTERNAL, "this is a bug; the log tells more under the request id")


def _problem(
    request: Request,
    code: ErrorCode,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    errors: tuple[FieldProblem, ...] | None = None,
) -> Response:
    given = request.headers.get("x-request-id", "")
    request_id = given if _REQUEST_ID.match(given) else new_id()
    answer = problem(code, detail, request_id=request_id, errors=errors)
    more = {"X-Request-Id": request_id, **problem_headers(answer.status), **(headers or {})}
    return Response(encode(answer), answer.status, more, PROBLEM_JSON)
