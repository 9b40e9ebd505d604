"""Identifiers: how they look, and how new ones are made."""

from __future__ import annotations

from typing import Annotated

import uuid_utils
from pydantic import StringConstraints

USER_ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}\Z"
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z"

CLIENT_MSG_ID_PATTERN = r"^[A-Za-z0-9._:-]{1,64}\Z"

# pydantic's regex engine has no \Z, and its $ matches only at the very end, unlike Python's.
UserId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""A user of the host application; becomes a NATS subject token, so anything else is refused, never escaped."""

Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
"""A UUID in canonical lower case; ours are version 7, so they sort by the time they were made."""

ClientMsgId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
"""The sender's own name for a message: the key of idempotent sending, for ever. A UUIDv7 is recommended."""


def new_id() -> str:
    """A new UUIDv7 in canonical form: unique, and sortable by creation time to the millisecond."""
    return str(uuid_utils.uuid7())
