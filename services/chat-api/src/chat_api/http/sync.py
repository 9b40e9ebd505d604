"""Catching up: where all the caller's conversations stand, or everything that happened since a cursor."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.http import sync_cursor
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep
from chat_api.http.context import ContextDep
from chat_api.http.conversations import conversation_out
from chat_api.http.errors import problem_responses
from chat_api.http.schemas import SyncOut, public_event
from chat_api.http.sync_cursor import IncrementCursor, SnapshotCursor, user_mark
from chat_api.store import sync
from chat_api.store.database import translated
from chat_api.sync_notes import Told
from contracts.codec import encode
from contracts.codes import ErrorCode

router = APIRouter(tags=["sync"])

LIMIT_DEFAULT = 200
SNAPSHOT_MAX = 500
"""Most conversations of one page. Who asks for more gets these: a cursor may turn into a snapshot unasked."""
INCREMENT_MAX = 1000
"""Most events of one page."""


@router.get("/sync", response_model=SyncOut, responses=problem_responses(*AUTH_ERRORS, ErrorCode.VALIDATION_FAILED))
async def catch_up(
    principal: PrincipalDep,
    context: ContextDep,
    cursor: Annotated[
        str | None,
        Query(max_length=sync_cursor.LENGTH_MAX, description="`next_cursor` of the page before, also of long ago."),
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=INCREMENT_MAX, description=f"Events, or conversations (then at most {SNAPSHOT_MAX}).")
    ] = LIMIT_DEFAULT,
) -> Response:
    """Without a cursor a snapshot, with one what has happened since; in pages. Nothing is skipped and nothing is out of
    order; around the moment of a snapshot something may come twice, and is known by stream and seq.

    Whoever comes with a cursor has had the pages before it: what they told of needs no push any more."""
    user_id = principal.user_id
    place = None if cursor is None else sync_cursor.read(cursor)
    async with translated(), sync.snapshot(context.engine) as connection:
        stand = await sync.stand(connection, user_id)
        now_s = int(time.time())
        reset = cursor is not None and not (
            place is not None
            and sync_cursor.usable(
                place,
                user_id=user_id,
                now_s=now_s,
                age_max_s=context.settings.sync_cursor_age_max_s,
                next_txid=stand.next_txid,
            )
        )
        if isinstance(place, IncrementCursor) and not reset:
            if place.since is not None:
                # Only now: a page that was sent may have reached nobody.
                context.sync_notes.note(user_id, Told(place.since, (place.txid, place.position)))
            page = await _increment(connection, user_id, place, stand.fence, limit)
        else:
            if not isinstance(place, SnapshotCursor) or reset:
                place = SnapshotCursor(user_mark(user_id), now_s, stand.fence, stand.user_seq, sync.FIRST_ID)
            page = await _snapshot(connection, user_id, place, min(limit, SNAPSHOT_MAX))
            page.reset = reset
    return Response(encode(page), media_type="application/json")


async def _snapshot(connection: AsyncConnection, user_id: str, place: SnapshotCursor, limit: int) -> SyncOut:
    """What changes between the pages lies behind the first page's fence, and comes again as an increment."""
    found = await sync.conversations(connection, user_id, after=place.after, limit=limit + 1)
    page, more = found[:limit], len(found) > limit
    following: sync_cursor.Cursor
    if more:
        following = SnapshotCursor(place.user, place.issued, place.fence, place.user_seq, page[-1].conversation_id)
    else:
        following = IncrementCursor(place.user, place.issued, place.fence, 0)
    return SyncOut(
        conversations=[conversation_out(summary) for summary in page],
        user_seq=place.user_seq,
        next_cursor=sync_cursor.write(following),
        has_more=more,
    )


async def _increment(
    connection: AsyncConnection, user_id: str, place: IncrementCursor, fence: int, limit: int
) -> SyncOut:
    found = await sync.events(connection, user_id, txid=place.txid, position=place.position, limit=limit + 1)
    page, more = found[:limit], len(found) > limit
    # A transaction that is still running may yet add events at the fence, never below it.
    txid, position = (page[-1].txid or 0, page[-1].position) if more else (fence, 0)
    since = place.since or (place.txid, place.position)
    return SyncOut(
        events=[public_event(event) for event in page],
        next_cursor=sync_cursor.write(IncrementCursor(place.user, int(time.time()), txid, position, since)),
        has_more=more,
    )
