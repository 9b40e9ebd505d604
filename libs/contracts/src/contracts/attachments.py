"""Files that messages refer to: what everybody may know of one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.codec import Contract
from contracts.ids import Uuid

ATTACHMENT_BYTES_MAX = 25 * 1024 * 1024
"""Largest file by default; `NATTER_ATTACHMENT_BYTES_MAX` changes it."""

OBJECT_STORE = "attachments"
"""The JetStream object store that holds the bytes, one object per attachment id."""

FileName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f/\\\\]+$")]
"""A file's own name, without a path and without control characters."""


class Attachment(Contract):
    """One stored file. `media_type` is what its bytes were found to be, not what the uploader said."""

    id: Uuid
    name: FileName
    media_type: str
    size_bytes: int = Field(ge=0)
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    duration_ms: int | None = Field(default=None, ge=0)
    """Length of a voice note, as its uploader gave it."""
