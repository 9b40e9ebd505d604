"""What the rest of the service needs of a store of bytes.

BlobError
├── BlobMissing       there is nothing under this id, or not all of it
└── BlobsUnavailable  the store is away, or full: the same request may succeed later
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class BlobError(Exception):
    """The store could not do it."""


class BlobMissing(BlobError):
    """The bytes are not there."""


class BlobsUnavailable(BlobError):
    """The store does not answer, or takes no more."""


class Blobs(Protocol):
    """Bytes by id. Nothing is ever held whole in memory; every wait has a limit."""

    async def put(self, blob_id: str, chunks: AsyncIterator[bytes]) -> int:
        """Store what `chunks` yields, until it ends; returns the size in bytes.

        Whatever `chunks` raises comes through, and nothing stays behind then. An id is used once.
        """

    def get(self, blob_id: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `end`; raises `BlobMissing` before the first of them."""

    async def delete(self, blob_id: str) -> None:
        """Delete all there is under the id, whole or half; nothing is no error."""
