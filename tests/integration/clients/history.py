"""What a conversation holds after a seq, read page by page as a client fills a gap."""

from __future__ import annotations

from typing import Any

from .api import Api


async def events_after(who: Api, conversation_id: str, seq: int = 0) -> list[dict[str, Any]]:
    """Every durable event after `seq`, in order."""
    found: list[dict[str, Any]] = []
    while True:
        params = {"after_seq": found[-1]["seq"] if found else seq, "limit": 200}
        page = await who.ok("GET", f"/v1/conversations/{conversation_id}/events", params=params)
        found += page["events"]
        if not page["events"] or found[-1]["seq"] >= page["last_seq"]:
            return found


async def contents_after(who: Api, conversation_id: str, seq: int = 0) -> list[str]:
    """The texts of the messages after `seq`, in order."""
    events = await events_after(who, conversation_id, seq)
    return [event["data"]["content"] for event in events if event["type"] == "message.created"]
