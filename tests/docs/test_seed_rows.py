"""docs/seed-rows.md has every row of the seed, and every test that it names exists."""

from __future__ import annotations

import ast
import re

import pytest

from .pages import ROOT, rows

ROWS = rows((ROOT / "docs" / "seed-rows.md").read_text())
# A title that holds a backtick stands between two of them.
_PYTHON = re.compile(r"`([\w/.-]+\.py)::(\w+)`")
_TYPESCRIPT = re.compile(r"(?<!`)(`{1,2})(web/[\w/.-]+\.(?:test\.tsx?|spec\.ts))::(.+?)\1(?!`)")
IN_PYTHON = [(row[0], *found) for row in ROWS for found in _PYTHON.findall(row[2])]
IN_TYPESCRIPT = [(row[0], path, title) for row in ROWS for _, path, title in _TYPESCRIPT.findall(row[2])]


def test_every_row_is_there() -> None:
    """S1 to S26, then W1 to W11, in order, each with a test and a sentence."""
    wanted = [*(f"S{number}" for number in range(1, 27)), *(f"W{number}" for number in range(1, 12))]
    assert [row[0] for row in ROWS] == wanted
    assert {row for row, *_ in (*IN_PYTHON, *IN_TYPESCRIPT)} == set(wanted)
    assert all(len(row[1]) > 15 for row in ROWS)


def test_nothing_else_is_named() -> None:
    """What looks like a test is one of the two kinds, so that none escapes the checks below."""
    assert sum(row[2].count("::") for row in ROWS) == len(IN_PYTHON) + len(IN_TYPESCRIPT)


@pytest.mark.parametrize(("row", "path", "function"), IN_PYTHON, ids=[f"{row}-{name}" for row, _, name in IN_PYTHON])
def test_each_test_exists(row: str, path: str, function: str) -> None:
    """The file is there, pytest would collect it, and the function is one of its tests."""
    assert path.rpartition("/")[2].startswith("test_"), row
    tree = ast.parse((ROOT / path).read_text())
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert function in found, f"{row}: {path}::{function}"
    assert function.startswith("test_")


@pytest.mark.parametrize(
    ("row", "path", "title"), IN_TYPESCRIPT, ids=[f"{row}-{title[:40]}" for row, _, title in IN_TYPESCRIPT]
)
def test_each_typescript_test_exists(row: str, path: str, title: str) -> None:
    """Vitest or Playwright would collect the file, one of its tests has the title, and nothing in it is skipped."""
    assert path.startswith("web/e2e/") == path.endswith(".spec.ts"), row
    source = (ROOT / path).read_text()
    # `it("…"`, `it.each([…])("…"`, or the latter's last line.
    begins = r"^[ \t]*(?:(?:it|test)(?:\.each(?:<[^>]*>)?\(.*\))?|\]\))\(\s*"
    assert re.search(f'{begins}"{re.escape(title)}"', source, re.MULTILINE), f"{row}: {path}::{title}"
    assert not re.search(r"\.(?:skip|only|todo|fixme)\(", source), path
