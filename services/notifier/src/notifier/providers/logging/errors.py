"""How the logging provider may fail."""

from __future__ import annotations

from notifier.providers.base import TransientPushError


class OutputBroken(TransientPushError):
    """The output cannot be written to (disk full, reader gone): a later attempt may find it repaired."""
