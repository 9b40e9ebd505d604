"""Files on their way in: a row first, then the bytes, then what they were found to be."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.blobs.base import Blobs
from chat_api.commands.attachments import finish_upload
from chat_api.commands.ports import Once, UnitOfWork
from chat_api.domain.errors import LimitReached
from chat_api.settings import ChatApiSettings
from chat_api.store import attachments
from chat_api.store.database import DatabaseUnavailable, translated
from contracts.attachments import Attachment
from contracts.ids import new_id
from contracts.times import now
from kit.logs import Stage, logger

log = logger()


class TooManyUploads(Exception):
    """This process takes as many uploads as it may: the same one may be taken in a moment."""


class Incoming(Protocol):
    """A file that somebody is sending."""

    def file(self) -> AsyncIterator[bytes]:
        """Its bytes."""

    async def described(self, attachment_id: str) -> Attachment:
        """What they were, once all have been read."""


class Files:
    """Takes files in; how many at a time is limited, because each holds some hundred kilobytes of memory."""

    def __init__(self, settings: ChatApiSettings, engine: AsyncEngine, uow: UnitOfWork, blobs: Blobs) -> None:
        self._settings = settings
        self._engine = engine
        self._uow = uow
        self._free = settings.attachment_uploads_max
        self.blobs = blobs

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """A place among those who may upload now; raises `TooManyUploads`."""
        if self._free == 0:
            raise TooManyUploads
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def take(
        self, incoming: Incoming, owner_id: str, once_of: Callable[[Attachment], Once | None]
    ) -> tuple[Attachment, bool]:
        """Store a file; returns what it is, and whether it is new (and not the repeat of an earlier request).

        Killed at any moment, this leaves a row, and by it the sweeper finds what there is of the bytes. Raises
        `LimitReached`, `IdempotencyConflict`, `BlobError`, and whatever reading the file raises.
        """
        attachment_id = new_id()
        async with translated(), self._engine.begin() as connection:
            if not await attachments.begin(
                connection, attachment_id, owner_id, now(), self._settings.attachment_unused_max
            ):
                raise LimitReached(
                    f"{self._settings.attachment_unused_max} of your files are carried by no message: send them first."
                )
        try:
            await self.blobs.put(attachment_id, incoming.file())
            described = await incoming.described(attachment_id)
            kept = await finish_upload(described, now(), self._uow, once_of(described))
        except BaseException:
            await self._forget(attachment_id)
            raise
        if kept.id != attachment_id:
            await self._forget(attachment_id)
        log.debug("file stored", stage=Stage.BROADCAST, attachment_id=kept.id, size_bytes=kept.size_bytes)
        return kept, kept.id == attachment_id

    async def _forget(self, attachment_id: str) -> None:
        # If Postgres is away, too, the row is found when it is old enough.
        with contextlib.suppress(DatabaseUnavailable):
            async with translated(), self._engine.begin() as connection:
                await attachments.forget(connection, attachment_id)
