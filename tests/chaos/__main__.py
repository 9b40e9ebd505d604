"""`make chaos`: plays seeded runs and says what came of them. Exit 0: clean; 1: something is wrong; 2: not played."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import logging
import os
import platform
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from stack import StackError

from .kinds import BY_NAME, KINDS
from .plan import MESSAGES
from .report import Result, page, table, totals
from .session import Session

CLEAN, FAULTY, NOT_PLAYED, INTERRUPTED = 0, 1, 2, 130
_WIDTH_OF_A_FILE = 150


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Play seeded runs on a real stack while faults fire, and check that nothing is lost, shown twice "
        "or out of order, and that every push is due.",
        epilog="faults:\n" + "\n".join(f"  {kind.name:<22} {kind.says}" for kind in KINDS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=_at_least_one, default=20, help="how many; default: %(default)s")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first run, the next ones count on from it; default: %(default)s"
    )
    parser.add_argument("--fault", choices=BY_NAME, metavar="NAME", help="this kind alone in every run; default: all")
    parser.add_argument("--messages", type=_at_least_one, default=MESSAGES, help="per run; default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", help="append a line of JSON per run")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the page of figures (docs/reliability.md)")
    parser.add_argument(
        "--from",
        dest="known",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="play nothing: tell of the runs that are in these files, which --out has written, perhaps side by side",
    )
    parser.add_argument("--note", default="", help="a sentence for the page, about what the figures do not tell")
    parser.add_argument("--commit", default="HEAD", help="what was played, for the page; default: %(default)s")
    parser.add_argument("--fail-fast", action="store_true", help="end with the first run in which something is wrong")
    return parser.parse_args(argv)


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


async def chaos(options: argparse.Namespace, console: Console) -> int:
    """Play all runs and return the exit code. Raises StackError if there is no stack to play on."""
    if options.known:
        lines = [line for file in options.known for line in file.read_text(encoding="utf-8").splitlines()]
        return _conclude([Result.read(line) for line in lines], console, options)
    results: list[Result] = []
    bar = Progress(
        SpinnerColumn(),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TextColumn("{task.fields[messages]:,} messages · {task.fields[findings]} findings"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.description}"),
        console=console,
        disable=not console.is_terminal,
    )
    out = options.out.open("a", encoding="utf-8") if options.out else None
    with contextlib.ExitStack() as opened:
        if out is not None:
            opened.enter_context(out)
        opened.enter_context(bar)
        task = bar.add_task("starting", total=options.runs, messages=0, findings=0)
        async with Session(lambda words: bar.update(task, description=words)) as session:
            for seed in range(options.seed, options.seed + options.runs):
                result = await session.play(seed, fault=options.fault, messages=options.messages)
                results.append(result)
                if out is not None:
                    out.write(result.line() + "\n")
                    out.flush()
                _tell(console, result, options)
                whole = totals(results)
                findings = sum(whole.counts.values()) + whole.not_played
                bar.update(task, advance=1, messages=whole.messages, findings=findings)
                if not result.clean:
                    console.print(f"    logs: {session.keep_logs(seed)}", soft_wrap=True)
                    if options.fail_fast:
                        break
                    await session.renew()
    return _conclude(results, console, options)


def _conclude(results: Sequence[Result], console: Console, options: argparse.Namespace) -> int:
    console.print(table(results))
    whole = totals(results)
    if options.report is not None:
        options.report.write_text(page(results, **_circumstances(results, options)), encoding="utf-8")
        console.print(f"written: {options.report}", soft_wrap=True)
    word = "clean" if whole.clean else "something is wrong"
    console.print(f"{whole.runs} runs, {whole.injected} faults, {whole.messages:,} messages: {word}")
    return CLEAN if whole.clean else FAULTY


def _tell(console: Console, result: Result, options: argparse.Namespace) -> None:
    if result.clean:
        if not console.is_terminal:
            what = ", ".join(result.kinds) or "none"
            console.print(f"seed {result.seed}: clean ({what}; {result.messages} messages, {result.took_s:.1f} s)")
        return
    replay = f"python -m tests.chaos --runs 1 --seed {result.seed}"
    if options.fault:
        replay += f" --fault {shlex.quote(options.fault)}"
    if options.messages != MESSAGES:
        replay += f" --messages {options.messages}"
    console.print(f"[red]✗[/red] seed {result.seed} failed; again: {escape(replay)}", soft_wrap=True)
    if result.not_played:
        console.print(f"    could not be played: {escape(result.not_played)}", soft_wrap=True)
    for finding, words in result.words.items():
        console.print(f"    {result.counts[finding]} × {finding}, the first: {escape(words[0])}", soft_wrap=True)
    for line in result.faults:
        console.print(f"    {escape(line)}", soft_wrap=True)


def _circumstances(results: Sequence[Result], options: argparse.Namespace) -> dict[str, str]:
    revision = ["git", "rev-parse", "--short", options.commit]
    head = subprocess.run(revision, capture_output=True, text=True, check=False)
    command = f"make chaos RUNS={len(results)} SEED={min(result.seed for result in results)}"
    if options.known and len(options.known) > 1:
        command += f" (in {len(options.known)} processes side by side)"
    if options.fault:
        command += f" ARGS=\"--fault '{options.fault}'\""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": head.stdout.strip() or "unknown",
        "command": command,
        "note": options.note,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
    }


async def _guarded(options: argparse.Namespace, console: Console) -> int:
    task = asyncio.ensure_future(chaos(options, console))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return INTERRUPTED


def main() -> int:
    """The exit code of the whole."""
    options = arguments()
    # The clients complain of what is done to them, as they should.
    logging.getLogger("natter_client").addHandler(logging.NullHandler())
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
    try:
        # Clients and every proxy live in this loop: a slow one would be the slowest part of the world.
        return uvloop.run(_guarded(options, console))
    except StackError as failed:
        Console(stderr=True).print(f"error: {escape(str(failed))}", soft_wrap=True)
        return NOT_PLAYED


if __name__ == "__main__":
    sys.exit(main())
