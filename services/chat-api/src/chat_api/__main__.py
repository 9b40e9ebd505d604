"""`python -m chat_api [command]`: starts one process of chat-api, or does one piece of work by hand."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, TypeAlias

import uvloop
from pydantic import ValidationError

from kit import logs, spans
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
    if given.run is _serve:
        spans.configure("chat-api")
    run: Command = given.run
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run(settings, given))
    finally:
        spans.shutdown()


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
    _add_republish(commands)
    return parser


# --- services ---------------------------------------------------------------------------------------------------------


async def _serve(settings: ChatApiSettings, given: argparse.Namespace) -> int:
    from chat_api.bootstrap import Process, Role
    from chat_api.http.web import PagesMissing

    try:
        await Process(settings, Role(given.command)).run()
    except PagesMissing as missing:
        _complain(str(missing))
        return 2
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


def _add_republish(commands: Commands) -> None:
    parser = commands.add_parser(
        "republish",
        help="publish a part of the record to EVENTS again and exit",
        description="Ask the relay to go back and publish a part of the record to EVENTS again; shows how far it is. "
        "Nobody gets anything twice: fan-out knows what it has settled, other readers tell a repeat by the event's id. "
        "Not needed when JetStream's data is gone: the relay notices that by itself.",
        epilog="Exit status: 0 when done (with --no-wait: when asked), 1 when not, 2 when --since is none.",
    )
    parser.add_argument(
        "--since",
        required=True,
        help="from where on: an instant with its offset (2026-01-31T08:15:00Z), an event's position, or all",
    )
    parser.add_argument("--no-wait", action="store_true", help="ask only, do not wait until it is done")
    parser.set_defaults(run=_republish)


async def _republish(settings: ChatApiSettings, given: argparse.Namespace) -> int:
    from chat_api import migrate
    from chat_api.console import EventsProgress
    from chat_api.relay import republish
    from chat_api.store.database import is_away

    progress = EventsProgress("republish")
    try:
        since = republish.parse_since(given.since)
    except republish.NotASince as wrong:
        _complain(str(wrong))
        return 2
    try:
        events = await republish.republish(settings, since, progress, wait=not given.no_wait)
    except republish.NoRelay:
        return _complain(
            f"no relay has begun within {republish.NO_RELAY_AFTER_S:g} s: is one running (natter_relay_active)? The "
            "request stays, and the next relay will do it"
        )
    except Exception as error:
        if is_away(error):
            return _complain(f"Postgres does not answer ({type(error).__name__})")
        if getattr(error, "sqlstate", None) in ("42P01", "42703"):
            return _complain(f"the database's schema is not at {migrate.head_revision()}: run `chat_api migrate`")
        raise
    if not events:
        print("nothing has been published since then")  # noqa: T201
    elif given.no_wait:
        print(f"asked the relay to publish {events:,} events again")  # noqa: T201
    else:
        progress.finished()
        print(f"published {events:,} events again")  # noqa: T201
    return 0


def _complain(text: str) -> int:
    print(f"chat-api: {text}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
