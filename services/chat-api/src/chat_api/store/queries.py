"""The read side: what HTTP answers are made of, and what decisions look at. Every query is by an index."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.commands.ports import SendContext
from chat_api.domain.commands import SendMessage
from chat_api.domain.conversation import Conversation
from chat_api.domain.user import Membership, User
from chat_api.store import mapping
from contracts.envelope import Envelope
from contracts.messages import Message
from contracts.stream_ids import ConversationStream

# JSON is read as text and parsed where it is needed: drivers differ in what they make of jsonb.
_MESSAGE_COLUMNS = """message_id, conversation_id, seq, sender_id, sender_type, sender_name, message_type, content,
    attachment_id, reply_to, is_important, CAST(extra_metadata AS text) AS extra_metadata, client_msg_id, created_at,
    edited_at, deleted_at, mentions, CAST(notice AS text) AS notice, CAST(attachment AS text) AS attachment"""

# What a batch of sends must know, in one trip: the conversation, whether the sender takes part, the sender's name,
# whether reply_to exists there, and whether the same (sender, client_msg_id) was stored before.
_FOR_SENDING = text("""
SELECT i.ord, c.owner_id, c.last_seq, c.title, c.notes_of, (p.user_id IS NOT NULL) AS is_member, u.name AS sender_name,
       (r.message_id IS NOT NULL) AS reply_exists, s.message_id AS sent_id
FROM unnest(CAST(:conversation_ids AS uuid[]), CAST(:sender_ids AS text[]), CAST(:client_msg_ids AS text[]),
            CAST(:reply_tos AS uuid[])) WITH ORDINALITY
     AS i (conversation_id, sender_id, client_msg_id, reply_to, ord)
LEFT JOIN conversations c ON c.conversation_id = i.conversation_id
LEFT JOIN participants p ON p.conversation_id = i.conversation_id AND p.user_id = i.sender_id AND p.is_active
LEFT JOIN users u ON u.user_id = i.sender_id
LEFT JOIN messages r ON r.message_id = i.reply_to AND r.conversation_id = i.conversation_id
LEFT JOIN messages s ON s.sender_id = i.sender_id AND s.client_msg_id = i.client_msg_id
ORDER BY i.ord
""")

_MESSAGES_BY_ID = text(
    f"SELECT {_MESSAGE_COLUMNS}, fingerprint FROM messages WHERE message_id = ANY(CAST(:ids AS uuid[]))"  # noqa: S608
)

_CONVERSATION = text("""
SELECT conversation_id, owner_id, title, CAST(metadata AS text) AS metadata, notes_of, last_seq FROM conversations
WHERE conversation_id = :id
""")

_MEMBERS_AMONG = text("""
SELECT user_id FROM participants
WHERE conversation_id = :id AND is_active AND user_id = ANY(CAST(:user_ids AS text[]))
""")

# LIMIT 1 keeps it a look-up by key, however many the planner takes the pairs for.
_MEMBERS_AMONG_PAIRS = text("""
SELECT i.conversation_id, i.user_id
FROM unnest(CAST(:conversation_ids AS uuid[]), CAST(:user_ids AS text[])) AS i (conversation_id, user_id)
CROSS JOIN LATERAL (
    SELECT FROM participants p
    WHERE p.conversation_id = i.conversation_id AND p.user_id = i.user_id AND p.is_active LIMIT 1
) AS found
""")

_CONVERSATION_OF_MESSAGE = text("SELECT conversation_id FROM messages WHERE message_id = :id")

_MEMBERSHIP = text("""
SELECT c.last_seq, p.read_seq FROM participants p JOIN conversations c USING (conversation_id)
WHERE p.conversation_id = :id AND p.user_id = :user_id AND p.is_active
""")

_USER = text("SELECT user_id, name, roles, registered_at FROM users WHERE user_id = :user_id")

_USERS_AMONG = text("SELECT user_id FROM users WHERE user_id = ANY(CAST(:user_ids AS text[]))")

_CREDENTIALS = text("""
SELECT u.user_id, u.name, u.roles, c.password_hash FROM users u JOIN credentials c USING (user_id)
WHERE u.user_id = :user_id
""")

_SET_CREDENTIALS = text("""
INSERT INTO credentials (user_id, password_hash) VALUES (:user_id, :password_hash) ON CONFLICT (user_id) DO NOTHING
""")

_PARTICIPANTS = text("""
SELECT p.user_id, u.name, p.joined_at, p.read_seq, p.joined_seq FROM participants p LEFT JOIN users u USING (user_id)
WHERE p.conversation_id = :id AND p.is_active ORDER BY p.joined_seq, p.user_id LIMIT :limit
""")

SUMMARY_COLUMNS = """
    c.conversation_id, c.owner_id, c.title, CAST(c.metadata AS text) AS metadata, c.notes_of, c.last_seq, c.created_at,
    c.last_activity_at, p.read_seq,
    (SELECT ARRAY[x.until] FROM mutes x WHERE x.conversation_id = c.conversation_id AND x.user_id = :user_id
        AND (x.until IS NULL OR x.until > now())) AS mute,
    (SELECT count(*) FROM messages m WHERE m.conversation_id = c.conversation_id AND m.seq > coalesce(p.read_seq, 0)
        AND m.sender_id <> :user_id AND m.deleted_at IS NULL) AS unread_count,
    (SELECT message_id FROM messages m WHERE m.conversation_id = c.conversation_id AND m.seq = c.last_message_seq)
        AS last_message_id"""

_LIST = text(f"""
SELECT {SUMMARY_COLUMNS}
FROM participants p JOIN conversations c USING (conversation_id)
WHERE p.user_id = :user_id AND p.is_active AND (c.notes_of IS NOT NULL) = :notes
  AND (CAST(:at AS timestamptz) IS NULL OR (c.last_activity_at, c.conversation_id) < (:at, CAST(:id AS uuid)))
ORDER BY c.last_activity_at DESC, c.conversation_id DESC LIMIT :limit
""")  # noqa: S608

_ONE = text(f"""
SELECT {SUMMARY_COLUMNS}
FROM conversations c LEFT JOIN participants p
     ON p.conversation_id = c.conversation_id AND p.user_id = :user_id AND p.is_active
WHERE c.conversation_id = :id
""")  # noqa: S608

_PAGE = {
    "after": text(f"""
SELECT {_MESSAGE_COLUMNS} FROM messages
WHERE conversation_id = :id AND seq > :seq ORDER BY seq LIMIT :limit
"""),  # noqa: S608
    "before": text(f"""
SELECT {_MESSAGE_COLUMNS} FROM messages
WHERE conversation_id = :id AND seq < :seq ORDER BY seq DESC LIMIT :limit
"""),  # noqa: S608
}

EVENT_COLUMNS = """position, event_id, stream, seq, type, version, CAST(data AS text) AS data,
    CAST(metadata AS text) AS metadata, recorded_at, CAST(txid AS text) AS txid_text"""

_EVENT_PAGE = {
    "after": text(
        f"SELECT {EVENT_COLUMNS} FROM events WHERE stream = :stream AND seq > :seq ORDER BY seq LIMIT :limit"  # noqa: S608
    ),
    "before": text(
        f"SELECT {EVENT_COLUMNS} FROM events WHERE stream = :stream AND seq < :seq ORDER BY seq DESC LIMIT :limit"  # noqa: S608
    ),
}

# A membership's bounds in seq, so that a fan-out that is behind the record still finds who took part at that moment.
_MEMBER_BOUNDS = text("""
SELECT user_id, joined_seq, left_seq FROM participants WHERE conversation_id = :id
""")

_COMINGS_AND_GOINGS = text("""
SELECT type, seq, data->>'user_id' AS user_id FROM events
WHERE stream = :stream AND type IN ('participant.joined', 'participant.left') ORDER BY seq
""")


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A conversation as one user sees it in a list."""

    conversation_id: str
    owner_id: str
    title: str | None
    metadata: dict[str, Any] | None
    notes_of: str | None
    """The consult whose internal notes it holds."""
    last_seq: int
    created_at: datetime
    last_activity_at: datetime
    read_seq: int | None
    unread_count: int
    last_message: Message | None
    muted: bool = False
    muted_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Participant:
    """Who takes part, since when, and how far that user has read."""

    user_id: str
    name: str | None
    joined_at: datetime
    read_seq: int


@dataclass(frozen=True, slots=True)
class Account:
    """A user with a password."""

    user: User
    password_hash: str


async def for_sending(connection: AsyncConnection, commands: Sequence[SendMessage]) -> list[SendContext]:
    """One context per command, in order."""
    rows = await connection.execute(
        _FOR_SENDING,
        {
            "conversation_ids": [command.conversation_id for command in commands],
            "sender_ids": [command.sender_id for command in commands],
            "client_msg_ids": [command.draft.client_msg_id for command in commands],
            "reply_tos": [command.draft.reply_to for command in commands],
        },
    )
    return [_send_context(command, row) for command, row in zip(commands, rows, strict=True)]


def _send_context(command: SendMessage, row: Any) -> SendContext:
    conversation = None
    if row.owner_id is not None:
        reply_to = command.draft.reply_to
        conversation = Conversation(
            conversation_id=command.conversation_id,
            owner_id=row.owner_id,
            last_seq=row.last_seq,
            title=row.title,
            notes_of=_id_or_none(row.notes_of),
            members=frozenset((command.sender_id,)) if row.is_member else frozenset(),
            message_ids=frozenset((reply_to,)) if row.reply_exists and reply_to is not None else frozenset(),
        )
    return SendContext(conversation, row.sender_name, None if row.sent_id is None else str(row.sent_id))


async def messages_by_id(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, tuple[Message, bytes | None]]:
    """Messages with the fingerprints of the sends that made them."""
    rows = await connection.execute(_MESSAGES_BY_ID, {"ids": list(ids)})
    return {str(row.message_id): (mapping.message(row), row.fingerprint) for row in rows}


async def conversation_state(
    connection: AsyncConnection, conversation_id: str, user_ids: Sequence[str], message_ids: Sequence[str] = ()
) -> Conversation | None:
    """What a decision about this conversation and these users and messages may look at; None if there is none."""
    row = (await connection.execute(_CONVERSATION, {"id": conversation_id})).one_or_none()
    if row is None:
        return None
    members = await connection.scalars(_MEMBERS_AMONG, {"id": conversation_id, "user_ids": list(user_ids)})
    found = await messages_by_id(connection, message_ids) if message_ids else {}
    messages = {key: message for key, (message, _) in found.items() if message.conversation_id == conversation_id}
    return Conversation(
        conversation_id=conversation_id,
        owner_id=row.owner_id,
        last_seq=row.last_seq,
        title=row.title,
        metadata=None if row.metadata is None else json.loads(row.metadata),
        notes_of=_id_or_none(row.notes_of),
        members=frozenset(members),
        message_ids=frozenset(messages),
        messages=messages,
    )


async def conversation_of_message(connection: AsyncConnection, message_id: str) -> str | None:
    """The conversation that a message belongs to."""
    found = await connection.scalar(_CONVERSATION_OF_MESSAGE, {"id": message_id})
    return None if found is None else str(found)


async def membership(connection: AsyncConnection, conversation_id: str, user_id: str) -> Membership | None:
    """The user's active place in the conversation."""
    row = (await connection.execute(_MEMBERSHIP, {"id": conversation_id, "user_id": user_id})).one_or_none()
    return None if row is None else Membership(conversation_last_seq=row.last_seq, read_seq=row.read_seq)


async def members_among(connection: AsyncConnection, pairs: Collection[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Of pairs of conversation and user: who takes part, by conversation."""
    values = {"conversation_ids": [pair[0] for pair in pairs], "user_ids": [pair[1] for pair in pairs]}
    found: dict[str, set[str]] = {}
    for row in await connection.execute(_MEMBERS_AMONG_PAIRS, values):
        found.setdefault(str(row.conversation_id), set()).add(row.user_id)
    return {conversation_id: frozenset(members) for conversation_id, members in found.items()}


async def user(connection: AsyncConnection, user_id: str) -> User | None:
    """A registered user."""
    row = (await connection.execute(_USER, {"user_id": user_id})).one_or_none()
    return None if row is None else User(row.user_id, row.name, tuple(row.roles))


async def unknown_users(connection: AsyncConnection, user_ids: Sequence[str]) -> list[str]:
    """Those of `user_ids` that nobody registered, in the given order."""
    known = set(await connection.scalars(_USERS_AMONG, {"user_ids": list(user_ids)}))
    return [user_id for user_id in user_ids if user_id not in known]


async def account(connection: AsyncConnection, user_id: str) -> Account | None:
    """A user's account, if the user has a password here."""
    row = (await connection.execute(_CREDENTIALS, {"user_id": user_id})).one_or_none()
    return None if row is None else Account(User(row.user_id, row.name, tuple(row.roles)), row.password_hash)


async def set_credentials(connection: AsyncConnection, user_id: str, password_hash: str) -> None:
    """Give a new user a password; an existing one keeps its own."""
    await connection.execute(_SET_CREDENTIALS, {"user_id": user_id, "password_hash": password_hash})


async def participants(connection: AsyncConnection, conversation_id: str, limit: int) -> list[Participant]:
    """Active participants, oldest first."""
    rows = await connection.execute(_PARTICIPANTS, {"id": conversation_id, "limit": limit})
    return [Participant(row.user_id, row.name, row.joined_at, row.read_seq) for row in rows]


async def conversation_list(
    connection: AsyncConnection,
    user_id: str,
    *,
    limit: int,
    before: tuple[datetime, str] | None,
    notes: bool = False,
) -> list[ConversationSummary]:
    """The user's conversations, newest activity first, strictly before the given (activity, id); or those of notes."""
    at, conversation_id = before or (None, None)
    values = {"user_id": user_id, "at": at, "id": conversation_id, "limit": limit, "notes": notes}
    rows = (await connection.execute(_LIST, values)).all()
    return await summaries(connection, rows)


async def conversation_summary(
    connection: AsyncConnection, conversation_id: str, user_id: str
) -> ConversationSummary | None:
    """One conversation as `user_id` sees it; `read_seq` is None if that user takes no part."""
    rows = (await connection.execute(_ONE, {"id": conversation_id, "user_id": user_id})).all()
    return (await summaries(connection, rows))[0] if rows else None


async def summaries(connection: AsyncConnection, rows: Sequence[Any]) -> list[ConversationSummary]:
    """Rows of `SUMMARY_COLUMNS` with the last messages that they name."""
    last = await messages_by_id(connection, [str(row.last_message_id) for row in rows if row.last_message_id])
    return [
        ConversationSummary(
            conversation_id=str(row.conversation_id),
            owner_id=row.owner_id,
            title=row.title,
            metadata=None if row.metadata is None else json.loads(row.metadata),
            notes_of=_id_or_none(row.notes_of),
            last_seq=row.last_seq,
            created_at=row.created_at,
            last_activity_at=row.last_activity_at,
            read_seq=row.read_seq,
            unread_count=row.unread_count,
            last_message=last[str(row.last_message_id)][0] if row.last_message_id else None,
            muted=row.mute is not None,
            muted_until=row.mute[0] if row.mute else None,
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a sequence is asked for: after, before, or around a seq; at most `limit`."""

    after: int | None = None
    before: int | None = None
    around: int | None = None
    limit: int = 50


async def message_page(connection: AsyncConnection, conversation_id: str, window: Window) -> list[Message]:
    """Messages in the order of their seq."""
    rows = await _page(connection, _PAGE, {"id": conversation_id}, window)
    return [mapping.message(row) for row in rows]


async def event_page(connection: AsyncConnection, stream: str, window: Window) -> list[Envelope]:
    """Events of one stream in the order of their seq: how a client fills a gap."""
    rows = await _page(connection, _EVENT_PAGE, {"stream": stream}, window)
    return [mapping.envelope(row) for row in rows]


async def _page(
    connection: AsyncConnection, statements: dict[str, Any], key: dict[str, Any], window: Window
) -> list[Any]:
    async def read(direction: str, seq: int, limit: int) -> list[Any]:
        rows = (await connection.execute(statements[direction], {**key, "seq": seq, "limit": limit})).all()
        return list(rows) if direction == "after" else list(reversed(rows))

    if window.around is not None:
        half = window.limit // 2
        older = await read("before", window.around, half)
        return older + await read("after", window.around - 1, window.limit - len(older))
    if window.after is not None:
        return await read("after", window.after, window.limit)
    return await read("before", window.before if window.before is not None else 2**62, window.limit)


async def member_bounds(connection: AsyncConnection, conversation_id: str) -> dict[str, tuple[int, int | None]]:
    """Per user that ever took part: first seq, and last seq or None."""
    rows = await connection.execute(_MEMBER_BOUNDS, {"id": conversation_id})
    return {row.user_id: (row.joined_seq, row.left_seq) for row in rows}


async def ended_memberships(connection: AsyncConnection, conversation_id: str) -> list[tuple[str, int, int]]:
    """Every membership that has ended: user, first seq, last seq."""
    stream = str(ConversationStream(conversation_id))
    began: dict[str, int] = {}
    ended: list[tuple[str, int, int]] = []
    for row in await connection.execute(_COMINGS_AND_GOINGS, {"stream": stream}):
        if row.type == "participant.joined":
            began[row.user_id] = row.seq
        else:
            # Who never joined was there from the conversation's first event on.
            ended.append((row.user_id, began.pop(row.user_id, 1), row.seq))
    return ended


def _id_or_none(value: Any) -> str | None:
    return None if value is None else str(value)
