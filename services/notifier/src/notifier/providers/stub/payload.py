"""A push as the stub writes it down; pure."""

from __future__ import annotations

import json
from datetime import datetime

from contracts.times import rfc3339
from notifier.push import Push


def line(push: Push, at: datetime) -> str:
    """One line of JSON with everything but the token."""
    told = {
        "at": rfc3339(at),
        "kind": push.kind.value,
        "push_id": push.id,
        "message_id": push.message_id,
        "user_id": push.user_id,
        "device": None if push.target is None else push.target.device,
        "device_class": push.device_class.value,
        "priority": push.priority.value,
        "title": push.title,
        "content": push.content,
        "data": push.data,
        "badge": push.badge,
        "retract": list(push.retract),
    }
    return json.dumps(told, ensure_ascii=False) + "\n"
