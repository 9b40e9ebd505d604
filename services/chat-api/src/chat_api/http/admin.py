"""For admins: live figures, who is connected where, closing a user's sockets, and broadcasts."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chat_api.commands import notices
from chat_api.domain.errors import NotFound
from chat_api.domain.notices import Broadcast, DisconnectUser
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep, actor, require_privileged
from chat_api.http.context import Context, ContextDep, IdempotencyKey, once
from chat_api.http.errors import ApiError, problem_responses
from chat_api.http.schemas import Body
from chat_api.presence.book import PresenceBook, Unheard
from chat_api.store import broadcasts
from chat_api.store.broadcasts import StoredBroadcast
from chat_api.store.database import translated
from contracts.codec import encode
from contracts.codes import ErrorCode
from contracts.devices import DeviceType
from contracts.ids import UserId, Uuid, new_id
from contracts.notices import NotificationDraft
from contracts.presence import AdminConnection
from contracts.stats import AdminStats
from contracts.times import Instant, now
from kit.logs import Stage, logger
from kit.tokens import Principal, Role

log = logger()

router = APIRouter(prefix="/admin", tags=["admin"])

CONNECTIONS_PAGE_MAX = 1000
BROADCASTS_PAGE_MAX = 100

_BODY_ERRORS = (
    ErrorCode.IDEMPOTENCY_CONFLICT,
    ErrorCode.VALIDATION_FAILED,
    ErrorCode.MALFORMED_JSON,
    ErrorCode.PAYLOAD_TOO_LARGE,
)


class ConnectionPage(BaseModel):
    """One page of sockets, in the order of their ids; `count` is of all that the filters let through."""

    count: int
    connections: list[AdminConnection]
    next_cursor: str | None = None


class DisconnectBody(Body):
    """Which of the user's sockets: those that match everything that is given; all, if nothing is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"device_type": "desktop"}]})

    connection_id: Uuid | None = None
    device_type: DeviceType | None = None


class DisconnectOut(BaseModel):
    """The edges were told. `connections` is how many matching sockets were known at that moment, None if unknown."""

    user_id: UserId
    connections: int | None = None


class BroadcastBody(NotificationDraft):
    """Something to say to everybody, or to everybody with one of `roles`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "title": "New opening hours",
                    "content": "From Monday on we open at eight.",
                    "type": "announcement",
                    "roles": ["customer"],
                }
            ],
        },
    )

    roles: Annotated[list[Role], Field(max_length=len(Role))] = Field(
        default_factory=list, description="Users with at least one of these; empty: everybody."
    )


class BroadcastAccepted(BaseModel):
    """It will be said to so many users, one by one."""

    broadcast_id: Uuid
    recipients: int


class BroadcastOut(BaseModel):
    """A broadcast, and how far it is; done when `done_at` is set."""

    broadcast_id: Uuid
    title: str
    content: str
    type: str
    is_important: bool
    roles: list[str]
    created_by: str
    created_at: Instant
    recipients: int
    sent: int
    done_at: Instant | None = None


class BroadcastPage(BaseModel):
    """Broadcasts, newest first; for older ones give the last one's id as `before`."""

    broadcasts: list[BroadcastOut]


def _require_admin(principal: Principal) -> None:
    if Role.ADMIN not in principal.roles:
        raise ApiError(ErrorCode.FORBIDDEN, "Only an admin may do that.")


@router.get("/stats", response_model=AdminStats, responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN))
async def stats(principal: PrincipalDep, context: ContextDep) -> Response:
    """Live figures of all processes, at most a second old."""
    _require_admin(principal)
    try:
        page = await context.stats.now()
    except Unheard:
        raise ApiError(ErrorCode.UNAVAILABLE, "NATS does not answer, so there are no figures right now.") from None
    return Response(encode(page), media_type="application/json")


@router.get(
    "/connections",
    response_model=ConnectionPage,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.VALIDATION_FAILED),
)
async def connections(
    principal: PrincipalDep,
    context: ContextDep,
    user_id: UserId | None = None,
    edge_id: Annotated[str | None, Query(max_length=64)] = None,
    device_type: DeviceType | None = None,
    role: Role | None = None,
    cursor: Annotated[Uuid | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=CONNECTIONS_PAGE_MAX)] = 100,
) -> Response:
    """Every open socket that all the given filters let through."""
    _require_admin(principal)
    if not context.presence.hearing:
        raise ApiError(ErrorCode.UNAVAILABLE, "Who is connected cannot be told right now.")
    passing = [
        one
        for one in _sockets(context.presence, user_id)
        if edge_id in (None, one.edge_id)
        and device_type in (None, one.device_type)
        and (role is None or role in one.roles)
    ]
    behind = (one for one in passing if cursor is None or one.connection_id > cursor)
    found = heapq.nsmallest(limit + 1, behind, key=lambda one: one.connection_id)
    page = ConnectionPage(
        count=len(passing),
        connections=found[:limit],
        next_cursor=found[limit - 1].connection_id if len(found) > limit else None,
    )
    return Response(encode(page), media_type="application/json")


def _sockets(book: PresenceBook, user_id: str | None) -> Iterable[AdminConnection]:
    if user_id is None:
        return book.all()
    return (AdminConnection.model_construct(user_id=user_id, **dict(one)) for one in book.connections(user_id))


@router.post(
    "/users/{user_id}/disconnect",
    status_code=202,
    response_model=DisconnectOut,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, *_BODY_ERRORS),
)
async def disconnect(
    user_id: UserId,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    body: DisconnectBody | None = None,
    key: IdempotencyKey = None,
) -> DisconnectOut:
    """Close a user's sockets, on whichever edge they are. The user may come back: to keep somebody out, block them."""
    _require_admin(principal)
    body = body or DisconnectBody()
    command = DisconnectUser(actor(principal), user_id, body.connection_id, body.device_type, now())
    known = _matching(context, command)
    new = await notices.disconnect_user(
        command, context.uow, once(principal.user_id, key, request, await request.body()), 202
    )
    if new:
        await context.control.disconnect(command)
        log.info("an admin disconnects a user", stage=Stage.PRESENCE, user_id=user_id, admin_id=principal.user_id)
    return DisconnectOut(user_id=user_id, connections=known)


def _matching(context: Context, command: DisconnectUser) -> int | None:
    if not context.presence.hearing:
        return None
    return sum(
        command.connection_id in (None, one.connection_id) and command.device_type in (None, one.device_type)
        for one in context.presence.connections(command.user_id)
    )


@router.post(
    "/broadcasts",
    status_code=202,
    response_model=BroadcastAccepted,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, *_BODY_ERRORS),
)
async def broadcast(
    body: BroadcastBody,
    request: Request,
    principal: PrincipalDep,
    context: ContextDep,
    key: IdempotencyKey = None,
) -> BroadcastAccepted:
    """Say something to all who are registered now, or to those with some roles. Accepted at once, told one by one:
    each gets a notification of his own. For a service or an admin."""
    require_privileged(principal)
    draft = NotificationDraft.model_construct(**body.model_dump(exclude={"roles"}))
    roles = tuple(sorted({role.value for role in body.roles}))
    broadcast_id, recipients = await notices.broadcast(
        Broadcast(new_id(), actor(principal), draft, roles, now()),
        context.uow,
        once(principal.user_id, key, request, await request.body()),
        202,
    )
    context.broadcaster.wake()
    log.info("broadcast accepted", stage=Stage.BROADCAST, broadcast_id=broadcast_id, recipients=recipients)
    return BroadcastAccepted(broadcast_id=broadcast_id, recipients=recipients)


@router.get(
    "/broadcasts",
    response_model=BroadcastPage,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.VALIDATION_FAILED),
)
async def list_broadcasts(
    principal: PrincipalDep,
    context: ContextDep,
    before: Annotated[Uuid | None, Query(description="The id of the last one of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=BROADCASTS_PAGE_MAX)] = 20,
) -> BroadcastPage:
    """Broadcasts, newest first. For a service or an admin."""
    require_privileged(principal)
    async with translated(), context.engine.connect() as connection:
        found = await broadcasts.newest(connection, before=before, limit=limit)
    return BroadcastPage(broadcasts=[_out(one) for one in found])


@router.get(
    "/broadcasts/{broadcast_id}",
    response_model=BroadcastOut,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED),
)
async def one_broadcast(broadcast_id: Uuid, principal: PrincipalDep, context: ContextDep) -> BroadcastOut:
    """A broadcast, and how far it is. For a service or an admin."""
    require_privileged(principal)
    async with translated(), context.engine.connect() as connection:
        found = await broadcasts.one(connection, broadcast_id)
    if found is None:
        raise NotFound
    return _out(found)


def _out(found: StoredBroadcast) -> BroadcastOut:
    return BroadcastOut(
        broadcast_id=found.broadcast_id,
        title=found.draft.title,
        content=found.draft.content,
        type=found.draft.type,
        is_important=found.draft.is_important,
        roles=list(found.roles),
        created_by=found.created_by,
        created_at=found.created_at,
        recipients=found.recipients,
        sent=found.sent,
        done_at=found.done_at,
    )
