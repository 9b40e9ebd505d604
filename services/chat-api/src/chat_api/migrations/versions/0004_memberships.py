"""An index over comings and goings: who took part earlier is read from the events."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX events_memberships_idx ON events (stream, seq)"
        " WHERE type IN ('participant.joined', 'participant.left')"
    )
