"""What the table, the page and the output file say of given results."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from .__main__ import arguments
from .kinds import BY_NAME
from .report import Result, page, percentile, rows, table, totals
from .verdict import FINDINGS, LOST


def result(seed: int, *kinds: str, heal_s: float = 1.0, **counts: int) -> Result:
    """A run with 600 messages."""
    return Result(
        seed=seed,
        kinds=kinds,
        faults=kinds,
        messages=600,
        deliveries=5000,
        pushes=300,
        counts={finding: counts.get(finding.replace(" ", "_"), 0) for finding in FINDINGS},
        heal_s=tuple((kind, heal_s) for kind in kinds),
        took_s=10.0,
    )


PAGE = {"date": "2026-01-31", "commit": "abc1234", "command": "make chaos RUNS=2 SEED=1", "machine": "2 cores"}


def test_a_run_with_two_faults_stands_in_both_rows_and_counts_once() -> None:
    """Rows are by kind in the order of kinds.py, with the control; the sum does not count anything twice."""
    results = [result(1, "kill edge", "wipe nats", lost=2), result(2, "kill edge", heal_s=3.0), result(3)]
    found = {row.kind: row for row in rows(results)}
    assert list(found) == ["none", "kill edge", "wipe nats"]
    assert (found["kill edge"].injected, found["kill edge"].messages, found["kill edge"].counts[LOST]) == (2, 1200, 2)
    assert (found["kill edge"].heal_p50_s, found["kill edge"].heal_p99_s) == (1.0, 3.0)
    assert (found["wipe nats"].injected, found["wipe nats"].counts[LOST]) == (1, 2)
    assert found["none"].heal_p50_s is None
    whole = totals(results)
    assert (whole.runs, whole.injected, whole.messages, whole.counts[LOST]) == (3, 3, 1800, 2)
    assert not whole.clean


def test_the_bar_asks_for_runs_messages_and_no_finding() -> None:
    """200 clean runs meet it; fewer do not, and neither do 200 with a single finding or one that was not played."""
    clean = [result(seed, "kill edge") for seed in range(200)]
    assert totals(clean).meets_the_bar
    assert not totals(clean[1:]).meets_the_bar
    assert not totals([*clean[1:], result(1, "kill edge", second_push=1)]).meets_the_bar
    broken = Result(**{**vars(clean[0]), "not_played": "no stack"})
    assert not broken.clean
    assert not totals([*clean[1:], broken]).meets_the_bar


def test_percentiles() -> None:
    """The smallest value that the share does not exceed."""
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(number) for number in range(1, 101)], 0.99) == 99.0
    assert percentile([1.0, 2.0], 0.99) == 2.0


def test_the_page_says_what_was_found_and_how_to_repeat_it() -> None:
    """Totals, bar, date, commit, command, and each fault that happened with its row and its sentence."""
    text = page([result(1, "wipe nats", lost=3), result(2)], **PAGE)
    assert "| Lost | 3 |" in text
    assert "**not met**" in text
    assert "2026-01-31, commit abc1234" in text
    assert "`make chaos RUNS=2 SEED=1`" in text
    assert "| wipe nats | 1 | 600 | 3 |" in text
    assert f"- **wipe nats**: {BY_NAME['wipe nats'].says}." in text
    assert "kill edge" not in text
    assert "**met**" in page([result(seed, "kill edge") for seed in range(200)], **PAGE)


def test_the_table_can_be_drawn() -> None:
    """Every kind that happened and every finding has its cell."""
    console = Console(width=150, file=io.StringIO())
    with console.capture() as captured:
        console.print(table([result(1, "kill edge", second_push=7)]))
    drawn = captured.get()
    assert "kill edge" in drawn
    assert all(finding in drawn for finding in FINDINGS)
    assert drawn.count(" 7 ") == 2  # its row and the sum


def test_a_line_of_output_is_json() -> None:
    """One object per run, with everything that a later look needs: read again it is the same."""
    line = result(7, "kill edge").line()
    assert Result.read(line) == result(7, "kill edge")
    assert "\n" not in line
    assert json.loads(line)["seed"] == 7
    assert json.loads(line)["heal_s"] == [["kill edge", 1.0]]


def test_the_command_line() -> None:
    """Defaults are those of `make chaos`; a fault that does not exist and a negative number of runs are refused."""
    options = arguments([])
    assert (options.runs, options.seed, options.fault) == (20, 1, None)
    assert arguments(["--fault", "wipe nats"]).fault == "wipe nats"
    for wrong in (["--fault", "fire"], ["--runs", "0"], ["--runs", "many"]):
        with pytest.raises(SystemExit):
            arguments(wrong)
