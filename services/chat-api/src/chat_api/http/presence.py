"""Who is there: one user, several, and all who are online."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from chat_api.domain.errors import NotFound
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep, require_privileged
from chat_api.http.context import Context, ContextDep
from chat_api.http.errors import ApiError, problem_responses
from chat_api.http.schemas import Body
from chat_api.presence.book import PresenceBook
from chat_api.presence.visibility import visible
from contracts.codes import ErrorCode
from contracts.frames import PRESENCE_USERS_MAX
from contracts.ids import UserId
from contracts.presence import UserConnection, UserPresence
from kit.tokens import Role

router = APIRouter(tags=["presence"])

ONLINE_PAGE_MAX = 1000


class PresenceQuery(Body):
    """Whose presence is asked for."""

    user_ids: Annotated[list[UserId], Field(max_length=PRESENCE_USERS_MAX)]


class PresenceList(BaseModel):
    """The states of those whom the caller may see, in the order in which they were asked for."""

    users: list[UserPresence]


class ConnectionList(BaseModel):
    """A user's sockets on all edges, oldest first."""

    connections: list[UserConnection]


class OnlinePage(BaseModel):
    """One page of those who are online, in the order of their ids; `count` is of all of them."""

    count: int
    users: list[UserPresence]
    next_cursor: str | None = None


@router.get(
    "/users/{user_id}/connections",
    response_model=ConnectionList,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.VALIDATION_FAILED),
)
async def connections(user_id: UserId, principal: PrincipalDep, context: ContextDep) -> ConnectionList:
    """The user's sockets: which device, on which edge, since when. For the user, a service, an admin."""
    if user_id != principal.user_id:
        require_privileged(principal)
    return ConnectionList(connections=list(_heard(context).connections(user_id)))


@router.get(
    "/users/{user_id}/presence",
    response_model=UserPresence,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED),
)
async def of_one(user_id: UserId, principal: PrincipalDep, context: ContextDep) -> UserPresence:
    """Whether the user is online now, and with which devices. 404 for whom the caller may not see."""
    if not await visible(context.engine, principal.user_id, principal.roles, [user_id]):
        raise NotFound
    return _heard(context).state(user_id)


@router.post(
    "/presence/query",
    response_model=PresenceList,
    response_model_exclude_none=True,
    responses=problem_responses(
        *AUTH_ERRORS, ErrorCode.VALIDATION_FAILED, ErrorCode.MALFORMED_JSON, ErrorCode.PAYLOAD_TOO_LARGE
    ),
)
async def query(body: PresenceQuery, principal: PrincipalDep, context: ContextDep) -> PresenceList:
    """The states of up to 200 users at once. Whom the caller may not see is left out."""
    seen = await visible(context.engine, principal.user_id, principal.roles, body.user_ids)
    book = _heard(context)
    return PresenceList(users=[book.state(user_id) for user_id in seen])


@router.get(
    "/presence/online",
    response_model=OnlinePage,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.VALIDATION_FAILED),
)
async def online(
    principal: PrincipalDep,
    context: ContextDep,
    cursor: Annotated[UserId | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=ONLINE_PAGE_MAX)] = 100,
    role: Annotated[Role | None, Query(description="Only users with a socket of this role.")] = None,
) -> OnlinePage:
    """Everybody who is online, listed and counted. For a service or an admin."""
    require_privileged(principal)
    book = _heard(context)
    found = book.online(after=cursor or "", limit=limit + 1, role=role)
    return OnlinePage(
        count=book.online_count if role is None else book.count(role),
        users=list(found[:limit]),
        next_cursor=found[limit - 1].user_id if len(found) > limit else None,
    )


def _heard(context: Context) -> PresenceBook:
    """The book, if what it says is true now: better no answer than a stale one."""
    if not context.presence.hearing:
        raise ApiError(ErrorCode.UNAVAILABLE, "Who is online cannot be told right now.")
    return context.presence
