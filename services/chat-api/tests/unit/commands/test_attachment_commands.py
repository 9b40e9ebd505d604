"""Sending and taking back messages that carry files, over the ports kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from chat_api.commands import handlers
from chat_api.commands.attachments import finish_upload
from chat_api.commands.handlers import Sent
from chat_api.commands.ports import Once
from chat_api.domain.attachments import Upload
from chat_api.domain.commands import Actor, DeleteMessage, SendMessage
from chat_api.domain.errors import IdempotencyConflict, InvalidAttachment, NotFound
from chat_api.testing import AT, MemoryTransaction, MemoryUnitOfWork, create, register, send, upload


async def conversation(uow: MemoryUnitOfWork, *names: str) -> str:
    """A conversation of these registered users."""
    for name in names:
        await handlers.register_user(register(name), uow, actor_id="host", password_hash=None, once=None, status=201)
    return await handlers.create_conversation(create(*names), uow, None, 201)


def carrying(c: str, sender: str, file: Upload, **more: Any) -> SendMessage:
    """A picture in a message."""
    return send(c, sender, message_type="image", attachment_id=file.attachment.id, **more)


async def test_a_message_says_what_its_file_is_and_a_file_is_carried_once() -> None:
    """In one batch and later; a repeat of the very same send is a repeat."""
    uow = MemoryUnitOfWork()
    c = await conversation(uow, "alice", "bob")
    file = upload("alice", name="one.png")
    uow.add_upload(file)
    first = carrying(c, "alice", file)
    results = await handlers.send_messages([first, carrying(c, "alice", file), send(c, "bob")], uow)
    assert isinstance(results[0], Sent)
    assert results[0].message.attachment == file.attachment
    assert isinstance(results[1], InvalidAttachment)
    assert isinstance(results[2], Sent)
    (later, again) = await handlers.send_messages([carrying(c, "alice", file), first], uow)
    assert isinstance(later, InvalidAttachment)
    assert isinstance(again, Sent)
    assert again.duplicate
    assert uow.uploads[file.attachment.id].used


async def test_a_file_of_somebody_else_is_refused_unless_a_service_speaks() -> None:
    """A refusal uses nothing up."""
    uow = MemoryUnitOfWork()
    c = await conversation(uow, "alice", "bob")
    file = upload("host")
    uow.add_upload(file)
    (refused,) = await handlers.send_messages([carrying(c, "alice", file)], uow)
    assert isinstance(refused, InvalidAttachment)
    assert not uow.uploads[file.attachment.id].used
    (sent,) = await handlers.send_messages([carrying(c, "alice", file, privileged=True)], uow)
    assert isinstance(sent, Sent)


async def test_taking_back_a_message_takes_its_file_along() -> None:
    """Another message's file stays."""
    uow = MemoryUnitOfWork()
    c = await conversation(uow, "alice", "bob")
    gone, stays = upload("alice"), upload("alice")
    uow.add_upload(gone)
    uow.add_upload(stays)
    results = await handlers.send_messages([carrying(c, "alice", gone), carrying(c, "alice", stays)], uow)
    assert isinstance(results[0], Sent)
    await handlers.change_message(DeleteMessage(results[0].message.id, Actor("alice"), AT), uow)
    assert list(uow.uploads) == [stays.attachment.id]


async def test_a_batch_without_files_asks_nothing(monkeypatch: Any) -> None:
    """Most batches carry none: the question would cost every one of them a round trip."""
    asked: list[Sequence[str]] = []

    async def uploads(_self: MemoryTransaction, ids: Sequence[str]) -> dict[str, Upload]:
        asked.append(ids)
        return {}

    monkeypatch.setattr(MemoryTransaction, "uploads", uploads)
    uow = MemoryUnitOfWork()
    c = await conversation(uow, "alice", "bob")
    await handlers.send_messages([send(c, "alice"), send(c, "bob")], uow)
    assert asked == []
    await handlers.send_messages([send(c, "alice"), carrying(c, "bob", upload("bob"))], uow)
    assert len(asked) == 1


async def test_the_same_key_is_the_same_file() -> None:
    """A repeat gets the first one; another file under the key is a conflict; one that was given up is not there."""
    uow = MemoryUnitOfWork()
    files = [upload("alice", name=f"{number}.png") for number in range(4)]
    for file in files[:3]:
        uow.add_upload(file)
    first, again, other, gone = (file.attachment for file in files)
    once = Once("alice", "key", b"same")
    assert await finish_upload(first, AT, uow, once) == first
    assert await finish_upload(again, AT, uow, once) == first
    with pytest.raises(IdempotencyConflict):
        await finish_upload(other, AT, uow, Once("alice", "key", b"other"))
    with pytest.raises(NotFound):
        await finish_upload(gone, AT, uow, None)
