"""Consults: who waits, who has whom; and which conversations hold notes of which consult."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE conversations ADD COLUMN notes_of uuid")
    op.execute("""
        CREATE TABLE consults (
            conversation_id uuid PRIMARY KEY,
            customer_id text NOT NULL,
            topic text,
            state text NOT NULL,
            assignee_id text,
            opened_at timestamptz NOT NULL,
            taken_at timestamptz,
            closed_at timestamptz,
            notes_conversation_id uuid
        )
    """)
    op.execute("CREATE INDEX consults_waiting_idx ON consults (opened_at, conversation_id) WHERE state = 'waiting'")
    op.execute(
        "CREATE INDEX consults_state_idx ON consults (state, opened_at, conversation_id) WHERE state <> 'waiting'"
    )
    op.execute("CREATE INDEX consults_assignee_idx ON consults (assignee_id, state, opened_at, conversation_id)")
