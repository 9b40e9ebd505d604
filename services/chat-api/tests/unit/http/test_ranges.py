"""Which bytes a client asks for, and which it has already."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_api.http.ranges import NotSatisfiable, Range, matches, wanted


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", Range(0, 1)),
        ("bytes=0-9", Range(0, 10)),
        ("bytes=90-", Range(90, 100)),
        ("bytes=90-1000", Range(90, 100)),
        ("bytes=-10", Range(90, 100)),
        ("bytes=-1000", Range(0, 100)),
        (" bytes = 5 - 6 ", Range(5, 7)),
    ],
)
def test_a_part(header: str, part: Range) -> None:
    """The forms of RFC 9110, of 100 bytes."""
    assert wanted(header, 100) == part


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-5", "bytes=0-1,5-6", "lines=0-1", "bytes=٣-٤",
     "bytes=" + "9" * 5000 + "-"],
)  # fmt: skip
def test_what_is_no_range_asks_for_everything(header: str | None) -> None:
    """A header that we do not understand is as good as none."""
    assert wanted(header, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_what_is_not_there(header: str) -> None:
    """Beyond the end."""
    with pytest.raises(NotSatisfiable):
        wanted(header, 100)


@given(st.from_regex(r"bytes=\d{0,4}-\d{0,4}", fullmatch=True), st.integers(min_value=1, max_value=2000))
def test_a_part_lies_within(header: str, size: int) -> None:
    """Never empty, never beyond the end."""
    try:
        part = wanted(header, size)
    except NotSatisfiable:
        return
    assert part is None or 0 <= part.start < part.end <= size


@pytest.mark.parametrize(
    ("header", "has"),
    [(None, False), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("a", False)],
)
def test_what_the_client_has(header: str | None, has: bool) -> None:
    """Any of the versions that it names."""
    assert matches(header, '"a"') is has
