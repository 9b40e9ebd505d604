"""docs/errors.md has a row for every code, and says of it what the contract says."""

from __future__ import annotations

import re

from contracts.codes import CloseCode, ErrorCode
from contracts.problems import problem

from .pages import ROOT, plain, rows, section

PAGE = (ROOT / "docs" / "errors.md").read_text()
YES_OR_NO = {True: "yes", False: "no"}


def test_every_error_code_has_its_row() -> None:
    """In the contract's order, with status and retry; no other row."""
    documented = [tuple(plain(cell) for cell in row[:3]) for row in rows(section(PAGE, "Error codes"))]
    assert documented == [(code.value, str(code.status), YES_OR_NO[code.retry]) for code in ErrorCode]


def test_every_close_code_has_its_row() -> None:
    """In the order of the codes, with whether to come back, and the name; no other row."""
    documented = [tuple(plain(cell) for cell in row[:3]) for row in rows(section(PAGE, "Close codes"))]
    wanted = [(str(int(code)), YES_OR_NO[code.come_back], code.name) for code in sorted(CloseCode)]
    assert documented == wanted


def test_anchors_equal_the_codes() -> None:
    """A link to `#<code>` leads to its row."""
    ids = re.findall(r'^\| <a id="([^"]+)"></a>`?([a-z_0-9]+)`? ', PAGE, re.MULTILINE)
    assert [anchor for anchor, _ in ids] == [
        *(code.value for code in ErrorCode),
        *(f"close-{int(code)}" for code in sorted(CloseCode)),
    ]
    assert all(anchor.removeprefix("close-") == shown for anchor, shown in ids)


def test_the_type_of_a_problem_ends_in_its_anchor() -> None:
    """Whoever has a problem's `type` finds its row."""
    assert "`urn:natter:error:`" in PAGE
    for code in ErrorCode:
        assert problem(code, "why").type == f"urn:natter:error:{code.value}"


def test_every_row_says_something() -> None:
    """A code without a meaning helps nobody."""
    for row in [*rows(section(PAGE, "Error codes")), *rows(section(PAGE, "Close codes"))]:
        assert all(plain(cell) for cell in row), row
