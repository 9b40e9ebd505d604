"""The cursor of `GET /v1/sync`: opaque to clients, which keep it and give it back.

Within: a version, the user it was made for, when, and a place in the record; in a snapshot also a place in the list of
conversations, in an increment the place of its first ancestor. Nothing in it is a right: it is not signed, and whoever
changes it harms only what he is told himself.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TypeAlias
from zlib import crc32

from chat_api.http.errors import ApiError
from contracts.codes import ErrorCode
from contracts.ids import UUID_PATTERN

LENGTH_MAX = 200
_VERSION = "1"
_NUMBER = r"(\d{1,18})"
_ID = UUID_PATTERN.strip(r"^\Z")
_HEAD = rf"([0-9a-f]{{8}})\.{_NUMBER}"
_SNAPSHOT = re.compile(rf"{_VERSION}s\.{_HEAD}\.{_NUMBER}\.{_NUMBER}\.({_ID})", re.ASCII)
_INCREMENT = re.compile(rf"{_VERSION}i\.{_HEAD}\.{_NUMBER}\.{_NUMBER}(?:\.{_NUMBER}\.{_NUMBER})?", re.ASCII)
_OTHER_VERSION = re.compile(rf"(?!{_VERSION}[a-z])\d{{1,4}}[a-z]\.[\x20-\x7e]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class SnapshotCursor:
    """The next page of a snapshot. `fence` and `user_seq` are those of its first page."""

    user: str
    issued: int
    fence: int
    user_seq: int
    after: str


@dataclass(frozen=True, slots=True)
class IncrementCursor:
    """What happened after this place in the record."""

    user: str
    issued: int
    txid: int
    position: int
    since: tuple[int, int] | None = None
    """Where its first ancestor stood. Who comes with this cursor has had every page from there to here; None: it is the
    first, and stands for no page."""


Cursor: TypeAlias = SnapshotCursor | IncrementCursor


def user_mark(user_id: str) -> str:
    """What a cursor says about its user: enough to tell two users apart."""
    return f"{crc32(user_id.encode()):08x}"


def write(cursor: Cursor) -> str:
    """The cursor as a client gets it; times are Unix seconds."""
    if isinstance(cursor, SnapshotCursor):
        kind, place = "s", f"{cursor.fence}.{cursor.user_seq}.{cursor.after}"
    else:
        kind, place = "i", ".".join(map(str, (cursor.txid, cursor.position, *(cursor.since or ()))))
    return _encoded(f"{_VERSION}{kind}.{cursor.user}.{cursor.issued}.{place}")


def read(cursor: str) -> Cursor | None:
    """The cursor, or None for one that another release has made; raises `ApiError` for what is none of ours."""
    text = _decoded(cursor)
    if found := _INCREMENT.fullmatch(text):
        user, issued, txid, position, *since = found.groups()
        known = None if since[0] is None else (int(since[0]), int(since[1]))
        return IncrementCursor(user, int(issued), int(txid), int(position), known)
    if found := _SNAPSHOT.fullmatch(text):
        user, issued, fence, user_seq, after = found.groups()
        return SnapshotCursor(user, int(issued), int(fence), int(user_seq), after)
    if _OTHER_VERSION.fullmatch(text):
        return None
    raise _not_ours()


def usable(cursor: Cursor, *, user_id: str, now_s: float, age_max_s: int, next_txid: int) -> bool:
    """Whether increments after this cursor are complete: it is this user's, young enough, and of this database."""
    place = cursor.fence if isinstance(cursor, SnapshotCursor) else cursor.txid
    # A place that this database has not reached comes from one that it was restored from.
    return cursor.user == user_mark(user_id) and now_s - cursor.issued <= age_max_s and place <= next_txid


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    try:
        text = base64.urlsafe_b64decode((cursor + "=" * (-len(cursor) % 4)).encode("ascii")).decode("ascii")
    except ValueError:
        raise _not_ours() from None
    # The decoder passes over characters that it does not know.
    if _encoded(text) != cursor:
        raise _not_ours()
    return text


def _not_ours() -> ApiError:
    return ApiError(ErrorCode.VALIDATION_FAILED, "The cursor is not one of ours.")
