"""Devices: a row per device of a delivery, what is held, and what devices are to take back."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what the deliveries are about, and the tables `pushes` and `retractions`."""
    op.execute(
        """
        ALTER TABLE notifier.deliveries
            -- What it is about: to find it again when that is read or deleted. Null: outside of any conversation.
            ADD COLUMN conversation_id uuid,
            ADD COLUMN message_id      uuid,
            ADD COLUMN seq             bigint,
            -- For the end of quiet hours or of a snooze: what is held of one user becomes one push.
            ADD COLUMN held            boolean NOT NULL DEFAULT false,
            -- Brought back from the dead letters: the time in which it is worth a push begins anew.
            ADD COLUMN replayed_at     timestamptz
        """
    )
    op.execute(
        """
        CREATE INDEX deliveries_held ON notifier.deliveries (user_id, id) WHERE state = 'pending' AND held
        """
    )
    op.execute(
        """
        CREATE INDEX deliveries_unread ON notifier.deliveries (user_id, conversation_id, seq) WHERE state = 'pending'
        """
    )
    op.execute("CREATE INDEX deliveries_dead ON notifier.deliveries (id) WHERE state = 'dead'")
    # What has ended lately is held against its pushes; what has ended long since is forgotten.
    op.execute("CREATE INDEX deliveries_settled ON notifier.deliveries (settled_at) WHERE state <> 'pending'")
    op.execute(
        """
        CREATE TABLE notifier.pushes (
            push_id         uuid PRIMARY KEY,
            delivery_id     bigint NOT NULL REFERENCES notifier.deliveries (id) ON DELETE CASCADE,
            -- Null: the provider addresses the user.
            device_id       uuid,
            device_type     text,
            provider        text NOT NULL,
            state           text NOT NULL DEFAULT 'pending'
                            CHECK (state IN ('pending', 'accepted', 'skipped', 'failed')),
            skip_reason     text,
            attempts        integer NOT NULL DEFAULT 0,
            due_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
            provider_ref    text,
            last_error      text,
            attempted_at    timestamptz,
            accepted_at     timestamptz,
            acknowledged_at timestamptz,
            retracted_at    timestamptz,
            settled_at      timestamptz,
            UNIQUE NULLS NOT DISTINCT (delivery_id, device_id, provider),
            CHECK ((state = 'pending') = (settled_at IS NULL)),
            CHECK ((state = 'accepted') = (accepted_at IS NOT NULL))
        )
        """
    )
    # What a device may still show: to be taken back when it is read elsewhere.
    op.execute(
        """
        CREATE INDEX pushes_shown ON notifier.pushes (delivery_id)
        WHERE state = 'accepted' AND retracted_at IS NULL AND device_id IS NOT NULL
        """
    )
    op.execute(
        """
        CREATE INDEX deliveries_shown ON notifier.deliveries (user_id, conversation_id, seq)
        WHERE state = 'sent' AND conversation_id IS NOT NULL
        """
    )
    op.execute(
        "CREATE INDEX deliveries_message ON notifier.deliveries (conversation_id, message_id) WHERE state = 'sent'"
    )
    op.execute(
        """
        CREATE TABLE notifier.retractions (
            id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            user_id         text NOT NULL,
            device_id       uuid NOT NULL,
            provider        text NOT NULL,
            conversation_id uuid NOT NULL,
            state           text NOT NULL DEFAULT 'pending'
                            CHECK (state IN ('pending', 'sent', 'carried', 'skipped', 'failed')),
            attempts        integer NOT NULL DEFAULT 0,
            due_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
            lease_token     uuid,
            lease_until     timestamptz,
            last_error      text,
            created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
            settled_at      timestamptz,
            CHECK ((state = 'pending') = (settled_at IS NULL)),
            CHECK ((lease_token IS NULL) = (lease_until IS NULL))
        )
        """
    )
    # One at a time for a device and conversation, however much is read there at once.
    op.execute(
        """
        CREATE UNIQUE INDEX retractions_one ON notifier.retractions (device_id, conversation_id) WHERE state = 'pending'
        """
    )
    op.execute("CREATE INDEX retractions_due ON notifier.retractions (due_at, id) WHERE state = 'pending'")
    # How many a device has had within the hour.
    op.execute("CREATE INDEX retractions_sent ON notifier.retractions (device_id, settled_at) WHERE state = 'sent'")


def downgrade() -> None:
    """Drop what was added, with what is in it."""
    op.execute("DROP TABLE notifier.retractions")
    op.execute("DROP TABLE notifier.pushes")
    op.execute("DROP INDEX notifier.deliveries_dead")
    op.execute("DROP INDEX notifier.deliveries_settled")
    op.execute(
        """
        ALTER TABLE notifier.deliveries
            DROP COLUMN conversation_id, DROP COLUMN message_id, DROP COLUMN seq, DROP COLUMN held,
            DROP COLUMN replayed_at
        """
    )
