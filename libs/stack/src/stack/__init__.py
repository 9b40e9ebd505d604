"""Starts real NATS, real Postgres and Natter's services on this machine: `make dev`, tests, the demo, the bench."""

from stack.errors import DataDirInUse, DataDirUnusable, PartFailed, PortTaken, StackError
from stack.options import Backend, DeathWatch, Programs, StackOptions
from stack.part import Part
from stack.proxy import FaultProxy
from stack.stack import Stack

__all__ = [
    "Backend",
    "DataDirInUse",
    "DataDirUnusable",
    "DeathWatch",
    "FaultProxy",
    "Part",
    "PartFailed",
    "PortTaken",
    "Programs",
    "Stack",
    "StackError",
    "StackOptions",
]
