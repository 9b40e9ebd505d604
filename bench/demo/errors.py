"""Why the demo could not be played; what it finds wrong while playing is a verdict, never an exception.

DemoError
├── CorpusMissing     no dialogues to play
├── BadSize           these numbers make no plan
└── SetupFailed       users, conversations or sockets could not be made ready, or a message was never accepted
"""

from __future__ import annotations


class DemoError(Exception):
    """The demo could not be played."""


class CorpusMissing(DemoError):
    """The dialogues are not installed, or none of them can be used."""


class BadSize(DemoError):
    """These numbers make no plan."""


class SetupFailed(DemoError):
    """Something that must work before a result means anything did not."""
