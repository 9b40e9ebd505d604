"""Sessions of local accounts with their refresh tokens, and who is blocked."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE sessions (
            session_id uuid PRIMARY KEY,
            user_id text NOT NULL,
            user_agent text,
            created_at timestamptz NOT NULL,
            last_used_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            ended_at timestamptz,
            end_reason text
        )
    """)
    op.execute("CREATE INDEX sessions_user_id_last_used_at_idx ON sessions (user_id, last_used_at)")
    op.execute("CREATE INDEX sessions_ended_at_idx ON sessions (ended_at) WHERE ended_at IS NOT NULL")
    op.execute("CREATE INDEX sessions_expires_at_idx ON sessions (expires_at)")
    op.execute("""
        CREATE TABLE refresh_tokens (
            token_hash bytea PRIMARY KEY,
            session_id uuid NOT NULL,
            successor_hash bytea,
            used_at timestamptz,
            expires_at timestamptz NOT NULL
        )
    """)
    op.execute("CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id)")
    op.execute("CREATE INDEX refresh_tokens_used_at_idx ON refresh_tokens (used_at) WHERE used_at IS NOT NULL")
    op.execute("ALTER TABLE users ADD COLUMN blocked_at timestamptz, ADD COLUMN sessions_ended_at timestamptz")
    op.execute("CREATE INDEX users_blocked_at_idx ON users (blocked_at) WHERE blocked_at IS NOT NULL")
    op.execute(
        "CREATE INDEX users_sessions_ended_at_idx ON users (sessions_ended_at) WHERE sessions_ended_at IS NOT NULL"
    )
