"""Reading what services answer; pure. Nothing of an answer is believed to have a shape."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any


def json_object(body: bytes) -> dict[str, Any]:
    """The answer as an object; empty if it is anything else, such as a proxy's page in HTML."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def child(answer: dict[str, Any], name: str) -> dict[str, Any]:
    """The object of that name; empty if there is none."""
    found = answer.get(name)
    return found if isinstance(found, dict) else {}


def number(value: Any) -> int | None:
    """A code, which one service writes as a number and another as digits; None if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    return None


def instant_of_ms(value: Any) -> datetime | None:
    """An instant, which is written as milliseconds since 1970, as a number or as digits; None if it is nothing that
    can be one."""
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) <= 14):
        return None
    return datetime.fromtimestamp(int(text) / 1_000, UTC)


def ref(value: Any) -> str | None:
    """The service's own name for a push, as text of at most 128 characters; None if it gave none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value[:128] if isinstance(value, str) and value else None
