"""Indexes for catching up: one stream's events in the record's order, and a user's conversations in theirs."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX events_stream_txid_position_idx ON events (stream, txid, position)")
    op.execute(
        "CREATE INDEX participants_user_id_conversation_id_idx ON participants (user_id, conversation_id)"
        " WHERE is_active"
    )
    op.execute("DROP INDEX participants_user_id_idx")
