"""docs/seed-rows.md has every row of the seed, and every test that it names exists."""

from __future__ import annotations

import ast
import re

import pytest

from .pages import ROOT, rows

ROWS = rows((ROOT / "docs" / "seed-rows.md").read_text())
NAMED = [(row[0], named) for row in ROWS for named in re.findall(r"`([\w/.-]+\.py::\w+)`", row[2])]


def test_every_row_is_there() -> None:
    """S1 to S26, in order, each with a test and a sentence."""
    assert [row[0] for row in ROWS] == [f"S{number}" for number in range(1, 27)]
    assert {row for row, _ in NAMED} == {row[0] for row in ROWS}
    assert all(len(row[1]) > 15 for row in ROWS)


@pytest.mark.parametrize(("row", "named"), NAMED, ids=[f"{row}-{named.rpartition('::')[2]}" for row, named in NAMED])
def test_each_test_exists(row: str, named: str) -> None:
    """The file is there, pytest would collect it, and the function is one of its tests."""
    path, _, function = named.partition("::")
    assert path.rpartition("/")[2].startswith("test_"), row
    tree = ast.parse((ROOT / path).read_text())
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert function in found, f"{row}: {named}"
    assert function.startswith("test_")
