"""`notifier dead list|replay|drop`: what was due and taken by nobody, for an operator at a shell."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from contracts.pushes import DevicePushState, PushRecord, PushState
from notifier.afterwards.record import AfterwardsRecord
from notifier.database import open_engine
from notifier.settings import NotifierSettings
from notifier.store import Store

PAGE = 1_000
_ERROR_CHARS = 60

Say = Callable[[str], None]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of `dead`."""
    dead = commands.add_parser(
        "dead",
        help="list, replay or drop pushes that were given up",
        description="Deliveries that were due and taken by no provider. They stay until somebody decides.",
    )
    actions = dead.add_subparsers(dest="action", required=True, metavar="list|replay|drop")
    listed = actions.add_parser("list", help="one line each, oldest first")
    listed.add_argument("--user", help="of this user only")
    listed.add_argument("--provider", help="only what this provider was asked to take")
    listed.add_argument("--json", action="store_true", help="one JSON object per line, whole")
    for name, what in (
        ("replay", "make them due again, as if nothing had been tried"),
        ("drop", "give them up for good"),
    ):
        chosen = actions.add_parser(name, help=what)
        which = chosen.add_mutually_exclusive_group(required=True)
        which.add_argument("--all", action="store_true", help="every one")
        which.add_argument("ids", nargs="*", type=int, default=[], metavar="ID", help="as `list` shows them")


async def run(settings: NotifierSettings, arguments: argparse.Namespace, say: Say | None = None) -> None:
    """Do it; raises `StoreError`."""
    say = say or _print
    engine = open_engine(settings)
    try:
        store, record = Store(engine), AfterwardsRecord(engine)
        if arguments.action == "list":
            await _list(store, arguments, say)
            return
        ids = None if arguments.all else arguments.ids
        count = await (record.replay(ids) if arguments.action == "replay" else record.drop(ids))
        done = "due again" if arguments.action == "replay" else "dropped"
        say(f"{count} {done}")
        if ids is not None and count < len(set(ids)):
            say(f"{len(set(ids)) - count} of these ids were not dead")
    finally:
        await engine.dispose()


async def _list(store: Store, arguments: argparse.Namespace, say: Say) -> None:
    after_id = count = 0
    while True:
        page = await store.pushes(
            after_id=after_id,
            limit=PAGE,
            user_id=arguments.user,
            state=PushState.DEAD,
            provider=arguments.provider,
        )
        if not page:
            break
        if not count and not arguments.json:
            say(f"{'ID':>10}  {'SETTLED':<20}  {'USER':<24}  {'PROVIDERS':<16}  {'TRIES':>5}  ERROR")
        for row in page:
            say(json.dumps(row.model_dump(mode="json", exclude_none=True)) if arguments.json else _line(row))
        count += len(page)
        after_id = page[-1].id
    if not arguments.json:
        say(f"{count} dead" if count else "nothing is dead")


def _line(row: PushRecord) -> str:
    failed = [push for push in row.devices if push.state is DevicePushState.FAILED]
    providers = ",".join(dict.fromkeys(push.provider for push in failed)) or "-"
    error = next((push.last_error for push in failed if push.last_error), row.last_error) or ""
    tries = max((push.attempts for push in failed), default=row.attempts)
    at = f"{row.settled_at:%Y-%m-%d %H:%M:%S}" if row.settled_at is not None else ""
    printable = "".join(char if char.isprintable() else "?" for char in error)
    return f"{row.id:>10}  {at:<20}  {row.user_id:<24}  {providers:<16}  {tries:>5}  {printable[:_ERROR_CHARS]}"


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
