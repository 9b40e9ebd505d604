"""Pushes: the app's word that one arrived, and what admins do with those that nobody took."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field, model_validator

from chat_api.commands import pushes
from chat_api.domain.errors import NotFound
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep
from chat_api.http.context import ContextDep
from chat_api.http.errors import ApiError, problem_responses
from chat_api.http.schemas import Body
from chat_api.push_records import DeadPage, NotifierAway, PushRecords
from contracts.codec import WHOLE_NUMBER_MAX, Contract, Flag, PositiveNumber, encode
from contracts.codes import ErrorCode
from contracts.events import AdminAct
from contracts.ids import UserId, Uuid
from contracts.times import now
from kit.tokens import Principal, Role

router = APIRouter(tags=["pushes"])

PAGE_MAX = 1_000
DeadId = PositiveNumber
_BODY_ERRORS = (ErrorCode.VALIDATION_FAILED, ErrorCode.MALFORMED_JSON, ErrorCode.PAYLOAD_TOO_LARGE)
_AWAY = "The notifier does not answer right now."


class DeadLettersBody(Body):
    """Which dead letters: some by the ids that their list shows, or all of them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": [
                {"required": ["ids"], "properties": {"ids": {"type": "array"}, "all": {"const": False}}},
                {"required": ["all"], "properties": {"ids": {"type": "null"}, "all": {"const": True}}},
            ]
        },
    )

    ids: Annotated[list[DeadId], Field(min_length=1, max_length=PAGE_MAX)] | None = None
    all: Flag = False

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.ids is not None) == self.all:
            raise ValueError("give either ids or all: true")
        return self


class DeadLettersOut(Contract):
    """How many it were."""

    count: int


@router.post(
    "/pushes/{push_id}/ack",
    status_code=204,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED),
)
async def acknowledge(push_id: Uuid, request: Request, principal: PrincipalDep) -> Response:
    """The app has shown this push (`push_id` in its data). Again: nothing changes."""
    try:
        mine = await _records(request).acknowledge(push_id, principal.user_id)
    except NotifierAway:
        raise ApiError(ErrorCode.UNAVAILABLE, _AWAY) from None
    if not mine:
        raise NotFound
    return Response(status_code=204)


@router.get(
    "/admin/pushes/dead",
    tags=["admin"],
    response_model=DeadPage,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.VALIDATION_FAILED),
)
async def list_dead(
    request: Request,
    principal: PrincipalDep,
    after_id: Annotated[int, Query(ge=0, le=WHOLE_NUMBER_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    user_id: UserId | None = None,
    provider: Annotated[str | None, Query(pattern="^[a-z]{1,32}$")] = None,
) -> Response:
    """Deliveries that were due and that no provider took: they wait for somebody to replay or drop them."""
    _require_admin(principal)
    params: dict[str, str | int] = {"after_id": after_id, "limit": limit}
    params |= {name: value for name, value in (("user_id", user_id), ("provider", provider)) if value is not None}
    try:
        page = await _records(request).dead(params)
    except NotifierAway:
        raise ApiError(ErrorCode.UNAVAILABLE, _AWAY) from None
    return Response(encode(page), media_type="application/json")


@router.post(
    "/admin/pushes/dead/replay",
    tags=["admin"],
    response_model=DeadLettersOut,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, *_BODY_ERRORS),
)
async def replay(
    body: DeadLettersBody, request: Request, principal: PrincipalDep, context: ContextDep
) -> DeadLettersOut:
    """Make dead letters due again, as if nothing had been tried."""
    return await _decide("replay", AdminAct.REPLAY_PUSHES, body, request, principal, context)


@router.post(
    "/admin/pushes/dead/drop",
    tags=["admin"],
    response_model=DeadLettersOut,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, *_BODY_ERRORS),
)
async def drop(body: DeadLettersBody, request: Request, principal: PrincipalDep, context: ContextDep) -> DeadLettersOut:
    """Give dead letters up for good."""
    return await _decide("drop", AdminAct.DROP_PUSHES, body, request, principal, context)


async def _decide(
    what: str, act: AdminAct, body: DeadLettersBody, request: Request, principal: Principal, context: ContextDep
) -> DeadLettersOut:
    _require_admin(principal)
    try:
        count = await _records(request).decide(what, body.ids)
    except NotifierAway:
        raise ApiError(ErrorCode.UNAVAILABLE, _AWAY) from None
    # After it: an act that was recorded and not done would be the worse lie.
    which: dict[str, Any] = {"all": True} if body.ids is None else {"ids": body.ids}
    await pushes.record_act(principal.user_id, act, {**which, "count": count}, now(), context.uow)
    return DeadLettersOut(count=count)


def _require_admin(principal: Principal) -> None:
    if Role.ADMIN not in principal.roles:
        raise ApiError(ErrorCode.FORBIDDEN, "Only an admin may do that.")


def _records(request: Request) -> PushRecords:
    records: PushRecords = request.app.state.push_records
    return records
