"""Which devices had what and how far each user has it, which bucket was filled, and indexes over revocations."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE receipts (
            stream text NOT NULL,
            seq bigint NOT NULL,
            user_id text NOT NULL,
            connection_id uuid NOT NULL,
            edge_id text NOT NULL,
            device_type text NOT NULL,
            received_at timestamptz NOT NULL,
            PRIMARY KEY (stream, seq, user_id, connection_id)
        )
    """)
    op.execute("CREATE INDEX receipts_received_at_idx ON receipts (received_at)")
    op.execute("""
        CREATE TABLE delivered (
            conversation_id uuid NOT NULL,
            user_id text NOT NULL,
            seq bigint NOT NULL,
            PRIMARY KEY (conversation_id, user_id)
        )
    """)
    op.execute("""
        CREATE TABLE buckets (
            name text NOT NULL PRIMARY KEY,
            stream_created text NOT NULL,
            stream_seq bigint NOT NULL,
            filled_at timestamptz NOT NULL
        )
    """)
    op.execute(
        "CREATE INDEX events_blocks_idx ON events (stream, seq) WHERE type IN ('user.blocked', 'user.unblocked')"
    )
    op.execute(
        "CREATE INDEX events_sessions_ended_idx ON events (recorded_at, stream) WHERE type = 'user.sessions_ended'"
    )
