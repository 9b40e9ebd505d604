"""Everything that can keep a stack from running, each with the sentence a person needs.

StackError
├── PartFailed        a part ended or did not become ready; carries the end of its log
├── PortTaken         a fixed port belongs to another process
├── DataDirInUse      another stack runs on the same data directory
└── DataDirUnusable   the data directory does not fit this version or these secrets
"""

from collections.abc import Sequence
from pathlib import Path


class StackError(Exception):
    """The stack cannot run."""


class PartFailed(StackError):
    """A part of the stack ended or did not become ready in time."""

    def __init__(self, part: str, reason: str, log_tail: Sequence[str] = ()) -> None:
        self.part = part
        self.reason = reason
        self.log_tail = tuple(log_tail)
        shown = "".join(f"\n    {line}" for line in log_tail)
        super().__init__(f"{part}: {reason}" + (f"\n  the last lines of its log:{shown}" if shown else ""))


class PortTaken(StackError):
    """A part needs a port that another process listens on."""

    def __init__(self, part: str, port: int, owner: str | None, variable: str | None) -> None:
        self.part = part
        self.port = port
        by = f" by {owner}" if owner else ""
        remedy = f"; stop it, or choose another port with {variable}=<port>" if variable else ""
        super().__init__(f"{part}: port {port} is taken{by}{remedy}")


class DataDirInUse(StackError):
    """Two stacks would write to the same data directory."""

    def __init__(self, data_dir: Path, owner_pid: str) -> None:
        by = f" by process {owner_pid}" if owner_pid else ""
        super().__init__(f"{data_dir} is in use{by}: stop that stack, or choose another data directory")


class DataDirUnusable(StackError):
    """The data directory was made by another version, or its secrets are gone."""
