"""`python -m chat_api [role]`: starts one process of chat-api."""

from __future__ import annotations

import argparse
import asyncio
import sys

import uvloop
from pydantic import ValidationError

from kit import logs
from kit.settings import explain


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="chat_api",
        description="The record of every conversation, and the one door through which its events leave.",
        epilog="Settings come from the environment: see docs/config.md.",
    )
    parser.add_argument(
        "role",
        nargs="?",
        default="all",
        choices=("all", "serve", "relay", "fanout", "migrate"),
        help="what this process does: everything (default), HTTP and commands, the outbox relay, fan-out, "
        "or bring the database's schema up to date and exit",
    )
    role = parser.parse_args(arguments).role

    from chat_api.settings import ChatApiSettings

    try:
        settings = ChatApiSettings()
    except ValidationError as invalid:
        for line in explain(invalid):
            print(f"chat-api: {line}", file=sys.stderr)  # noqa: T201
        return 2
    logs.configure("chat-api", level=settings.log_level, fmt=settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if role == "migrate":
            from chat_api import migrate

            runner.run(migrate.upgrade(settings))
        else:
            from chat_api.bootstrap import Process, Role

            runner.run(Process(settings, Role(role)).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
