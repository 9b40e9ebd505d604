"""A message of NATS without NATS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FakeMessage:
    """An `Incoming`."""

    subject: str
    data: bytes = b""
    reply: str = ""
    headers: Mapping[str, str] | None = None
