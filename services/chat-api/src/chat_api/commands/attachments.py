"""The end of an upload: the file is there, and may be sent."""

from __future__ import annotations

from datetime import datetime

from chat_api.commands.ports import Once, StoredResponse, UnitOfWork
from chat_api.domain.errors import NotFound
from contracts.attachments import Attachment
from contracts.codec import decode, encode

CREATED = 201


async def finish_upload(attachment: Attachment, at: datetime, uow: UnitOfWork, once: Once | None) -> Attachment:
    """Note what was stored; returns it, or what the first request with the same key has stored.

    Raises `NotFound` if the file was given up meanwhile, `IdempotencyConflict` if the key stands for another one.
    """
    async with uow.begin(set(), once=once) as transaction:
        if transaction.replay is not None:
            return decode(Attachment, transaction.replay.body)
        if not await transaction.upload_stored(attachment, at):
            raise NotFound("The upload took too long, and was given up.")
        await transaction.remember(StoredResponse(CREATED, encode(attachment).decode()))
    return attachment
