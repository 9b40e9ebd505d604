"""The command line: `python -m stack dev`, `python -m stack up`."""

import argparse
import sys
import time
from pathlib import Path

from stack.dev import dev, dev_options, up
from stack.errors import StackError
from stack.options import Backend, StackOptions
from stack.runner import run_until_signal


def main() -> int:
    """Parse the arguments, run the stack, return the exit code: 0 after Ctrl-C, 1 when something failed."""
    started = time.monotonic()
    try:
        arguments = _parser().parse_args()
        if arguments.command == "dev":
            return run_until_signal(dev(dev_options(), started), with_parent=arguments.with_parent)
        return run_until_signal(up(_up_options(arguments), started), with_parent=arguments.with_parent)
    except StackError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description="Runs Natter on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    development = commands.add_parser(
        "dev",
        help="everything on fixed ports, with demo accounts; data survives in .natter/dev",
        description="Runs everything on fixed ports (NATTER_DEV_*_PORT changes them) with demo accounts, until Ctrl-C.",
    )
    plain = commands.add_parser(
        "up",
        help="a plain stack on free ports",
        description="Runs a plain stack on free ports, until Ctrl-C.",
    )
    plain.add_argument(
        "--data-dir", type=Path, help="keep data here (default: a temporary directory, removed at the end)"
    )
    plain.add_argument("--edges", type=int, default=2, help="number of ws-edge processes (default: %(default)s)")
    plain.add_argument("--split", action="store_true", help="run chat-api's roles as processes of their own")
    plain.add_argument("--fanouts", type=int, default=1, help="with --split: number of fan-outs (default: %(default)s)")
    plain.add_argument("--servers-only", action="store_true", help="NATS and Postgres, no services")
    plain.add_argument(
        "--backend",
        choices=[backend.value for backend in Backend],
        default=Backend.from_environment().value,
        help="where NATS and Postgres come from (default: $BACKEND, else embedded)",
    )
    for command in (development, plain):
        command.add_argument(
            "--with-parent", action="store_true", help="stop when the process that started this one dies"
        )
    return parser


def _up_options(arguments: argparse.Namespace) -> StackOptions:
    services = not arguments.servers_only
    return StackOptions(
        data_dir=arguments.data_dir,
        backend=Backend(arguments.backend),
        chat_api=services,
        notifier=services,
        edges=arguments.edges if services else 0,
        split_chat_api=arguments.split,
        fanouts=arguments.fanouts,
        log_to=sys.stdout,
    )


if __name__ == "__main__":
    sys.exit(main())
