"""`make bench`: how long a message takes from accepted to frame, over the durable path, at a steady rate.

Plays the demo's scene (real text, 200 users on some 260 sockets over two edges, a third of them offline) several times
on one stack, checks every round as the demo does, and adds one line to bench/results.ndjson. What it counts: for each
message and device of another user, milliseconds from the answer to the sender (accepted: committed in Postgres) until
the frame is read from that device's socket; and the same from just before the request was written. Driver, services,
NATS and Postgres share the machine; the cores that others used meanwhile are reported, because they are the noise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.circumstances import RESULTS, circumstances
from bench.cpu import OTHERS, cores_between, moment
from bench.demo.__main__ import CLEAN, FAULTY, NOT_PLAYED, run
from bench.demo.checker import Verdict, check
from bench.demo.corpus import Dialogue, Language, read_corpus
from bench.demo.errors import DemoError
from bench.demo.place import Place, fresh_stack, place_of_target
from bench.demo.plan import Size, make_plan
from bench.demo.play import Tally, stage
from bench.demo.show import Show, console
from bench.demo.stats import Sample, Summary, summary

WARM_UP_MESSAGES = 400
SETTLE_TIMEOUT_S = 60.0
WATCH_S = 13.0


@dataclass(frozen=True, slots=True)
class Round:
    """One round's figures; `cores` in use on average while messages were sent."""

    rate: float
    accepted: Summary
    sent: Summary
    verdict: Verdict
    cores: Mapping[str, float]
    samples: list[Sample]


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    size = Size()
    parser = argparse.ArgumentParser(
        prog="python -m bench.latency", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", metavar="URL", help="a running Natter, http(s)://host:port; default: a fresh stack")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s, after one to warm up")
    parser.add_argument("--messages", type=int, default=size.messages, help="per round, default: %(default)s")
    parser.add_argument("--rate", type=float, default=size.rate, help="messages per second, default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the first round, default: %(default)s")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="where to add the line; default: beside this file"
    )
    parser.add_argument("--note", default="", help="a word on the circumstances, kept in the line")
    return parser.parse_args(argv)


async def measure(options: argparse.Namespace, console: Console) -> int:
    """Every round; returns the exit code. Raises `DemoError`."""
    show = Show(console)
    size = Size(messages=options.messages, rate=options.rate)
    corpus = {language: read_corpus(language) for language in Language}
    rounds: list[Round] = []
    async with contextlib.AsyncExitStack() as cleanup:
        if options.target:
            place = place_of_target(options.target)
        else:
            place = await cleanup.enter_async_context(fresh_stack(show.say))
        warm_up = Size(messages=min(WARM_UP_MESSAGES, size.messages), rate=size.rate)
        await one_round(place, warm_up, corpus, options.seed)
        show.say(f"{options.rounds} rounds of {size.messages} messages at {size.rate:g}/s")
        for number in range(options.rounds):
            found = await one_round(place, size, corpus, options.seed + number)
            rounds.append(found)
            show.say(f"round {number + 1}: p50 {found.accepted.p50_ms:.1f} ms, p99 {found.accepted.p99_ms:.1f} ms")
            for problem in found.verdict.problems:
                show.say(problem)
    console.print(rounds_table(rounds))
    line = json.dumps(result_line(options, size, rounds))
    with options.results.open("a", encoding="utf-8") as results:
        results.write(line + "\n")
    print(line)
    return CLEAN if all(one.verdict.clean for one in rounds) else FAULTY


async def one_round(place: Place, size: Size, corpus: Mapping[Language, tuple[Dialogue, ...]], seed: int) -> Round:
    """Play once with fresh ids, and check it."""
    plan = make_plan(corpus, size, seed=seed, run_id=f"b{secrets.token_hex(4)}")
    async with stage(place, plan, Tally()) as play:
        await play.set_the_scene()
        before = moment(place.pids)
        await play.perform(size.rate)
        after = moment(place.pids)
        await play.settle(timeout_s=SETTLE_TIMEOUT_S, watch_s=WATCH_S)
        outcome = await play.outcome()
    accepted = summary(sample.after_accepted_s for sample in outcome.samples)
    sent = summary(sample.after_sent_s for sample in outcome.samples)
    if accepted is None or sent is None:
        raise DemoError("not a single frame arrived at another user's device")
    return Round(outcome.rate, accepted, sent, check(outcome.evidence), cores_between(before, after), outcome.samples)


def rounds_table(rounds: list[Round]) -> Table:
    """A row for each round and one for all together."""
    head = "".join(f"{name:>7}" for name in ("p50", "p90", "p99", "max"))
    table = Table(title="Milliseconds to the other users' devices", title_justify="left", box=SIMPLE, padding=(0, 1))
    for name in (
        "round",
        "msg/s",
        f"accepted → frame\n{head}",
        f"sent → frame\n{head}",
        "faults",
        "cores: ours, others",
    ):
        table.add_column(name, no_wrap=True)
    for number, one in enumerate(rounds, 1):
        faults = one.verdict.lost + one.verdict.duplicated + one.verdict.out_of_order
        others = one.cores[OTHERS]
        ours = sum(one.cores.values()) - others
        cores = f"{ours:.2f}, {others:.2f}"
        table.add_row(str(number), f"{one.rate:.0f}", _cells(one.accepted), _cells(one.sent), str(faults), cores)
    accepted, sent = pooled(rounds)
    table.add_section()
    table.add_row("all", "", _cells(accepted), _cells(sent), "", "")
    return table


def _cells(figures: Summary) -> str:
    return "".join(f"{value:7.1f}" for value in (figures.p50_ms, figures.p90_ms, figures.p99_ms, figures.max_ms))


def pooled(rounds: list[Round]) -> tuple[Summary, Summary]:
    """Accepted → frame and sent → frame over all rounds."""
    samples = [sample for one in rounds for sample in one.samples]
    accepted = summary(sample.after_accepted_s for sample in samples)
    sent = summary(sample.after_sent_s for sample in samples)
    assert accepted is not None
    assert sent is not None
    return accepted, sent


def result_line(options: argparse.Namespace, size: Size, rounds: list[Round]) -> dict[str, object]:
    """What is kept: circumstances and figures, and nothing that names this machine."""
    accepted, sent = pooled(rounds)
    return {
        **circumstances("latency", options.note),
        "place": "target" if options.target else "fresh stack",
        "load": {key: value for key, value in asdict(size).items() if key != "messages"},
        "messages_per_round": size.messages,
        "accepted_to_frame": asdict(accepted),
        "sent_to_frame": asdict(sent),
        "rounds": [
            {
                "rate": round(one.rate, 1),
                "accepted_p50_ms": one.accepted.p50_ms,
                "accepted_p99_ms": one.accepted.p99_ms,
                "sent_p50_ms": one.sent.p50_ms,
                "sent_p99_ms": one.sent.p99_ms,
                "lost": one.verdict.lost,
                "duplicated": one.verdict.duplicated,
                "out_of_order": one.verdict.out_of_order,
                "cores": one.cores,
            }
            for one in rounds
        ],
    }


def main() -> int:
    """The exit code of the whole."""
    options = arguments()
    try:
        return run(measure(options, console()))
    except DemoError as failed:
        print(f"error: {failed}", file=sys.stderr)
        return NOT_PLAYED


if __name__ == "__main__":
    sys.exit(main())
