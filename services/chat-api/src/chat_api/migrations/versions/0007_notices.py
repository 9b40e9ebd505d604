"""What the system says: notices in conversations, notifications to one user, and broadcasts on their way to many."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE messages ADD COLUMN notice jsonb")
    op.execute("""
        CREATE TABLE notifications (
            notification_id uuid PRIMARY KEY,
            user_id text NOT NULL,
            sender_type text NOT NULL,
            title text NOT NULL,
            content text NOT NULL,
            type text NOT NULL,
            action text,
            conversation_id uuid,
            is_important boolean NOT NULL,
            data jsonb,
            broadcast_id uuid,
            created_at timestamptz NOT NULL
        )
    """)
    op.execute(
        "CREATE INDEX notifications_user_id_notification_id_idx ON notifications (user_id, notification_id DESC)"
    )
    op.execute("""
        CREATE TABLE broadcasts (
            broadcast_id uuid PRIMARY KEY,
            draft jsonb NOT NULL,
            roles text[] NOT NULL,
            created_by text NOT NULL,
            created_at timestamptz NOT NULL,
            recipients bigint NOT NULL,
            sent bigint NOT NULL DEFAULT 0,
            cursor_user_id text,
            done_at timestamptz
        )
    """)
    op.execute("CREATE INDEX broadcasts_waiting_idx ON broadcasts (broadcast_id) WHERE done_at IS NULL")
