"""Files: what is known of each, and what a message says of the one that it carries."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE messages ADD COLUMN attachment jsonb")
    op.execute("""
        CREATE TABLE attachments (
            attachment_id uuid PRIMARY KEY,
            owner_id text NOT NULL,
            name text,
            media_type text,
            size_bytes bigint,
            sha256 text,
            duration_ms integer,
            conversation_id uuid,
            message_id uuid,
            created_at timestamptz NOT NULL,
            stored_at timestamptz,
            deleted_at timestamptz
        )
    """)
    op.execute("CREATE INDEX attachments_message_id_idx ON attachments (message_id) WHERE message_id IS NOT NULL")
    op.execute("CREATE INDEX attachments_unused_idx ON attachments (owner_id, created_at) WHERE message_id IS NULL")
    op.execute("CREATE INDEX attachments_deleted_idx ON attachments (attachment_id) WHERE deleted_at IS NOT NULL")
