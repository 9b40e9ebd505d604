"""The tables, as SQLAlchemy Core sees them; migrations/ creates them, and a test holds the two together.

`events` and `streams` are the record. `users`, `conversations`, `participants` and `messages` follow from it and can be
dropped and rebuilt. `credentials` and `idempotency_keys` are neither: secrets and short memories do not belong in an
event log. `relay_cursor` and `fanout_lanes` say who carries the events on, and from where.
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
)

credentials = Table(
    "credentials",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("password_hash", Text, nullable=False),
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
    UniqueConstraint("conversation_id", "seq"),
    UniqueConstraint("sender_id", "client_msg_id"),
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
)

fanout_lanes = Table(
    "fanout_lanes",
    metadata,
    Column("lane", Integer, primary_key=True, autoincrement=False),
    Column("owner", Text),
    Column("epoch", Integer, nullable=False, server_default=text("0")),
    _instant("lease_until", nullable=True),
    Column("floor_stream", Text),
    Column("floor", BigInteger, nullable=False, server_default=text("0")),
)

fanout_members = Table(
    "fanout_members",
    metadata,
    Column("owner", Text, primary_key=True),
    _instant("seen_until"),
)
