"""Commands of the host application and of admins: notices, notifications, broadcasts, and closing sockets."""

from __future__ import annotations

from chat_api.commands.ports import Once, Recordable, StoredResponse, UnitOfWork
from chat_api.domain import conversation, notices
from chat_api.domain.notices import Broadcast, DisconnectUser, NotifyConversation, NotifyUser
from contracts.codec import decode, encode
from contracts.events import MessageCreated, UserNotified
from contracts.messages import Message
from contracts.notices import Notification
from contracts.stream_ids import ConversationStream, StreamId, UserStream


async def notify_conversation(command: NotifyConversation, uow: UnitOfWork, once: Once | None, status: int) -> Message:
    """Say something into a conversation; returns the message (the first one, if `once` was used before)."""
    stream: StreamId = ConversationStream(command.conversation_id)
    async with uow.begin({stream}, once=once) as transaction:
        if transaction.replay is not None:
            return decode(Message, transaction.replay.body)
        state = await transaction.conversation(command.conversation_id, [])
        (event,) = notices.notify_conversation(state, command)
        assert state is not None
        assert isinstance(event, MessageCreated)
        metadata = {"actor": command.actor.user_id}
        await transaction.append([Recordable(stream, event, metadata)], command.now, {stream: state.last_seq})
        message = conversation.as_message(event)
        await transaction.remember(StoredResponse(status, encode(message).decode()))
    return message


async def notify_user(command: NotifyUser, uow: UnitOfWork, once: Once | None, status: int) -> Notification:
    """Say something to one user; returns it (the first one, if `once` was used before)."""
    stream = UserStream(command.user_id)
    async with uow.begin({stream}, once=once) as transaction:
        if transaction.replay is not None:
            return decode(Notification, transaction.replay.body)
        (event,) = notices.notify_user(await transaction.user(command.user_id), command)
        assert isinstance(event, UserNotified)
        await transaction.append([Recordable(stream, event, {"actor": command.actor.user_id})], command.now)
        await transaction.remember(StoredResponse(status, encode(event.notification).decode()))
    return event.notification


async def broadcast(command: Broadcast, uow: UnitOfWork, once: Once | None, status: int) -> tuple[str, int]:
    """Accept a broadcast: its id, and how many users it will reach; `broadcaster` tells them one by one."""
    stream = UserStream(command.actor.user_id)
    async with uow.begin({stream}, once=once) as transaction:
        if transaction.replay is not None:
            broadcast_id, _, count = transaction.replay.body.partition(" ")
            return broadcast_id, int(count)
        recipients = await transaction.begin_broadcast(command)
        events = notices.broadcast(command, recipients)
        metadata = {"actor": command.actor.user_id}
        await transaction.append([Recordable(stream, event, metadata) for event in events], command.now)
        await transaction.remember(StoredResponse(status, f"{command.broadcast_id} {recipients}"))
    return command.broadcast_id, recipients


async def disconnect_user(command: DisconnectUser, uow: UnitOfWork, once: Once | None, status: int) -> bool:
    """Record that an admin wants sockets closed; False if `once` was used before, and nothing is to be done."""
    stream = UserStream(command.actor.user_id)
    async with uow.begin({stream}, once=once) as transaction:
        if transaction.replay is not None:
            return False
        events = notices.disconnect_user(command)
        metadata = {"actor": command.actor.user_id}
        await transaction.append([Recordable(stream, event, metadata) for event in events], command.now)
        await transaction.remember(StoredResponse(status, command.user_id))
    return True
