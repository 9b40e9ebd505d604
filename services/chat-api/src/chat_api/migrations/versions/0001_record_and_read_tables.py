"""The record, the read tables, and who carries the events on."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    stream text NOT NULL,
    seq bigint NOT NULL,
    type text NOT NULL,
    version smallint NOT NULL,
    data jsonb NOT NULL,
    metadata jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (stream, seq)
);
CREATE INDEX events_txid_position_idx ON events (txid, position);

CREATE TABLE streams (stream text PRIMARY KEY, seq bigint NOT NULL);

CREATE TABLE users (
    user_id text PRIMARY KEY,
    name text,
    roles text[] NOT NULL,
    registered_at timestamptz NOT NULL
);

CREATE TABLE credentials (user_id text PRIMARY KEY, password_hash text NOT NULL);

CREATE TABLE conversations (
    conversation_id uuid PRIMARY KEY,
    owner_id text NOT NULL,
    title text,
    metadata jsonb,
    last_seq bigint NOT NULL,
    last_message_seq bigint,
    created_at timestamptz NOT NULL,
    last_activity_at timestamptz NOT NULL
);

CREATE TABLE participants (
    conversation_id uuid NOT NULL,
    user_id text NOT NULL,
    is_active boolean NOT NULL,
    joined_seq bigint NOT NULL,
    left_seq bigint,
    read_seq bigint NOT NULL DEFAULT 0,
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
);
CREATE INDEX participants_user_id_idx ON participants (user_id) WHERE is_active;

CREATE TABLE messages (
    message_id uuid PRIMARY KEY,
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    sender_id text NOT NULL,
    sender_type text NOT NULL,
    sender_name text,
    message_type text NOT NULL,
    content text NOT NULL,
    attachment_id uuid,
    reply_to uuid,
    is_important boolean NOT NULL,
    extra_metadata jsonb,
    client_msg_id text,
    fingerprint bytea,
    created_at timestamptz NOT NULL,
    edited_at timestamptz,
    deleted_at timestamptz,
    UNIQUE (conversation_id, seq),
    UNIQUE (sender_id, client_msg_id)
);

CREATE TABLE idempotency_keys (
    user_id text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status integer,
    body text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

CREATE TABLE relay_cursor (
    name text PRIMARY KEY,
    txid xid8 NOT NULL,
    position bigint NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE fanout_lanes (
    lane integer PRIMARY KEY,
    owner text,
    epoch integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    floor_stream text,
    floor bigint NOT NULL DEFAULT 0
);

CREATE TABLE fanout_members (owner text PRIMARY KEY, seen_until timestamptz NOT NULL);
"""

# The record is append-only, and the database itself says so.
GUARD = """
CREATE FUNCTION events_are_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only';
END $$;
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_history();
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    function, trigger = GUARD.split("END $$;")
    op.execute(function + "END $$")
    op.execute(trigger)
