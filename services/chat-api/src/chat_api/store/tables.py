"""The tables, as SQLAlchemy Core sees them; migrations/ creates them, and a test holds the two together.

`events` and `streams` are the record. `users`, `conversations`, `participants`, `messages` and `notifications` follow
from it and can be dropped and rebuilt. `credentials` and `idempotency_keys` are neither: secrets and short memories do
not belong in an event log. `relay_cursor` and `fanout_lanes` say who carries the events on, and from where; `handovers`
what was given to the notifier and not yet taken; `broadcasts` how far each of them has come. `receipts` and `delivered`
are the ledger of what devices said to have; they follow from no event, and what is lost of them is gone. `buckets` says
which key-value buckets hold what the record says. `attachments` stands for the bytes in the blob store, of which the
record knows nothing: it cannot be rebuilt.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import UserDefinedType

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


class Xid8(UserDefinedType[int]):
    """Postgres' 64-bit transaction id: comparable, and never reused."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


def _instant(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


events = Table(
    "events",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("event_id", Uuid, nullable=False, unique=True),
    Column("stream", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    # The transaction that wrote the row: rows below every running transaction's id can never be overtaken.
    Column("txid", Xid8, nullable=False, server_default=func.pg_current_xact_id()),
    UniqueConstraint("stream", "seq"),
    Index(None, "txid", "position"),
    # What happened in one stream since a cursor, in the record's order: see store/sync.py.
    Index(None, "stream", "txid", "position"),
    Index(
        "events_memberships_idx",
        "stream",
        "seq",
        postgresql_where=text("type IN ('participant.joined', 'participant.left')"),
    ),
    # What revocations are made of: see store/revoked.py.
    Index("events_blocks_idx", "stream", "seq", postgresql_where=text("type IN ('user.blocked', 'user.unblocked')")),
    Index("events_sessions_ended_idx", "recorded_at", "stream", postgresql_where=text("type = 'user.sessions_ended'")),
)

streams = Table(
    "streams",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("name", Text),
    Column("roles", ARRAY(Text), nullable=False),
    _instant("registered_at"),
    _instant("blocked_at", nullable=True),
    # Every token of the user that was issued up to then is good no more.
    _instant("sessions_ended_at", nullable=True),
    Index(None, "blocked_at", postgresql_where=text("blocked_at IS NOT NULL")),
    Index(None, "sessions_ended_at", postgresql_where=text("sessions_ended_at IS NOT NULL")),
)

credentials = Table(
    "credentials",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("password_hash", Text, nullable=False),
)

# Like credentials no part of the record, and not to be rebuilt: signing in is no event, its end is.
sessions = Table(
    "sessions",
    metadata,
    Column("session_id", Uuid, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("user_agent", Text),
    _instant("created_at"),
    _instant("last_used_at"),
    _instant("expires_at"),
    _instant("ended_at", nullable=True),
    Column("end_reason", Text),
    Index(None, "user_id", "last_used_at"),
    Index(None, "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    Index(None, "expires_at"),
)

# SHA-256 of each; a used one stays for a while, so that its second use is known for what it is.
refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("session_id", Uuid, nullable=False),
    Column("successor_hash", LargeBinary),
    _instant("used_at", nullable=True),
    _instant("expires_at"),
    Index(None, "session_id"),
    Index(None, "used_at", postgresql_where=text("used_at IS NOT NULL")),
)

conversations = Table(
    "conversations",
    metadata,
    Column("conversation_id", Uuid, primary_key=True),
    Column("owner_id", Text, nullable=False),
    Column("title", Text),
    Column("metadata", JSONB),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_message_seq", BigInteger),
    _instant("created_at"),
    _instant("last_activity_at"),
    # The consult whose internal notes it holds.
    Column("notes_of", Uuid),
)

consults = Table(
    "consults",
    metadata,
    Column("conversation_id", Uuid, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("topic", Text),
    Column("state", Text, nullable=False),
    Column("assignee_id", Text),
    _instant("opened_at"),
    _instant("taken_at", nullable=True),
    _instant("closed_at", nullable=True),
    Column("notes_conversation_id", Uuid),
    Index("consults_waiting_idx", "opened_at", "conversation_id", postgresql_where=text("state = 'waiting'")),
    Index(
        "consults_state_idx",
        "state",
        "opened_at",
        "conversation_id",
        postgresql_where=text("state <> 'waiting'"),
    ),
    Index("consults_assignee_idx", "assignee_id", "state", "opened_at", "conversation_id"),
)

participants = Table(
    "participants",
    metadata,
    Column("conversation_id", Uuid, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("is_active", Boolean, nullable=False),
    Column("joined_seq", BigInteger, nullable=False),
    Column("left_seq", BigInteger),
    Column("read_seq", BigInteger, nullable=False, server_default=text("0")),
    _instant("joined_at"),
    Index(None, "user_id", "conversation_id", postgresql_where=text("is_active")),
)

messages = Table(
    "messages",
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("conversation_id", Uuid, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("sender_id", Text, nullable=False),
    Column("sender_type", Text, nullable=False),
    Column("sender_name", Text),
    Column("message_type", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("attachment_id", Uuid),
    Column("reply_to", Uuid),
    Column("is_important", Boolean, nullable=False),
    Column("extra_metadata", JSONB),
    Column("client_msg_id", Text),
    Column("fingerprint", LargeBinary),
    _instant("created_at"),
    _instant("edited_at", nullable=True),
    _instant("deleted_at", nullable=True),
    Column("notice", JSONB),
    Column("attachment", JSONB),
    Column("mentions", ARRAY(Text)),
    UniqueConstraint("conversation_id", "seq"),
    UniqueConstraint("sender_id", "client_msg_id"),
)

notifications = Table(
    "notifications",
    metadata,
    Column("notification_id", Uuid, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("sender_type", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("action", Text),
    Column("conversation_id", Uuid),
    Column("is_important", Boolean, nullable=False),
    Column("data", JSONB),
    Column("broadcast_id", Uuid),
    _instant("created_at"),
    Index("notifications_user_id_notification_id_idx", "user_id", text("notification_id DESC")),
)

broadcasts = Table(
    "broadcasts",
    metadata,
    Column("broadcast_id", Uuid, primary_key=True),
    Column("draft", JSONB, nullable=False),
    # To whom: users with at least one of these roles; empty means everybody.
    Column("roles", ARRAY(Text), nullable=False),
    Column("created_by", Text, nullable=False),
    _instant("created_at"),
    # How many users that were when it was accepted.
    Column("recipients", BigInteger, nullable=False),
    Column("sent", BigInteger, nullable=False, server_default=text("0")),
    # Everybody up to here has been told, in the order of user ids.
    Column("cursor_user_id", Text),
    _instant("done_at", nullable=True),
    Index("broadcasts_waiting_idx", "broadcast_id", postgresql_where=text("done_at IS NULL")),
)

attachments = Table(
    "attachments",
    metadata,
    Column("attachment_id", Uuid, primary_key=True),
    Column("owner_id", Text, nullable=False),
    # What the bytes were found to be; unknown until they are all there.
    Column("name", Text),
    Column("media_type", Text),
    Column("size_bytes", BigInteger),
    Column("sha256", Text),
    Column("duration_ms", Integer),
    # The message that carries it.
    Column("conversation_id", Uuid),
    Column("message_id", Uuid),
    _instant("created_at"),
    _instant("stored_at", nullable=True),
    # Nobody gets it any more; its bytes are about to go.
    _instant("deleted_at", nullable=True),
    Index(None, "message_id", postgresql_where=text("message_id IS NOT NULL")),
    Index("attachments_unused_idx", "owner_id", "created_at", postgresql_where=text("message_id IS NULL")),
    Index("attachments_deleted_idx", "attachment_id", postgresql_where=text("deleted_at IS NOT NULL")),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", Integer),
    Column("body", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index(None, "created_at"),
)

relay_cursor = Table(
    "relay_cursor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("txid", Xid8, nullable=False),
    Column("position", BigInteger, nullable=False),
    _instant("updated_at"),
    # The incarnation of EVENTS that the relay publishes to, and the place there of the last event it saw stored.
    Column("stream_created", Text),
    Column("stream_seq", BigInteger, nullable=False, server_default=text("0")),
    # How often the cursor went back: a part of the message ids, so that a repeat is not taken for one.
    Column("generation", Integer, nullable=False, server_default=text("0")),
    # Somebody asks the relay to go back to here.
    Column("rewind_txid", Xid8),
    Column("rewind_position", BigInteger),
)

fanout_lanes = Table(
    "fanout_lanes",
    metadata,
    Column("lane", Integer, primary_key=True, autoincrement=False),
    Column("owner", Text),
    Column("epoch", Integer, nullable=False, server_default=text("0")),
    _instant("lease_until", nullable=True),
    # A place in EVENTS: what releases before 0003 noted. Read once, to find the key of the floor.
    Column("floor_stream", Text),
    Column("floor", BigInteger, nullable=False, server_default=text("0")),
    # Into how many lanes the streams were divided when this was written.
    Column("partitions", Integer),
    # Settled up to the floor, taken up to the top; `open` is what is not settled between: [[txid, position, users]].
    Column("floor_txid", Xid8),
    Column("floor_position", BigInteger),
    Column("top_txid", Xid8),
    Column("top_position", BigInteger),
    Column("open", JSONB),
    # The NATS server that the owner was connected to: another one means that the edges, too, must connect anew.
    Column("nats_server", Text),
)

fanout_members = Table(
    "fanout_members",
    metadata,
    Column("owner", Text, primary_key=True),
    _instant("seen_until"),
)

# Like sessions no part of the record: a token is a secret of the device, and goes when the device goes.
push_devices = Table(
    "push_devices",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("app_id", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("push_service", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("keys", JSONB),
    Column("device_type", Text, nullable=False),
    Column("locale", Text),
    Column("app_version", Text),
    Column("sandbox", Boolean, nullable=False),
    # The session in which it was registered; it goes with it.
    Column("session_id", Uuid),
    Column("unregister_hash", LargeBinary, nullable=False),
    _instant("registered_at"),
    _instant("last_seen_at"),
    UniqueConstraint("user_id", "app_id", "device_id"),
    Index("push_devices_token_idx", "push_service", "app_id", "token_hash", unique=True),
    Index(None, "session_id", postgresql_where=text("session_id IS NOT NULL")),
)

notification_settings = Table(
    "notification_settings",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("settings", JSONB, nullable=False),
    _instant("changed_at"),
)

mutes = Table(
    "mutes",
    metadata,
    Column("conversation_id", Uuid, primary_key=True),
    Column("user_id", Text, primary_key=True),
    # None: until it is taken back.
    _instant("until", nullable=True),
)

# How far each user has been told by sync: what lies there needs no push. A hint, and not to be rebuilt.
synced = Table(
    "synced",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("since_txid", Xid8(), nullable=False),
    Column("since_position", BigInteger, nullable=False),
    Column("until_txid", Xid8(), nullable=False),
    Column("until_position", BigInteger, nullable=False),
    _instant("at"),
)

handovers = Table(
    "handovers",
    metadata,
    Column("event_position", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    # Where OFFLINE_DELIVERY has it.
    Column("stream_created", Text, nullable=False),
    Column("stream_seq", BigInteger, nullable=False),
    Index(None, "stream_created", "stream_seq"),
)

receipts = Table(
    "receipts",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", Text, primary_key=True),
    Column("connection_id", Uuid, primary_key=True),
    Column("edge_id", Text, nullable=False),
    Column("device_type", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Index(None, "received_at"),
)

delivered = Table(
    "delivered",
    metadata,
    Column("conversation_id", Uuid, primary_key=True),
    Column("user_id", Text, primary_key=True),
    # The newest message that a device of the user has confirmed.
    Column("seq", BigInteger, nullable=False),
)

buckets = Table(
    "buckets",
    metadata,
    Column("name", Text, primary_key=True),
    # The incarnation of the bucket's stream that was filled, and where it ended when it was last looked at.
    Column("stream_created", Text, nullable=False),
    Column("stream_seq", BigInteger, nullable=False),
    _instant("filled_at"),
)
