"""`python -m chat_api [command]`: starts one process of chat-api, or does one piece of work by hand."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, TypeAlias

import uvloop
from pydantic import ValidationError

from kit import logs
from kit.settings import explain

if TYPE_CHECKING:
    from chat_api.settings import ChatApiSettings

Command: TypeAlias = "Callable[[ChatApiSettings, argparse.Namespace], Coroutine[None, None, int]]"
"""Does the work and returns the exit status."""

ROLES = {
    "all": "everything in one process (this is what happens without a command)",
    "serve": "HTTP and commands",
    "relay": "the outbox relay: committed events to JetStream",
    "fanout": "events to the people concerned, and to the notifier for those who are away",
}


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit status."""
    given = _parser().parse_args(arguments)

    from chat_api.settings import ChatApiSettings

    try:
        settings = ChatApiSettings()
    except ValidationError as invalid:
        for line in explain(invalid):
            print(f"chat-api: {line}", file=sys.stderr)  # noqa: T201
        return 2
    logs.configure("chat-api", level=settings.log_level, fmt=settings.log_format)
    run: Command = given.run
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(settings, given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chat_api",
        description="The record of every conversation, and the one door through which its events leave.",
        epilog="Settings come from the environment: see docs/config.md. `chat_api COMMAND --help` says more.",
    )
    parser.set_defaults(run=_serve, command="all")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    for role, text in ROLES.items():
        commands.add_parser(role, help=text, description=f"Run {text}.").set_defaults(run=_serve)
    _add_migrate(commands)
    _add_rebuild(commands)
    return parser


# --- services ---------------------------------------------------------------------------------------------------------


async def _serve(settings: ChatApiSettings, given: argparse.Namespace) -> int:
    from chat_api.bootstrap import Process, Role

    await Process(settings, Role(given.command)).run()
    return 0


# --- work by hand: each command with its own options ------------------------------------------------------------------

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_migrate(commands: Commands) -> None:
    text = "bring the database's schema up to date and exit"
    commands.add_parser(
        "migrate", help=text, description=f"{text.capitalize()}. Waits for Postgres; safe to run from several places."
    ).set_defaults(run=_migrate)


async def _migrate(settings: ChatApiSettings, _given: argparse.Namespace) -> int:
    from chat_api import migrate

    await migrate.upgrade(settings)
    return 0


def _add_rebuild(commands: Commands) -> None:
    parser = commands.add_parser(
        "rebuild",
        help="make the read tables anew from the record, compare, exchange and exit",
        description="Make users, conversations, participants and messages anew from the recorded events, compare them "
        "with the live tables, and put them in their place. Services may run meanwhile: only at the end do writers "
        "wait, for as long as it takes to read both sets once. Nothing is published.",
        epilog="Exit status: 0 when done (with --check: when everything is equal), 1 when not.",
    )
    parser.add_argument("--check", action="store_true", help="compare only, change nothing; exit 1 if anything differs")
    parser.set_defaults(run=_rebuild)


async def _rebuild(settings: ChatApiSettings, given: argparse.Namespace) -> int:
    from chat_api import migrate
    from chat_api.console import EventsProgress, table
    from chat_api.store import rebuild
    from chat_api.store.database import create_engine, is_away

    progress = EventsProgress("rebuild")
    engine = create_engine(settings, "chat-api rebuild", patient=True)
    try:
        found = await rebuild.rebuild(
            engine,
            revision=migrate.head_revision(),
            migration_lock=migrate.MIGRATION_LOCK,
            check=given.check,
            progress=progress,
        )
    except rebuild.RebuildFailed as failed:
        return _complain(str(failed))
    except Exception as error:
        if not is_away(error):
            raise
        return _complain(f"Postgres does not answer ({type(error).__name__}); the live tables are as they were")
    finally:
        await engine.dispose()
    progress.finished()
    rows = [
        (
            one.table,
            f"{one.live_rows:,}",
            f"{one.live_checksum:016x}",
            f"{one.rebuilt_rows:,}",
            f"{one.rebuilt_checksum:016x}",
            "equal" if rebuild.equal([one]) else f"differs by {one.differing:,} rows",
        )
        for one in found
    ]
    print(table(("table", "live rows", "checksum", "rebuilt rows", "checksum", "result"), rows))  # noqa: T201
    return 1 if given.check and not rebuild.equal(found) else 0


def _complain(text: str) -> int:
    print(f"chat-api: {text}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
