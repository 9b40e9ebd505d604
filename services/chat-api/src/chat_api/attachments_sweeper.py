"""Deletes the bytes of files that nobody gets any more: of messages taken back, of uploads that came to nothing.

Any number of processes may do this at once: deleting what is gone is no error. A row goes only after its bytes, so
whatever breaks in between is done again in the next round, for ever.
"""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import metrics
from chat_api.blobs.base import BlobError, Blobs
from chat_api.settings import ChatApiSettings
from chat_api.store import attachments
from chat_api.store.database import DatabaseUnavailable, translated
from kit.logs import Stage, logger

log = logger()

BATCH = 100


class AttachmentsSweeper:
    """Looks every `attachment_sweep_s` seconds, until cancelled."""

    def __init__(self, settings: ChatApiSettings, engine: AsyncEngine, blobs: Blobs) -> None:
        self._settings = settings
        self._engine = engine
        self._blobs = blobs

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            try:
                await self.sweep()
            except DatabaseUnavailable as away:
                log.warning("files are not swept", stage=Stage.LIFECYCLE, error=str(away))
            await asyncio.sleep(self._settings.attachment_sweep_s)

    async def sweep(self) -> int:
        """One round over everything there is; returns how many files are gone for good."""
        await self._abandon()
        swept, last = 0, None
        while True:
            async with translated(), self._engine.connect() as connection:
                ids = await attachments.deleted(connection, last, BATCH)
            if not ids:
                return swept
            # No transaction is open meanwhile: one that waits for the store would hold up the relay.
            gone = [one for one in ids if await self._delete(one)]
            async with translated(), self._engine.begin() as connection:
                await attachments.gone(connection, gone)
            swept += len(gone)
            metrics.attachments_swept.inc(len(gone))
            last = ids[-1]
            if not gone:
                # The store is away; the next round begins again from the first.
                return swept

    async def _abandon(self) -> None:
        found = BATCH
        while found == BATCH:
            async with translated(), self._engine.begin() as connection:
                found = await attachments.abandon_unused(connection, self._settings.attachment_unused_ttl_s, BATCH)
            if found:
                log.info("uploads that nobody has sent are given up", stage=Stage.LIFECYCLE, count=found)

    async def _delete(self, attachment_id: str) -> bool:
        try:
            await self._blobs.delete(attachment_id)
        except BlobError as failed:
            log.warning("a file stays", stage=Stage.LIFECYCLE, attachment_id=attachment_id, error=str(failed))
            return False
        return True
