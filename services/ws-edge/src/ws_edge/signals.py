"""Who is typing here, and what of it is worth telling chat-api; no I/O."""

from __future__ import annotations

TYPING_COALESCE_S = 2.0
"""The same again within this is acked and not forwarded. Less than clients' own 3 s between renewals."""
TYPING_FORGOTTEN_S = 6.0
"""Whoever has not renewed for so long has stopped, and everybody knows by now."""
CONVERSATIONS_MAX = 16
"""Conversations in which one socket can be typing; beyond it the longest unrenewed one just expires."""


class TypingSignals:
    """What each socket was last heard typing; empty for most."""

    def __init__(self) -> None:
        self._typing: dict[str, dict[str, float]] = {}

    def __len__(self) -> int:
        return len(self._typing)

    def is_news(self, connection_id: str, conversation_id: str, is_typing: bool, now_s: float) -> bool:
        """Whether chat-api should hear of this one."""
        typing = self._typing.get(connection_id)
        if not is_typing:
            self.forget(connection_id, conversation_id)
            return True
        if typing is None:
            typing = self._typing[connection_id] = {}
        since_s = typing.pop(conversation_id, None)
        if since_s is not None and now_s - since_s < TYPING_COALESCE_S:
            typing[conversation_id] = since_s
            return False
        if len(typing) >= CONVERSATIONS_MAX:
            del typing[next(iter(typing))]
        typing[conversation_id] = now_s
        return True

    def forget(self, connection_id: str, conversation_id: str) -> None:
        """It has ended, or was not taken."""
        typing = self._typing.get(connection_id)
        if typing is not None:
            typing.pop(conversation_id, None)
            if not typing:
                del self._typing[connection_id]

    def left(self, connection_id: str, now_s: float) -> list[str]:
        """The socket is gone; the conversations in which it was typing until now."""
        typing = self._typing.pop(connection_id, {})
        return [conversation for conversation, at_s in typing.items() if now_s - at_s < TYPING_FORGOTTEN_S]
