"""All SQL of deliveries and their pushes: each statement has a name, a sentence, and this one home.

Every instant that decides who may do what (due, lease, settled) is the database's clock, so that the processes' own
clocks need not agree.
"""

from __future__ import annotations

from sqlalchemy import text

ONE_INBOX_WRITER_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('notifier.inbox', 0))")
"""Ids are then committed in their order, so that a reader who follows them by `after_id` never misses one."""

INSERT_DELIVERIES = text(
    """
    INSERT INTO notifier.deliveries
        (event_id, user_id, reason, payload, decided_at, conversation_id, message_id, seq, due_at)
    SELECT event_id, user_id, reason, payload, decided_at, conversation_id, message_id, seq,
           least(decided_at, clock_timestamp()) + make_interval(secs => grace_s)
    FROM unnest(
        CAST(:event_ids AS uuid[]), CAST(:user_ids AS text[]), CAST(:reasons AS text[]),
        CAST(:payloads AS text[]), CAST(:decided_ats AS timestamptz[]), CAST(:conversation_ids AS uuid[]),
        CAST(:message_ids AS uuid[]), CAST(:seqs AS bigint[]), CAST(:graces_s AS double precision[])
    ) AS new (event_id, user_id, reason, payload, decided_at, conversation_id, message_id, seq, grace_s)
    ON CONFLICT (event_id, user_id) DO NOTHING
    """
)
"""Write what is new of a batch, due after its grace; what is there already stays as it is, whatever became of it."""

INSERT_POISON = text(
    """
    INSERT INTO notifier.poison (stream_seq, stored_at, subject, reason, size_bytes, payload)
    VALUES (:stream_seq, :stored_at, :subject, :reason, :size_bytes, :payload)
    ON CONFLICT (stream_seq, stored_at) DO NOTHING
    """
)
"""Put an unreadable message aside."""

_CLAIMED = """
    SET lease_token = :token, lease_until = clock_timestamp() + make_interval(secs => :lease_s)
    FROM due WHERE {match}
    RETURNING d.id, d.user_id, d.reason, d.payload, d.attempts, d.held, d.replayed_at
"""

_FREE = "(lease_until IS NULL OR lease_until < clock_timestamp())"
_NOT_IN_HAND = "user_id <> ALL(CAST(:in_hand AS text[]))"
"""One process sends one user's pushes one after the other."""

CLAIM_DUE = text(
    f"""
    WITH due AS (
        SELECT id FROM notifier.deliveries
        WHERE state = 'pending' AND due_at <= clock_timestamp() AND NOT held AND {_FREE} AND {_NOT_IN_HAND}
        ORDER BY due_at, id
        LIMIT :batch
        FOR UPDATE SKIP LOCKED
    )
    UPDATE notifier.deliveries AS d
    """
    + _CLAIMED.format(match="d.id = due.id")
)
"""Take due deliveries for a while; those that another process holds are passed over, not waited for."""

CLAIM_HELD = text(
    f"""
    WITH leaders AS (
        SELECT id, user_id FROM notifier.deliveries AS first
        WHERE state = 'pending' AND held AND due_at <= clock_timestamp() AND {_FREE} AND {_NOT_IN_HAND}
          AND NOT EXISTS (
              SELECT FROM notifier.deliveries AS earlier
              WHERE earlier.user_id = first.user_id AND earlier.state = 'pending' AND earlier.held
                AND earlier.due_at <= clock_timestamp() AND earlier.id < first.id
          )
        ORDER BY due_at, id
        LIMIT :users
        FOR UPDATE SKIP LOCKED
    ), due AS (
        SELECT held.id FROM leaders CROSS JOIN LATERAL (
            SELECT id FROM notifier.deliveries
            WHERE user_id = leaders.user_id AND state = 'pending' AND held AND due_at <= clock_timestamp() AND {_FREE}
            ORDER BY id LIMIT :each
        ) AS held
    )
    UPDATE notifier.deliveries AS d
    """
    + _CLAIMED.format(match="d.id = due.id")
)
"""Take everything that was held of some users and is due: whoever has a user's first one has the rest, so that two
processes never tell one user twice."""

NEXT_DUE = text(
    """
    SELECT extract(epoch FROM due_at - clock_timestamp()) FROM notifier.deliveries
    WHERE state = 'pending' AND due_at > clock_timestamp()
    ORDER BY due_at LIMIT 1
    """
)
"""Seconds until something will be due."""

PUSHES_OF = text(
    """
    SELECT push_id, delivery_id, device_id, device_type, provider, state, attempts,
           due_at <= clock_timestamp() AS due_now
    FROM notifier.pushes WHERE delivery_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY delivery_id, push_id
    """
)
"""What earlier rounds have begun."""

INSERT_PUSHES = text(
    """
    INSERT INTO notifier.pushes (push_id, delivery_id, device_id, device_type, provider)
    SELECT new.* FROM unnest(
        CAST(:push_ids AS uuid[]), CAST(:delivery_ids AS bigint[]), CAST(:device_ids AS uuid[]),
        CAST(:device_types AS text[]), CAST(:providers AS text[])
    ) AS new (push_id, delivery_id, device_id, device_type, provider)
    JOIN notifier.deliveries d ON d.id = new.delivery_id AND d.lease_token = :token
    ON CONFLICT (delivery_id, device_id, provider) DO NOTHING
    """
)
"""One row per device, before anything is sent."""

RECORD_PUSHES = text(
    """
    UPDATE notifier.pushes AS p
    SET state = became.state, attempts = p.attempts + became.attempted,
        due_at = now() + make_interval(secs => coalesce(became.wait_s, 0)),
        provider_ref = coalesce(became.provider_ref, p.provider_ref), skip_reason = became.skip_reason,
        last_error = coalesce(became.error, p.last_error),
        attempted_at = coalesce(p.attempted_at, CASE WHEN became.attempted > 0 THEN clock_timestamp() END),
        accepted_at = CASE WHEN became.state = 'accepted' THEN clock_timestamp() END,
        settled_at = CASE WHEN became.state <> 'pending' THEN clock_timestamp() END
    FROM unnest(
        CAST(:push_ids AS uuid[]), CAST(:tokens AS uuid[]), CAST(:states AS text[]), CAST(:attempted AS integer[]),
        CAST(:waits_s AS double precision[]), CAST(:provider_refs AS text[]), CAST(:skip_reasons AS text[]),
        CAST(:errors AS text[])
    ) AS became (push_id, token, state, attempted, wait_s, provider_ref, skip_reason, error),
    notifier.deliveries AS d
    WHERE p.push_id = became.push_id AND p.state = 'pending' AND d.id = p.delivery_id AND d.lease_token = became.token
    """
)
"""What became of pushes; nothing happens to those whose lease has gone to somebody else."""

RECORD_DELIVERIES = text(
    """
    UPDATE notifier.deliveries AS d
    SET state = became.state, attempts = d.attempts + became.attempted,
        provider = coalesce(became.provider, d.provider),
        provider_ref = coalesce(became.provider_ref, d.provider_ref), skip_reason = became.skip_reason,
        last_error = coalesce(became.error, d.last_error), held = became.held,
        due_at = CASE WHEN became.state <> 'pending' OR became.given_back THEN d.due_at ELSE coalesce(
            became.until,
            -- The transaction's moment, which all rows share: what belongs together is due together.
            now() + make_interval(secs => became.wait_s),
            (
                SELECT min(p.due_at) FROM notifier.pushes p
                WHERE p.delivery_id = coalesce(became.follows, d.id) AND p.state = 'pending'
            ),
            now()
        ) END,
        settled_at = CASE WHEN became.state <> 'pending' THEN clock_timestamp() END,
        lease_token = NULL, lease_until = NULL
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:tokens AS uuid[]), CAST(:states AS text[]), CAST(:attempted AS integer[]),
        CAST(:providers AS text[]), CAST(:provider_refs AS text[]), CAST(:skip_reasons AS text[]),
        CAST(:errors AS text[]), CAST(:waits_s AS double precision[]), CAST(:untils AS timestamptz[]),
        CAST(:helds AS boolean[]), CAST(:followed AS bigint[]), CAST(:given_backs AS boolean[])
    ) AS became (id, token, state, attempted, provider, provider_ref, skip_reason, error, wait_s, until, held, follows,
                 given_back)
    WHERE d.id = became.id AND d.lease_token = became.token AND d.state = 'pending'
    RETURNING d.id
    """
)
"""What became of deliveries, and the end of their lease; nothing happens to those that are somebody else's became."""

RELEASE = text("UPDATE notifier.deliveries SET lease_token = NULL, lease_until = NULL WHERE lease_token = :token")
"""Give back everything a claim still holds, due as before."""

LIST_DELIVERIES = text(
    """
    SELECT id, event_id, user_id, reason, state, provider, skip_reason, attempts, last_error, received_at,
           held AND state = 'pending' AS held,
           CASE WHEN state = 'pending' THEN due_at END AS due_at, settled_at
    FROM notifier.deliveries AS d
    WHERE id > :after_id
      AND (CAST(:event_id AS uuid) IS NULL OR event_id = CAST(:event_id AS uuid))
      AND (CAST(:user_id AS text) IS NULL OR user_id = CAST(:user_id AS text))
      AND (CAST(:state AS text) IS NULL OR state = CAST(:state AS text))
      AND (CAST(:provider AS text) IS NULL OR EXISTS (
          SELECT FROM notifier.pushes p WHERE p.delivery_id = d.id AND p.provider = CAST(:provider AS text)
      ))
    ORDER BY id
    LIMIT :limit
    """
)
"""One page of the record, oldest first."""

LIST_PUSHES = text(
    """
    SELECT push_id, delivery_id, device_id, device_type, provider, state, skip_reason, attempts, provider_ref,
           last_error, attempted_at, accepted_at, acknowledged_at, retracted_at,
           CASE WHEN state = 'pending' THEN due_at END AS due_at
    FROM notifier.pushes WHERE delivery_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY delivery_id, push_id
    """
)
"""The pushes of a page."""

COUNT_WAITING = text(
    """
    SELECT (SELECT count(*) FROM notifier.deliveries WHERE state = 'pending') AS pending,
           (SELECT count(*) FROM notifier.deliveries WHERE state = 'dead') AS dead
    """
)
"""What is still to do, and for whom; from the indexes of just these, however long the history is."""

COUNT_BY_STATE = text("SELECT state, count(*) FROM notifier.deliveries GROUP BY state")
"""How many deliveries stand where; reads the whole history."""

COUNT_UNTRUE = text(
    """
    SELECT count(*) FROM notifier.deliveries AS d
    LEFT JOIN LATERAL (
        SELECT count(*) FILTER (WHERE p.state = 'pending') AS pending,
               count(*) FILTER (WHERE p.state = 'accepted') AS accepted,
               count(*) FILTER (WHERE p.state = 'failed') AS failed
        FROM notifier.pushes p WHERE p.delivery_id = d.id
    ) AS pushes ON true
    WHERE d.state <> 'pending' AND d.settled_at > clock_timestamp() - make_interval(secs => :within_s)
      -- What was settled before there were rows per device says nothing about them.
      AND (pushes.pending > 0
        OR (d.state = 'sent') <> (pushes.accepted > 0) AND EXISTS (
            SELECT FROM notifier.pushes p WHERE p.delivery_id = d.id)
        OR d.state = 'skipped' AND (pushes.accepted > 0 OR pushes.failed > 0 AND d.skip_reason <> 'dropped')
        OR (d.state = 'skipped') <> (d.skip_reason IS NOT NULL))
    """
)
"""Deliveries whose end and whose pushes tell different stories: there must be none."""
