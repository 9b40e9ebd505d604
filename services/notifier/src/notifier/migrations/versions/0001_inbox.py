"""The inbox: deliveries with their lease and outcome, and the poison beside them."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the notifier's two tables."""
    op.execute(
        """
        CREATE TABLE notifier.deliveries (
            id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            event_id     uuid NOT NULL,
            user_id      text NOT NULL,
            reason       text NOT NULL,
            -- The message as it came from NATS. Text, not jsonb: jsonb refuses \\u0000, and one such message would
            -- block all that follow.
            payload      text NOT NULL,
            decided_at   timestamptz NOT NULL,
            received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
            state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'skipped', 'dead')),
            due_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
            lease_token  uuid,
            lease_until  timestamptz,
            attempts     integer NOT NULL DEFAULT 0,
            provider     text,
            provider_ref text,
            skip_reason  text,
            last_error   text,
            settled_at   timestamptz,
            UNIQUE (event_id, user_id),
            CHECK ((state = 'pending') = (settled_at IS NULL)),
            CHECK ((lease_token IS NULL) = (lease_until IS NULL))
        )
        """
    )
    # Only what is still to do: the index stays small however long the history grows.
    op.execute("CREATE INDEX deliveries_due ON notifier.deliveries (due_at, id) WHERE state = 'pending'")
    op.execute("CREATE INDEX deliveries_lease ON notifier.deliveries (lease_token) WHERE lease_token IS NOT NULL")
    op.execute("CREATE INDEX deliveries_user ON notifier.deliveries (user_id, id)")
    op.execute(
        """
        CREATE TABLE notifier.poison (
            id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            stream_seq  bigint NOT NULL,
            -- A stream that was deleted and made again counts from 1: only together with the time it is one message.
            stored_at   timestamptz NOT NULL,
            subject     text NOT NULL,
            reason      text NOT NULL,
            size_bytes  integer NOT NULL,
            payload     bytea NOT NULL,
            received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            UNIQUE (stream_seq, stored_at)
        )
        """
    )


def downgrade() -> None:
    """Drop both tables with all that is in them."""
    op.execute("DROP TABLE notifier.poison")
    op.execute("DROP TABLE notifier.deliveries")
