"""Passwords of local accounts: argon2, never on the event loop."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Passwords:
    """argon2 with a bound on how many run at once: each takes memory and a core, and none may block the loop."""

    def __init__(self, at_once_max: int) -> None:
        self._hasher = PasswordHasher()
        self._turns = asyncio.Semaphore(at_once_max)
        # Checked when the account does not exist, so that the time taken does not tell.
        self._nobody = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """A salted hash, in argon2's own notation."""
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one; takes as long when there is no account."""
        async with self._turns:
            return await asyncio.to_thread(self._verify, stored or self._nobody, password) and stored is not None

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
