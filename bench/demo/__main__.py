"""`make demo`: plays, checks, and says what came of it. Exit 0: clean; 1: a fault was found; 2: could not be played."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from bench.demo.checker import check
from bench.demo.corpus import Language, read_corpus
from bench.demo.errors import DemoError
from bench.demo.place import SECRET_VARIABLE, fresh_stack, place_of_target
from bench.demo.plan import Size, make_plan
from bench.demo.play import Tally, stage
from bench.demo.show import Show, console, last_line

CLEAN, FAULTY, NOT_PLAYED, INTERRUPTED = 0, 1, 2, 130

_WHAT_COUNTS = f"""\
The last line is one JSON object:
  sent                 messages that the server accepted (201, or ack)
  deliveries_expected  one for each message and open socket of its participants, the sender's own included
  delivered            those that arrived, with the text as it was sent
  pushed               pushes that the notifier recorded as sent and that were due: one for each message and offline
                       participant; for an important message also for who is online without a mobile; never the sender
  lost                 deliveries, pushes and records of accepted messages that are missing
  duplicated           deliveries, pushes and records that came again or were not due
  out_of_order         frames that came behind a later one of the same conversation, or with a wrong seq
  p50_ms, p99_ms       accepted → frame at other users' devices. Accepted is when the answer reached the sender; a frame
                       may be faster than that and counts as 0. The table has sent → frame too, from just before the
                       request was written, which hides nothing.

Against a target, tokens are signed with {SECRET_VARIABLE}, or else with the development secret that compose uses.
"""


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    size = Size()
    parser = argparse.ArgumentParser(
        prog="python -m bench.demo",
        description="Play real dialogues through a whole Natter and check every frame and every push.",
        epilog=_WHAT_COUNTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--target", metavar="URL", help="a running Natter, http(s)://host:port; default: a fresh stack")
    parser.add_argument("--users", type=int, default=size.users, help="default: %(default)s, a third of them offline")
    parser.add_argument("--conversations", type=int, default=size.conversations, help="default: %(default)s")
    parser.add_argument("--messages", type=int, default=size.messages, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=size.rate, help="messages per second, default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="the same seed plays the same scene, default: %(default)s")
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="longest wait for the last frame or push, seconds: %(default)s"
    )
    parser.add_argument(
        "--watch",
        type=float,
        default=13.0,
        help="how long after the last message to watch for what must not come, where chat-api's metrics cannot be "
        "reached; a delivery without receipt becomes a push after 10 + 2 s, so default: %(default)s",
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep the logs of the fresh stack's parts in FILE")
    return parser.parse_args(argv)


async def demo(options: argparse.Namespace, show: Show) -> int:
    """Play once; returns the exit code. Raises `DemoError`."""
    size = Size(options.users, options.conversations, options.messages, options.rate)
    corpus = {language: read_corpus(language) for language in Language}
    # Begins with a letter, and is as good as never the same.
    plan = make_plan(corpus, size, seed=options.seed, run_id=f"d{secrets.token_hex(4)}")
    show.say(
        "real text: "
        + ", ".join(f"{len(found)} {language} dialogues" for language, found in corpus.items())
        + " of chatterbot-corpus"
    )
    tally = Tally()
    async with contextlib.AsyncExitStack() as cleanup:
        if options.target:
            place = place_of_target(options.target)
        else:
            log_to = cleanup.enter_context(options.log.open("w", encoding="utf-8")) if options.log else None
            place = await cleanup.enter_async_context(fresh_stack(show.say, log_to))
        show.say(f"playing at {place.name}")
        show.cast(plan)
        play = await cleanup.enter_async_context(stage(place, plan, tally))
        async with show.progress(plan, tally):
            await play.set_the_scene()
            await play.perform(size.rate)
            await play.settle(timeout_s=options.timeout, watch_s=options.watch)
            outcome = await play.outcome()
        verdict = check(outcome.evidence)
        show.excerpts(outcome)
        show.tables(outcome, verdict, size)
    print(last_line(outcome, verdict), flush=True)
    return CLEAN if verdict.clean else FAULTY


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run to the end, or until a signal asks for it; everything opened is closed either way."""

    async def guarded() -> int:
        task = asyncio.ensure_future(main)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return INTERRUPTED

    try:
        import uvloop
    except ImportError:
        return asyncio.run(guarded())
    return uvloop.run(guarded())


def main() -> int:
    """The exit code of the whole."""
    options = arguments()
    try:
        return run(demo(options, Show(console())))
    except DemoError as failed:
        print(f"error: {failed}", file=sys.stderr)
        return NOT_PLAYED


if __name__ == "__main__":
    sys.exit(main())
