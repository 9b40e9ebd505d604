"""The rules for pushes: who was not reached gets one, who was reached gets none, nobody gets two.

With M a message, U a member other than its sender at M's place in the conversation:

- *missing push*: no device of U got M before the end of the run, neither by frame nor by sync, and the ledger has no
  push of M to U that was sent; nor one that was left out because U had left by then, and the record says so, too.
- *wrong push*: the ledger has one, although U is M's sender or no member; or although some device of U held one and the
  same live socket from one second before M was recorded until the push was decided, and had got M's frame longer ago
  than the receipt timeout and a second. Inside that time nobody can know: the receipt may be on its way.
- *second push*: two rows for M and U; or the provider was given M for U twice, unless the notifier was killed in this
  run: whoever dies between a push and its record pushes once more, under the same id.

A push beside the ones that are due is allowed for an important message (a desktop may have got it, and no mobile).
"""

from __future__ import annotations

from collections import Counter, defaultdict

from .evidence import DeviceSeen, Evidence, PushRow, Recorded
from .record import Record
from .verdict import MISSING_PUSH, SECOND_PUSH, WRONG_PUSH, Verdict

CONNECTED_BEFORE_S = 1.0
SLACK_S = 1.0
_SENT = "sent"
_LEFT = "left"
_IMPORTANT = "important_mobile"


def check_pushes(evidence: Evidence, record: Record, verdict: Verdict) -> None:
    """Add what is wrong with the pushes to the verdict."""
    devices: dict[str, list[DeviceSeen]] = defaultdict(list)
    for device in evidence.devices:
        devices[device.user_id].append(device)
    by_id = {row.event_id: row for row in record.messages}
    for push in evidence.pushes:
        row = by_id.get(push.event_id)
        if push.state == _SENT:
            why_not = _why_not(push, row, record, devices[push.user_id], evidence.ack_timeout_s)
            if why_not:
                text = row.content if row is not None else push.event_id
                verdict.add(WRONG_PUSH, f"{text!r} was pushed to {push.user_id} ({push.reason}), but {why_not}")
    decided = {(push.event_id, push.user_id): push for push in evidence.pushes}
    for row, user_id in missing(evidence, record):
        decision = decided.get((row.event_id, user_id))
        why = "nobody handed it over" if decision is None else decision.skip_reason or decision.state
        verdict.add(MISSING_PUSH, f"{row.content!r} reached no device of {user_id}, and no push was sent ({why})")
    rows = Counter((push.event_id, push.user_id) for push in evidence.pushes)
    for (event_id, user_id), times in rows.items():
        if times > 1:
            verdict.add(SECOND_PUSH, f"the ledger has {times} rows for {event_id} and {user_id}")
    if not evidence.pushes_may_repeat:
        for (text, user_id), times in evidence.provider_pushes.items():
            if times > 1:
                verdict.add(SECOND_PUSH, f"the provider was given {text!r} for {user_id} {times} times")


def missing(evidence: Evidence, record: Record | None = None) -> list[tuple[Recorded, str]]:
    """Return the messages and users for which a push is due and not sent."""
    record = record or Record(evidence.record)
    reached = {
        (device.user_id, stream, seq)
        for device in evidence.devices
        for stream, seq in (*device.frames, *((shown.stream, shown.seq) for shown in device.shown))
    }
    pushed = {(push.event_id, push.user_id) for push in evidence.pushes if push.state == _SENT}
    left = {(push.event_id, push.user_id) for push in evidence.pushes if push.skip_reason == _LEFT}
    return [
        (row, user_id)
        for row in record.messages
        for user_id in record.members[row.stream]
        if user_id != row.data["sender_id"]
        and record.takes_part(user_id, row.stream, row.seq)
        and (user_id, row.stream, row.seq) not in reached
        and (row.event_id, user_id) not in pushed
        and not ((row.event_id, user_id) in left and _left_after(record, user_id, row))
    ]


def _left_after(record: Record, user_id: str, row: Recorded) -> bool:
    return any(
        later.type == "participant.left" and later.seq > row.seq and later.data["user_id"] == user_id
        for later in record.streams[row.stream]
    )


def _why_not(
    push: PushRow, row: Recorded | None, record: Record, devices: list[DeviceSeen], ack_timeout_s: float
) -> str:
    if row is None:
        return "no such message is recorded"
    if push.user_id == row.data["sender_id"]:
        return "he sent it"
    if not record.takes_part(push.user_id, row.stream, row.seq):
        return "he was no member"
    if push.reason == _IMPORTANT and row.data.get("is_important"):
        return ""
    for device in devices:
        got_at = device.frames.get((row.stream, row.seq))
        if got_at is None or got_at >= push.decided_at - ack_timeout_s - SLACK_S:
            continue
        since = row.at - CONNECTED_BEFORE_S
        away = any(begin < push.decided_at and end > since for begin, end in device.away)
        if not away and any(begin <= since and end >= push.decided_at for begin, end in device.sockets):
            waited = push.decided_at - got_at
            return f"{device.name} had its frame {waited:.2f} s before that was decided, and never lost its socket"
    return ""
