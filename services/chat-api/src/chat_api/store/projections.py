"""Events to read tables: every table that can be rebuilt is written here and nowhere else.

Each function takes a run of events of one type, in order, and writes them with one statement where it can: the same
code serves one message, a batch of sixty, and a rebuild of everything.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import Any, TypeAlias, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.store import consult_projections
from chat_api.store.event_store import NewEvent
from contracts.codec import encode
from contracts.events import (
    ConversationCreated,
    ConversationUpdated,
    MessageCreated,
    ParticipantJoined,
    ParticipantLeft,
    UserBlocked,
    UserConversationMuted,
    UserNotified,
    UserReadAdvanced,
    UserRegistered,
    UserSessionsEnded,
    UserSettingsChanged,
    UserUnblocked,
    UserUpdated,
)
from contracts.messages import Message

Projection: TypeAlias = Callable[[AsyncConnection, Sequence[NewEvent]], Awaitable[None]]

_USER = text("""
INSERT INTO users (user_id, name, roles, registered_at) VALUES (:user_id, :name, :roles, :registered_at)
""")

_USER_UPDATED = text("UPDATE users SET name = :name, roles = CAST(:roles AS text[]) WHERE user_id = :user_id")

_BLOCKED = text("UPDATE users SET blocked_at = :at WHERE user_id = :user_id")

_SESSIONS_ENDED = text("""
UPDATE users SET sessions_ended_at = greatest(sessions_ended_at, :at) WHERE user_id = :user_id
""")

_CONVERSATION = text("""
INSERT INTO conversations (conversation_id, owner_id, title, metadata, notes_of, last_seq, created_at,
                           last_activity_at)
VALUES (:conversation_id, :owner_id, :title, CAST(:metadata AS jsonb), :notes_of, :seq, :created_at, :created_at)
""")

_CONVERSATION_CHANGED = text("""
UPDATE conversations SET title = :title, metadata = CAST(:metadata AS jsonb) WHERE conversation_id = :conversation_id
""")

# What was said before somebody came is history to him, not unread.
_JOIN = text("""
INSERT INTO participants (conversation_id, user_id, is_active, joined_seq, left_seq, read_seq, joined_at)
SELECT j.conversation_id, j.user_id, true, j.seq, NULL, j.seq, j.joined_at
FROM unnest(CAST(:conversation_ids AS uuid[]), CAST(:user_ids AS text[]), CAST(:seqs AS bigint[]),
            CAST(:joined_at AS timestamptz[])) AS j (conversation_id, user_id, seq, joined_at)
ON CONFLICT (conversation_id, user_id) DO UPDATE
SET is_active = true, joined_seq = excluded.joined_seq, left_seq = NULL, joined_at = excluded.joined_at,
    read_seq = greatest(participants.read_seq, excluded.read_seq)
""")

_LEAVE = text("""
UPDATE participants SET is_active = false, left_seq = :seq
WHERE conversation_id = :conversation_id AND user_id = :user_id
""")

_MESSAGES = text("""
INSERT INTO messages (message_id, conversation_id, seq, sender_id, sender_type, sender_name, message_type, content,
                      attachment_id, reply_to, is_important, extra_metadata, client_msg_id, fingerprint, created_at,
                      notice, attachment, mentions)
SELECT message_id, conversation_id, seq, sender_id, sender_type, sender_name, message_type, content,
       attachment_id, reply_to, is_important, CAST(extra_metadata AS jsonb), client_msg_id,
       decode(fingerprint, 'hex'), created_at, CAST(notice AS jsonb), CAST(attachment AS jsonb),
       CAST(mentions AS text[])
FROM unnest(
    CAST(:ids AS uuid[]), CAST(:conversation_ids AS uuid[]), CAST(:seqs AS bigint[]), CAST(:sender_ids AS text[]),
    CAST(:sender_types AS text[]), CAST(:sender_names AS text[]), CAST(:message_types AS text[]),
    CAST(:contents AS text[]), CAST(:attachment_ids AS uuid[]), CAST(:reply_tos AS uuid[]),
    CAST(:importants AS boolean[]), CAST(:extras AS text[]), CAST(:client_msg_ids AS text[]),
    CAST(:fingerprints AS text[]), CAST(:created_ats AS timestamptz[]), CAST(:notices AS text[]),
    CAST(:attachments AS text[]), CAST(:mentions AS text[])
) AS m (message_id, conversation_id, seq, sender_id, sender_type, sender_name, message_type, content,
        attachment_id, reply_to, is_important, extra_metadata, client_msg_id, fingerprint, created_at, notice,
        attachment, mentions)
""")

_MESSAGE_CHANGED = text("""
UPDATE messages SET content = :content, attachment_id = :attachment_id, extra_metadata = CAST(:extra AS jsonb),
                    edited_at = :edited_at, deleted_at = :deleted_at, notice = CAST(:notice AS jsonb),
                    attachment = CAST(:attachment AS jsonb), mentions = CAST(:mentions AS text[])
WHERE message_id = :message_id
""")

_NOTIFICATIONS = text("""
INSERT INTO notifications (notification_id, user_id, sender_type, title, content, type, action, conversation_id,
                           is_important, data, broadcast_id, created_at)
SELECT notification_id, user_id, sender_type, title, content, type, action, conversation_id, is_important,
       CAST(data AS jsonb), broadcast_id, created_at
FROM unnest(
    CAST(:ids AS uuid[]), CAST(:user_ids AS text[]), CAST(:sender_types AS text[]), CAST(:titles AS text[]),
    CAST(:contents AS text[]), CAST(:types AS text[]), CAST(:actions AS text[]), CAST(:conversation_ids AS uuid[]),
    CAST(:importants AS boolean[]), CAST(:datas AS text[]), CAST(:broadcast_ids AS uuid[]),
    CAST(:created_ats AS timestamptz[])
) AS n (notification_id, user_id, sender_type, title, content, type, action, conversation_id, is_important, data,
        broadcast_id, created_at)
""")

_ADVANCE = text("""
UPDATE conversations c
SET last_seq = a.last_seq,
    last_message_seq = coalesce(a.last_message_seq, c.last_message_seq),
    last_activity_at = CASE WHEN a.last_message_seq IS NULL THEN c.last_activity_at ELSE a.at END
FROM unnest(CAST(:conversation_ids AS uuid[]), CAST(:last_seqs AS bigint[]), CAST(:message_seqs AS bigint[]),
            CAST(:ats AS timestamptz[])) AS a (conversation_id, last_seq, last_message_seq, at)
WHERE c.conversation_id = a.conversation_id
""")

_READ = text("""
UPDATE participants SET read_seq = greatest(read_seq, :seq)
WHERE conversation_id = :conversation_id AND user_id = :user_id
""")


_SETTINGS = text("""
INSERT INTO notification_settings (user_id, settings, changed_at) VALUES (:user_id, CAST(:settings AS jsonb), :at)
ON CONFLICT (user_id) DO UPDATE SET settings = excluded.settings, changed_at = excluded.changed_at
""")

_MUTE = text("""
INSERT INTO mutes (conversation_id, user_id, until) VALUES (:conversation_id, :user_id, :until)
ON CONFLICT (conversation_id, user_id) DO UPDATE SET until = excluded.until
""")

_UNMUTE = text("DELETE FROM mutes WHERE conversation_id = :conversation_id AND user_id = :user_id")


async def project(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    """Bring the read tables up to date with `events`, in the transaction that stores them."""
    for event_type, run in groupby(events, key=lambda event: event.data.type):
        projection = PROJECTIONS.get(event_type)
        if projection is not None:
            await projection(connection, list(run))
    await _advance(connection, events)


async def _registered(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    await connection.execute(
        _USER,
        [
            {
                "user_id": data.user_id,
                "name": data.name,
                "roles": list(data.roles),
                "registered_at": data.registered_at,
            }
            for data in (cast(UserRegistered, event.data) for event in events)
        ],
    )


async def _user_updated(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    for event in events:
        data = cast(UserUpdated, event.data)
        await connection.execute(_USER_UPDATED, {"user_id": data.user_id, "name": data.name, "roles": list(data.roles)})


async def _user_blocked(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    for event in events:
        data = cast(UserBlocked, event.data)
        await connection.execute(_BLOCKED, {"user_id": data.user_id, "at": data.blocked_at})


async def _user_unblocked(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    for event in events:
        data = cast(UserUnblocked, event.data)
        await connection.execute(_BLOCKED, {"user_id": data.user_id, "at": None})


async def _sessions_ended(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    for event in events:
        data = cast(UserSessionsEnded, event.data)
        if data.session_id is None:
            await connection.execute(_SESSIONS_ENDED, {"user_id": data.user_id, "at": data.ended_at})


async def _created(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    for event in events:
        data = cast(ConversationCreated, event.data)
        await connection.execute(
            _CONVERSATION,
            {
                "conversation_id": data.conversation_id,
                "owner_id": data.owner_id,
                "title": data.title,
                "metadata": _json(data.metadata),
                "notes_of": data.notes_of,
                "seq": event.seq,
                "created_at": data.created_at,
            },
        )
        if data.notes_of is not None:
            await consult_projections.notes_begun(connection, data)
        await _let_in(
            connection, [(data.conversation_id, user, event.seq, data.created_at) for user in data.participant_ids]
        )


async def _updated(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    for event in events:
        data = cast(ConversationUpdated, event.data)
        await connection.execute(
            _CONVERSATION_CHANGED,
            {"conversation_id": data.conversation_id, "title": data.title, "metadata": _json(data.metadata)},
        )


async def _joined(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    joins = [(cast(ParticipantJoined, event.data), event.seq) for event in events]
    await _let_in(connection, [(data.conversation_id, data.user_id, seq, data.joined_at) for data, seq in joins])


async def _let_in(connection: AsyncConnection, joins: Sequence[tuple[str, str, int, Any]]) -> None:
    await connection.execute(
        _JOIN,
        {
            "conversation_ids": [join[0] for join in joins],
            "user_ids": [join[1] for join in joins],
            "seqs": [join[2] for join in joins],
            "joined_at": [join[3] for join in joins],
        },
    )


async def _left(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    for event in events:
        data = cast(ParticipantLeft, event.data)
        await connection.execute(
            _LEAVE, {"conversation_id": data.conversation_id, "user_id": data.user_id, "seq": event.seq}
        )


async def _message_created(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    created = [cast(MessageCreated, event.data) for event in events]
    await connection.execute(
        _MESSAGES,
        {
            "ids": [data.id for data in created],
            "conversation_ids": [data.conversation_id for data in created],
            "seqs": [data.seq for data in created],
            "sender_ids": [data.sender_id for data in created],
            "sender_types": [data.sender_type.value for data in created],
            "sender_names": [data.sender_name for data in created],
            "message_types": [data.message_type.value for data in created],
            "contents": [data.content for data in created],
            "attachment_ids": [data.attachment_id for data in created],
            "reply_tos": [data.reply_to for data in created],
            "importants": [data.is_important for data in created],
            "extras": [_json(data.extra_metadata) for data in created],
            "client_msg_ids": [data.client_msg_id for data in created],
            "fingerprints": [event.metadata.get("fingerprint") for event in events],
            "created_ats": [data.created_at for data in created],
            "notices": [_notice(data) for data in created],
            "attachments": [_attachment(data) for data in created],
            "mentions": [_mentions(data) for data in created],
        },
    )


async def _message_changed(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    for event in events:
        data = cast(Message, event.data)
        await connection.execute(
            _MESSAGE_CHANGED,
            {
                "message_id": data.id,
                "content": data.content,
                "attachment_id": data.attachment_id,
                "extra": _json(data.extra_metadata),
                "edited_at": data.edited_at,
                "deleted_at": data.deleted_at,
                "notice": _notice(data),
                "attachment": _attachment(data),
                "mentions": None if data.mentions is None else list(data.mentions),
            },
        )


async def _read_advanced(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    for event in events:
        data = cast(UserReadAdvanced, event.data)
        await connection.execute(
            _READ, {"conversation_id": data.conversation_id, "user_id": data.user_id, "seq": data.seq}
        )


async def _notified(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    said = [cast(UserNotified, event.data).notification for event in events]
    await connection.execute(
        _NOTIFICATIONS,
        {
            "ids": [one.id for one in said],
            "user_ids": [one.user_id for one in said],
            "sender_types": [one.sender_type.value for one in said],
            "titles": [one.title for one in said],
            "contents": [one.content for one in said],
            "types": [one.type for one in said],
            "actions": [one.action for one in said],
            "conversation_ids": [one.conversation_id for one in said],
            "importants": [one.is_important for one in said],
            "datas": [_json(one.data) for one in said],
            "broadcast_ids": [one.broadcast_id for one in said],
            "created_ats": [one.created_at for one in said],
        },
    )


async def _advance(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    """Move each touched conversation's `last_seq`, and what a list of conversations is sorted by."""
    latest: dict[str, tuple[int, int | None, Any]] = {}
    for event in events:
        # A conversation's first event made its row with everything in it.
        if event.data.type.startswith("user.") or event.data.type == ConversationCreated.type:
            continue
        conversation_id = str(event.stream).partition(":")[2]
        is_message = event.data.type == MessageCreated.type
        _, message_seq, at = latest.get(conversation_id, (0, None, event.recorded_at))
        latest[conversation_id] = (
            event.seq,
            event.seq if is_message else message_seq,
            event.recorded_at if is_message else at,
        )
    if latest:
        await connection.execute(
            _ADVANCE,
            {
                "conversation_ids": list(latest),
                "last_seqs": [value[0] for value in latest.values()],
                "message_seqs": [value[1] for value in latest.values()],
                "ats": [value[2] for value in latest.values()],
            },
        )


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _notice(message: Message) -> str | None:
    return None if message.notice is None else _json(message.notice.model_dump(mode="json", exclude_none=True))


def _attachment(message: Message) -> str | None:
    return None if message.attachment is None else encode(message.attachment).decode()


def _mentions(message: Message) -> str | None:
    # One array per row does not fit into an array of rows, an array's literal does. No user id has a quote within it,
    # but one may be called "null".
    return None if message.mentions is None else "{" + ",".join(f'"{user_id}"' for user_id in message.mentions) + "}"


async def _settings_changed(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    for event in events:
        data = cast(UserSettingsChanged, event.data)
        values = {"user_id": data.user_id, "settings": encode(data.settings).decode(), "at": data.changed_at}
        await connection.execute(_SETTINGS, values)


async def _muted(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    for event in events:
        data = cast(UserConversationMuted, event.data)
        values = {"conversation_id": data.conversation_id, "user_id": data.user_id}
        if data.muted:
            await connection.execute(_MUTE, values | {"until": data.until})
        else:
            await connection.execute(_UNMUTE, values)


PROJECTIONS: dict[str, Projection] = {
    "user.registered": _registered,
    "user.updated": _user_updated,
    "user.blocked": _user_blocked,
    "user.unblocked": _user_unblocked,
    "user.sessions_ended": _sessions_ended,
    "user.read_advanced": _read_advanced,
    "user.notified": _notified,
    "user.settings_changed": _settings_changed,
    "user.conversation_muted": _muted,
    "conversation.created": _created,
    "conversation.updated": _updated,
    "participant.joined": _joined,
    "participant.left": _left,
    "message.created": _message_created,
    "message.edited": _message_changed,
    "message.deleted": _message_changed,
    "consult.opened": consult_projections.opened,
    "consult.taken": consult_projections.taken,
    "consult.assigned": consult_projections.assigned,
    "consult.handed_over": consult_projections.handed_over,
    "consult.closed": consult_projections.closed,
}
"""Every event that changes a read table. The other user.* events are notes for devices and change none."""
