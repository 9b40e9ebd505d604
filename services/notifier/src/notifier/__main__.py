"""`python -m notifier [serve|migrate|dead]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from functools import partial

import uvloop
from pydantic import ValidationError

from kit import logs, spans
from kit.settings import explain
from notifier import app, dead_letters
from notifier.errors import ConfigError, StoreError
from notifier.migrate import migrate
from notifier.settings import NotifierSettings
from notifier.stopping import Stop

ROLES: dict[str, tuple[Callable[[NotifierSettings, Stop], Awaitable[None]], str]] = {
    "serve": (app.serve, "take offline deliveries and send pushes until SIGTERM (the default)"),
    "migrate": (migrate, "bring the schema `notifier` up to date, then exit"),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m notifier",
        description="Turns deliveries that reached no device into pushes.",
        epilog="Configured by the environment: see docs/config.md.",
    )
    commands = command.add_subparsers(dest="role", metavar="serve|migrate|dead")
    for name, (_, text) in ROLES.items():
        commands.add_parser(name, help=text, description=text)
    dead_letters.add_to(commands)
    return command


def main(argv: list[str] | None = None) -> int:
    """Run one role; returns the exit status: 0 done, 1 failed, 2 wrongly configured."""
    arguments = parser().parse_args(argv)
    role = arguments.role or "serve"
    try:
        settings = NotifierSettings()
        logs.configure("notifier", level=settings.log_level, fmt=settings.log_format)
        if role == "serve":
            spans.configure("notifier")
        if role == "dead":
            uvloop.run(dead_letters.run(settings, arguments))
        else:
            uvloop.run(_run(partial(ROLES[role][0], settings)))
    except ValidationError as invalid:
        for line in explain(invalid):
            print(f"notifier: {line}", file=sys.stderr)  # noqa: T201
        return 2
    except ConfigError as wrong:
        print(f"notifier: {wrong}", file=sys.stderr)  # noqa: T201
        return 2
    except StoreError as failed:
        print(f"notifier: {failed}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        spans.shutdown()
    return 0


async def _run(role: Callable[[Stop], Awaitable[None]]) -> None:
    stop = Stop()
    app.stop_on_signals(stop)
    await role(stop)


if __name__ == "__main__":
    sys.exit(main())
