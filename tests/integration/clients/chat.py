"""The kept client of libs/client, with a notebook of everything that its user was shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from contracts.ids import new_id
from natter_client import ChatClient, ClientOptions, Delivered, Device
from stack import Stack

QUICK_CLIENT = ClientOptions(
    backoff_base_s=0.1, backoff_cap_s=1.0, sync_after_connect_s=1.0, burst_tail_s=0.5, sync_interval_s=3.0
)
ONLY_TAIL = replace(QUICK_CLIENT, sync_after_connect_s=0.01, sync_interval_s=600.0)
"""Nothing but the end of a burst makes it sync."""
ONLY_INTERVAL = replace(QUICK_CLIENT, sync_after_connect_s=0.01, burst_tail_s=None)
"""Nothing but the time makes it sync."""


class Screen:
    """What one device has shown, in the order in which it did."""

    def __init__(self) -> None:
        self.shown: list[Delivered] = []
        self.client: ChatClient

    def events(self, conversation_id: str) -> list[tuple[int, str]]:
        """(seq, type) of everything that was shown of a conversation."""
        stream = f"conversation:{conversation_id}"
        return [(one.seq, one.type) for one in self.shown if one.stream == stream]

    def contents(self, conversation_id: str) -> list[str]:
        """The texts of the conversation's messages, as they came up."""
        return [
            str(one.data["content"])
            for one in self.shown
            if one.type == "message.created" and one.data["conversation_id"] == conversation_id
        ]


@asynccontextmanager
async def chat_client(
    stack: Stack,
    user_id: str,
    *,
    socket_urls: Sequence[str] | None = None,
    api_url: str | None = None,
    device_id: str | None = None,
    options: ClientOptions = QUICK_CLIENT,
    token: Callable[[], str] | None = None,
    **more: Any,
) -> AsyncIterator[Screen]:
    """A device of `user_id` that is connected and complete when the block begins."""
    screen = Screen()

    async def mint() -> str:
        return token() if token is not None else stack.token(user_id)

    screen.client = ChatClient(
        api_url=api_url or stack.api_url,
        socket_urls=list(socket_urls or stack.edge_urls),
        user_id=user_id,
        token=mint,
        device=Device(id=device_id or new_id(), type="mobile"),
        options=options,
        on_event=screen.shown.append,
        **more,
    )
    async with screen.client:
        await screen.client.caught_up()
        yield screen
