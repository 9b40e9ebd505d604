"""`python -m notifier [serve|migrate]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable

import uvloop
from pydantic import ValidationError

from kit import logs, spans
from kit.settings import explain
from notifier import app
from notifier.errors import ConfigError, StoreError
from notifier.migrate import migrate
from notifier.settings import NotifierSettings
from notifier.stopping import Stop

ROLES: dict[str, tuple[Callable[[NotifierSettings, Stop], Awaitable[None]], str]] = {
    "serve": (app.serve, "take offline deliveries and send pushes until SIGTERM (the default)"),
    "migrate": (migrate, "bring the schema `notifier` up to date, then exit"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one role; returns the exit status: 0 done, 1 failed, 2 wrongly configured."""
    parser = argparse.ArgumentParser(
        prog="python -m notifier",
        description="Turns deliveries that reached no device into pushes.",
        epilog="roles: "
        + "; ".join(f"{name}: {text}" for name, (_, text) in ROLES.items())
        + ". Configured by the environment: see docs/config.md.",
    )
    parser.add_argument("role", nargs="?", choices=list(ROLES), default="serve")
    role = ROLES[parser.parse_args(argv).role][0]
    try:
        settings = NotifierSettings()
        logs.configure("notifier", level=settings.log_level, fmt=settings.log_format)
        if role is app.serve:
            spans.configure("notifier")
        uvloop.run(_run(role, settings))
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


async def _run(role: Callable[[NotifierSettings, Stop], Awaitable[None]], settings: NotifierSettings) -> None:
    stop = Stop()
    app.stop_on_signals(stop)
    await role(settings, stop)


if __name__ == "__main__":
    sys.exit(main())
