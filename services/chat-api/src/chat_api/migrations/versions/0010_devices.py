"""Devices and their push tokens, what users want to be told, and how far each has synced."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE messages ADD COLUMN mentions text[]")
    op.execute("""
        CREATE TABLE push_devices (
            id uuid PRIMARY KEY,
            user_id text NOT NULL,
            app_id text NOT NULL,
            device_id text NOT NULL,
            platform text NOT NULL,
            push_service text NOT NULL,
            token text NOT NULL,
            token_hash bytea NOT NULL,
            keys jsonb,
            device_type text NOT NULL,
            locale text,
            app_version text,
            sandbox boolean NOT NULL,
            session_id uuid,
            unregister_hash bytea NOT NULL,
            registered_at timestamptz NOT NULL,
            last_seen_at timestamptz NOT NULL,
            UNIQUE (user_id, app_id, device_id)
        )
    """)
    # A token belongs to one registration: a phone that somebody else signs in on does not tell the last owner's news.
    op.execute("CREATE UNIQUE INDEX push_devices_token_idx ON push_devices (push_service, app_id, token_hash)")
    op.execute("CREATE INDEX push_devices_session_id_idx ON push_devices (session_id) WHERE session_id IS NOT NULL")
    op.execute("""
        CREATE TABLE notification_settings (
            user_id text PRIMARY KEY,
            settings jsonb NOT NULL,
            changed_at timestamptz NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE mutes (
            conversation_id uuid NOT NULL,
            user_id text NOT NULL,
            until timestamptz,
            PRIMARY KEY (conversation_id, user_id)
        )
    """)
    op.execute("""
        CREATE TABLE synced (
            user_id text PRIMARY KEY,
            since_txid xid8 NOT NULL,
            since_position bigint NOT NULL,
            until_txid xid8 NOT NULL,
            until_position bigint NOT NULL,
            at timestamptz NOT NULL
        )
    """)
