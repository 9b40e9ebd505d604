"""What came of the runs: a line of JSON each, a table per kind of fault, and the page docs/reliability.md; no I/O."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from rich.box import SIMPLE
from rich.table import Table

from .kinds import BY_NAME, KINDS, NONE
from .verdict import DUPLICATED, FINDINGS, LOST, MISSING_PUSH, OUT_OF_ORDER, PHANTOM, SECOND_PUSH, STUCK, WRONG_PUSH

BAR_RUNS = 200
BAR_MESSAGES = 100_000


@dataclass(frozen=True)
class Result:
    """One run, as the output file keeps it."""

    seed: int
    kinds: tuple[str, ...]
    """Of its faults; the first one is what the run is about."""
    faults: tuple[str, ...]
    """In words: what, where, when, how long."""
    messages: int
    deliveries: int
    """Messages shown, over all devices."""
    pushes: int
    counts: dict[str, int]
    heal_s: tuple[tuple[str, float], ...]
    took_s: float
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    not_played: str = ""
    """Why the run could not be played to its end."""

    @property
    def clean(self) -> bool:
        """It was played, and nothing is wrong."""
        return not self.not_played and not any(self.counts.values())

    def line(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def read(cls, line: str) -> Result:
        """The reverse of `line`."""
        told = json.loads(line)
        return cls(
            **told
            | {
                "kinds": tuple(told["kinds"]),
                "faults": tuple(told["faults"]),
                "heal_s": tuple((kind, seconds) for kind, seconds in told["heal_s"]),
                "words": {finding: tuple(words) for finding, words in told["words"].items()},
            }
        )


@dataclass(frozen=True)
class Row:
    """A kind of fault over all runs in which it happened. A run with two faults stands in two rows."""

    kind: str
    injected: int
    messages: int
    counts: dict[str, int]
    heal_p50_s: float | None
    heal_p99_s: float | None


@dataclass(frozen=True)
class Totals:
    """All runs together; each is counted once."""

    runs: int
    injected: int
    messages: int
    deliveries: int
    pushes: int
    counts: dict[str, int]
    not_played: int
    heal_p50_s: float | None
    heal_p99_s: float | None

    @property
    def clean(self) -> bool:
        """Nothing is wrong with any run."""
        return not self.not_played and not any(self.counts.values())

    @property
    def meets_the_bar(self) -> bool:
        """Clean, and large enough to mean something."""
        return self.clean and self.runs >= BAR_RUNS and self.messages >= BAR_MESSAGES


def rows(results: Sequence[Result]) -> list[Row]:
    """One row for each kind of fault that happened, in the order of kinds.py."""
    found: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        for kind in set(result.kinds) or {NONE}:
            found[kind].append(result)
    table = []
    for kind in (one.name for one in KINDS):
        runs = found.get(kind)
        if runs:
            heals = [seconds for run in runs for name, seconds in run.heal_s if name == kind]
            injected = sum(run.kinds.count(kind) for run in runs) or len(runs)
            counts = _sum(runs)
            messages = sum(run.messages for run in runs)
            table.append(Row(kind, injected, messages, counts, percentile(heals, 0.5), percentile(heals, 0.99)))
    return table


def totals(results: Sequence[Result]) -> Totals:
    """All runs together."""
    heals = [seconds for result in results for _, seconds in result.heal_s]
    return Totals(
        runs=len(results),
        injected=sum(len(result.kinds) for result in results),
        messages=sum(result.messages for result in results),
        deliveries=sum(result.deliveries for result in results),
        pushes=sum(result.pushes for result in results),
        counts=_sum(results),
        not_played=sum(bool(result.not_played) for result in results),
        heal_p50_s=percentile(heals, 0.5),
        heal_p99_s=percentile(heals, 0.99),
    )


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    rank = max(0, -(-len(ordered) * round(share * 100) // 100) - 1)
    return ordered[rank]


_COLUMNS = ("fault", "runs", "messages", *FINDINGS, "heal p50", "p99")


def table(results: Sequence[Result]) -> Table:
    """For the terminal."""
    drawn = Table(box=SIMPLE)
    drawn.add_column(_COLUMNS[0], no_wrap=True)
    for column in _COLUMNS[1:]:
        drawn.add_column(column, justify="right")
    for row in rows(results):
        drawn.add_row(row.kind, *_cells(row.injected, row.messages, row.counts, row.heal_p50_s, row.heal_p99_s))
    whole = totals(results)
    drawn.add_section()
    drawn.add_row("all", *_cells(whole.runs, whole.messages, whole.counts, whole.heal_p50_s, whole.heal_p99_s))
    return drawn


def page(results: Sequence[Result], *, date: str, commit: str, command: str, machine: str, note: str = "") -> str:
    """docs/reliability.md."""
    whole = totals(results)
    lines = [_head(whole, date, commit, command, machine), "## By kind of fault\n"]
    lines.append("| " + " | ".join(_COLUMNS) + " |")
    lines.append("|---|" + "---:|" * (len(_COLUMNS) - 1))
    for row in rows(results):
        cells = _cells(row.injected, row.messages, row.counts, row.heal_p50_s, row.heal_p99_s)
        lines.append(f"| {row.kind} | " + " | ".join(cells) + " |")
    cells = _cells(whole.runs, whole.messages, whole.counts, whole.heal_p50_s, whole.heal_p99_s)
    lines.append("| **all** | " + " | ".join(cells) + " |")
    if note:
        lines.append(f"\n{note}")
    lines.append(_FOOT)
    lines += [f"- **{row.kind}**: {BY_NAME[row.kind].says}." for row in rows(results)]
    return "\n".join(lines) + "\n"


def _sum(results: Sequence[Result]) -> dict[str, int]:
    summed: Counter[str] = Counter()
    for result in results:
        summed.update(result.counts)
    return {finding: summed[finding] for finding in FINDINGS}


def _cells(runs: int, messages: int, counts: dict[str, int], p50: float | None, p99: float | None) -> list[str]:
    found = [str(counts[finding]) for finding in FINDINGS]
    return [str(runs), f"{messages:,}", *found, _seconds(p50), _seconds(p99)]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _head(whole: Totals, date: str, commit: str, command: str, machine: str) -> str:
    bar = "met" if whole.meets_the_bar else "not met"
    counts = whole.counts
    return f"""# Reliability

A message once accepted reaches every device of every recipient exactly once and in order as the user sees it, or
becomes a push, whatever is killed meanwhile. This page is written by the runs that try to refute it.

A run is made from a seed: eight people with one to three devices each talk in four to six conversations, over sockets
and HTTP; some are away all the time, others come and go, with a word or without. Meanwhile one or two faults fire. Then
everything is healed, and what all devices showed, the events table and the push ledger are held against each other.

- Written: {date}, commit {commit}, {machine}
- Command: `{command}`
- Any run again: `make chaos RUNS=1 SEED=<seed>`. A failing run prints its seed and what is wrong.

## Figures

| | |
|---|---:|
| Runs | {whole.runs:,} |
| Faults injected | {whole.injected:,} |
| Messages accepted | {whole.messages:,} |
| Messages shown, over all devices | {whole.deliveries:,} |
| Pushes sent | {whole.pushes:,} |
| Lost | {counts[LOST]:,} |
| Duplicated as shown to the user | {counts[DUPLICATED]:,} |
| Out of order | {counts[OUT_OF_ORDER]:,} |
| Phantom | {counts[PHANTOM]:,} |
| Pushes for what was delivered | {counts[WRONG_PUSH]:,} |
| Pushes missing | {counts[MISSING_PUSH]:,} |
| Pushes twice | {counts[SECOND_PUSH]:,} |
| Stuck | {counts[STUCK]:,} |
| Runs that could not be played | {whole.not_played:,} |
| Time to heal, p50 and p99 | {_seconds(whole.heal_p50_s)}, {_seconds(whole.heal_p99_s)} |

The bar is {BAR_RUNS} runs and {BAR_MESSAGES:,} messages with nothing lost, duplicated or out of order: **{bar}**.
"""


_FOOT = """
A run with two faults stands in both rows, and once in the last one. Time to heal: from the moment at which the repair
began (a killed process has still to start) until every device that was there had everything recorded before it. Times
are those of the suite's quick settings: receipts after 2 s instead of 10, a sync each 3 s instead of 25, and so on.
What counts as which finding is said in `tests/chaos/checker.py` and `tests/chaos/ledger.py`, and each is planted in
`tests/chaos/test_checker.py`.

## What the faults are
"""
