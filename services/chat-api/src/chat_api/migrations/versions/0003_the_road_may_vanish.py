"""How far each lane is in the record's order, what the relay knows of the stream, and hand-overs not yet taken."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE relay_cursor
            ADD COLUMN stream_created text,
            ADD COLUMN stream_seq bigint NOT NULL DEFAULT 0,
            ADD COLUMN generation integer NOT NULL DEFAULT 0,
            ADD COLUMN rewind_txid xid8,
            ADD COLUMN rewind_position bigint
    """)
    op.execute("""
        ALTER TABLE fanout_lanes
            ADD COLUMN partitions integer,
            ADD COLUMN floor_txid xid8,
            ADD COLUMN floor_position bigint,
            ADD COLUMN top_txid xid8,
            ADD COLUMN top_position bigint,
            ADD COLUMN open jsonb,
            ADD COLUMN nats_server text
    """)
    op.execute("""
        CREATE TABLE handovers (
            event_position bigint NOT NULL,
            user_id text NOT NULL,
            reason text NOT NULL,
            decided_at timestamptz NOT NULL,
            stream_created text NOT NULL,
            stream_seq bigint NOT NULL,
            PRIMARY KEY (event_position, user_id)
        )
    """)
    op.execute("CREATE INDEX handovers_stream_created_stream_seq_idx ON handovers (stream_created, stream_seq)")
