"""The cursor of lists that are sorted by a time: opaque to clients; within, the time and the id of the last entry."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime

from chat_api.http.errors import ApiError
from contracts.codes import ErrorCode
from contracts.ids import UUID_PATTERN
from contracts.times import rfc3339

LENGTH_MAX = 200


def write(at: datetime, entry_id: str) -> str:
    """The place behind this entry."""
    text = json.dumps([at.isoformat(), entry_id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(cursor: str) -> tuple[datetime, str]:
    """Time and id of the entry; raises `ApiError` for what is none of ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at_text, entry_id = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        at = datetime.fromisoformat(at_text)
        rfc3339(at)
        if not re.match(UUID_PATTERN, entry_id):
            raise ValueError("not an id")
    except (ValueError, TypeError, OverflowError):
        raise ApiError(ErrorCode.VALIDATION_FAILED, "The cursor is not one of ours.") from None
    return at, entry_id
