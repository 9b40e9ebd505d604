"""What people see: steps, one bar, tables, and an exchange as it was delivered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from bench.demo.checker import Verdict
from bench.demo.plan import Plan, Size
from bench.demo.play import Outcome, Tally
from bench.demo.stats import Sample, Summary, by_group, summary

REFRESH_S = 0.5
"""Drawing takes milliseconds of the measuring process, so it is done seldom."""
PLAIN_EVERY_S = 2.0


PLAIN_WIDTH = 110
"""Columns where there is no terminal to ask: enough for every table."""


def console() -> Console:
    """Standard output; as wide as the terminal, or wide enough for the tables in a file."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width)


class Show:
    """Prints to `console`; on anything but a terminal plain lines take the place of the bar."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """One step."""
        self._console.print(f"[cyan]•[/cyan] {escape(text)}", soft_wrap=True)

    def cast(self, plan: Plan) -> None:
        """Who is going to talk."""
        people = plan.people.values()
        online = sum(person.online for person in people)
        self.say(
            f"{len(people)} users ({online} online on {len(plan.devices)} devices, {len(people) - online} offline), "
            f"{len(plan.chats)} conversations, {len(plan.lines)} messages: "
            f"{plan.deliveries} frames and {plan.pushes} pushes are due"
        )

    @contextlib.asynccontextmanager
    async def progress(self, plan: Plan, tally: Tally) -> AsyncIterator[None]:
        """Follow `tally` until the block ends."""
        drawing = asyncio.create_task(self._bar(plan, tally) if self._console.is_terminal else self._lines(plan, tally))
        try:
            yield
        finally:
            drawing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await drawing

    async def _bar(self, plan: Plan, tally: Tally) -> None:
        columns = (
            SpinnerColumn(),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>3.0f}/s · {task.fields[frames]} frames · {task.fields[pushes]} pushes"),
            TextColumn("[dim]{task.description}"),
        )
        with Progress(*columns, console=self._console, auto_refresh=False) as progress:
            bar = progress.add_task("", total=len(plan.lines), rate=0.0, frames=0, pushes=0)

            def draw(rate: float) -> None:
                progress.update(
                    bar,
                    completed=tally.sent,
                    description=tally.step,
                    rate=rate,
                    frames=tally.delivered,
                    pushes=tally.pushed,
                )
                progress.refresh()

            try:
                async for rate in _rates(tally, REFRESH_S):
                    draw(rate)
            finally:
                draw(0.0)

    async def _lines(self, plan: Plan, tally: Tally) -> None:
        try:
            async for rate in _rates(tally, PLAIN_EVERY_S):
                self._line(plan, tally, f"{rate:.0f}/s, ")
        finally:
            self._line(plan, tally, "")

    def _line(self, plan: Plan, tally: Tally, rate: str) -> None:
        self._console.print(
            f"  {tally.sent}/{len(plan.lines)} messages, {rate}{tally.delivered}/{plan.deliveries} frames, "
            f"{tally.pushed}/{plan.pushes} pushes ({tally.step})",
            highlight=False,
            soft_wrap=True,
        )

    def excerpts(self, outcome: Outcome) -> None:
        """Two lines of each language, as a device got them."""
        for lines in outcome.excerpts:
            self._console.print()
            for name, text in lines:
                self._console.print(f"  [bold]{escape(name)}[/bold]  {escape(text)}", highlight=False)

    def tables(self, outcome: Outcome, verdict: Verdict, size: Size) -> None:
        """Latencies by path, then the counts and what they mean."""
        self._console.print()
        self._console.print(latency_table(outcome.samples))
        self._console.print(_counts(outcome, verdict, size))
        for text in (*outcome.troubles[:5], *verdict.problems):
            self._console.print(f"[red]✗[/red] {escape(text)}", highlight=False, soft_wrap=True)


async def _rates(tally: Tally, every_s: float) -> AsyncIterator[float]:
    """Messages per second since the last time, every so often."""
    at, sent = time.monotonic(), tally.sent
    while True:
        await asyncio.sleep(every_s)
        now, now_sent = time.monotonic(), tally.sent
        yield (now_sent - sent) / (now - at)
        at, sent = now, now_sent


def latency_table(samples: list[Sample]) -> Table:
    """Accepted → frame and sent → frame, by the way that a message went."""
    head = "".join(f"{name:>7}" for name in ("p50", "p90", "p99", "max"))
    table = Table(title="Milliseconds to the other users' devices", title_justify="left", box=SIMPLE, padding=(0, 1))
    table.add_column("way", no_wrap=True)
    table.add_column("frames", justify="right", no_wrap=True)
    table.add_column(f"accepted → frame\n{head}", no_wrap=True)
    table.add_column(f"sent → frame\n{head}", no_wrap=True)
    accepted = by_group(samples, lambda sample: sample.after_accepted_s)
    sent = by_group(samples, lambda sample: sample.after_sent_s)
    for group, figures in accepted.items():
        table.add_row(group, str(figures.count), _cells(figures), _cells(sent[group]))
    whole = summary(sample.after_accepted_s for sample in samples)
    if whole is not None:
        table.add_section()
        table.add_row("all", str(whole.count), _cells(whole), _cells(summary(one.after_sent_s for one in samples)))
    return table


def _cells(figures: Summary | None) -> str:
    if figures is None:
        return ""
    return "".join(f"{value:7.1f}" for value in (figures.p50_ms, figures.p90_ms, figures.p99_ms, figures.max_ms))


def _counts(outcome: Outcome, verdict: Verdict, size: Size) -> Table:
    table = Table(title="Counts", title_justify="left", show_header=False, box=SIMPLE, padding=(0, 1))
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column(style="dim")

    def fault(count: int) -> str:
        return f"[green]{count}[/green]" if count == 0 else f"[bold red]{count}[/bold red]"

    pushes = summary(outcome.push_s)
    after = f"; {pushes.p50_ms:.0f} ms p50, {pushes.p99_ms:.0f} ms p99 after the message" if pushes else ""
    table.add_row("sent", str(verdict.sent), f"accepted messages, {outcome.rate:.0f}/s of {size.rate:.0f}/s asked")
    table.add_row("delivered", str(verdict.delivered), f"frames at devices, of {verdict.deliveries_expected} expected")
    table.add_row("pushed", str(verdict.pushed), f"pushes, of {verdict.pushes_expected} expected{after}")
    table.add_row("lost", fault(verdict.lost), "frames and pushes that did not come, messages not in the record")
    table.add_row("duplicated", fault(verdict.duplicated), "frames, pushes and records twice, or not due at all")
    table.add_row("out of order", fault(verdict.out_of_order), "frames behind a later one of their conversation")
    return table


def last_line(outcome: Outcome, verdict: Verdict) -> str:
    """The one JSON object that programs read."""
    latency = summary(sample.after_accepted_s for sample in outcome.samples)
    return json.dumps(
        {
            "sent": verdict.sent,
            "deliveries_expected": verdict.deliveries_expected,
            "delivered": verdict.delivered,
            "pushed": verdict.pushed,
            "lost": verdict.lost,
            "duplicated": verdict.duplicated,
            "out_of_order": verdict.out_of_order,
            "p50_ms": latency.p50_ms if latency else None,
            "p99_ms": latency.p99_ms if latency else None,
        }
    )
