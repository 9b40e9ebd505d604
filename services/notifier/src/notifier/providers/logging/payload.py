"""A push as text: a framed block for people, or one JSON line for collectors; pure.

┌─ push ─────────────
│ device    mobile
│ priority  normal
│ user      alice
│ title     Bob
│ content   hello
│ data      {"conversation_id": "…", "action": "open_conversation"}
└────────────────────
"""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime

from contracts.times import rfc3339
from kit.logs import Stage
from notifier.push import Push

_RULE = "─" * 60
_LABEL_CHARS = 10


def block(push: Push) -> str:
    """The framed block, ending with a line feed. There is no right border: nobody can align it for every script."""
    rows = [
        ("device", push.device_class.value),
        ("priority", push.priority.value),
        ("user", push.user_id),
        ("title", push.title),
        ("content", push.content),
        ("data", json.dumps(push.data, ensure_ascii=False)),
    ]
    lines = [f"┌─ push {_RULE[7:]}"]
    for label, value in rows:
        first, *more = (_visible(line) for line in _lines(value))
        lines.append(f"│ {label:<{_LABEL_CHARS}}{first}")
        lines.extend(f"│ {'':<{_LABEL_CHARS}}{line}" for line in more)
    lines.append(f"└{_RULE}")
    return "\n".join(lines) + "\n"


def json_line(push: Push, at: datetime) -> str:
    """The same fields as one line of JSON, shaped like every other log line of the service."""
    fields = {
        "event": "push",
        "stage": Stage.LOCAL_PUSH.value,
        "service": "notifier",
        "level": "info",
        "timestamp": rfc3339(at),
        "message_id": push.message_id,
        "device_class": push.device_class.value,
        "priority": push.priority.value,
        "user": push.user_id,
        "title": push.title,
        "content": push.content,
        "data": push.data,
    }
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _lines(value: str) -> list[str]:
    return value.splitlines() or [""]


def _visible(line: str) -> str:
    """Control and direction characters as escapes: a message must not recolour, hide or forge lines of a terminal."""
    return "".join(
        f"\\x{ord(char):02x}" if unicodedata.category(char) in ("Cc", "Cs") or char in _BIDI else char for char in line
    )


_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
