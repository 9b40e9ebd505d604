"""The shape of a command's handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from contracts.codec import Contract
from contracts.commands import CommandReply, SendMessageReply

Reply: TypeAlias = CommandReply | SendMessageReply

Handler: TypeAlias = Callable[[bytes], Awaitable[Reply]]
"""Takes the request's body, returns the reply. What it raises (`ContractError`, `Refused`, away, overloaded) becomes
the reply's error."""


def ack(data: Contract) -> CommandReply:
    """The reply that carries `data` to the client."""
    return CommandReply(ack=data.model_dump(mode="json", exclude_none=True))
