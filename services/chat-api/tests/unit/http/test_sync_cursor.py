"""Cursors of a sync: what is written is read, what is none is refused, and what is of no use is known."""

from __future__ import annotations

import base64

import pytest

from chat_api.http.errors import ApiError
from chat_api.http.sync_cursor import LENGTH_MAX, IncrementCursor, SnapshotCursor, read, usable, user_mark, write
from contracts.codes import ErrorCode
from contracts.ids import new_id

NOW = 1_769_847_330
ALICE = user_mark("alice")
LARGEST = 10**18 - 1
KNOWN = "01981f5e-7d2a-7c30-9c4e-5b1d6a0f2e47"
"""An id that does not change: a test's name has to be the same in every process of a run."""


def encoded(text: str) -> str:
    """As cursors are encoded."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        IncrementCursor(ALICE, NOW, 1, 0),
        IncrementCursor(ALICE, NOW, LARGEST, LARGEST),
        IncrementCursor(ALICE, NOW, 2, 0, (1, 0)),
        IncrementCursor(ALICE, NOW, LARGEST, LARGEST, (LARGEST, LARGEST)),
        SnapshotCursor(ALICE, NOW, 3, 0, new_id()),
        SnapshotCursor(ALICE, NOW, LARGEST, LARGEST, new_id()),
    ],
)
def test_what_is_written_is_read(cursor: IncrementCursor | SnapshotCursor) -> None:
    """Both kinds, within the length that a query may have."""
    text = write(cursor)
    assert read(text) == cursor
    assert len(text) <= LENGTH_MAX
    assert text.isascii()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1i",
        f"1i.{ALICE}.1.2",
        f"1i.{ALICE}.1.2.3.4",
        f"1i.{ALICE}.1.2.3.4.5.6",
        f"1i.{ALICE}.1.2.3.4.-5",
        f"1i.{ALICE}.1.-2.3",
        f"1i.{ALICE}.1.2.{10**18}",
        f"1i.{ALICE}.1.2.3\n",
        f"1i.{ALICE}.1.٢.3",
        f"1i.{ALICE.upper()}G.1.2.3",
        f"1x.{ALICE}.1.2.3",
        f"1s.{ALICE}.1.2.3.nothing",
        f"1s.{ALICE}.1.2.3.{KNOWN.upper()}",
        "2i",
        "x.y",
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """However much it looks like one."""
    with pytest.raises(ApiError, match="not one of ours") as refused:
        read(encoded(text))
    assert refused.value.code is ErrorCode.VALIDATION_FAILED


@pytest.mark.parametrize("change", ["{}=", " {}", "{}!", "é{}", "{}A"])
def test_only_the_very_text_is_a_cursor(change: str) -> None:
    """A decoder that passes over what it does not know must not make two texts one cursor."""
    with pytest.raises(ApiError, match="not one of ours"):
        read(change.format(write(IncrementCursor(ALICE, NOW, 1, 0))))


def test_the_cursor_of_another_release_is_known_as_such() -> None:
    """It leads to a snapshot, not to a client that cannot go on after a release was taken back."""
    assert read(encoded("2i.whatever it says")) is None


@pytest.mark.parametrize(
    ("cursor", "expected"),
    [
        (IncrementCursor(ALICE, NOW - 60, 7, 0), True),
        (IncrementCursor(ALICE, NOW - 61, 7, 0), False),
        (IncrementCursor(ALICE, NOW + 999, 7, 0), True),
        (IncrementCursor(user_mark("bob"), NOW, 7, 0), False),
        (IncrementCursor(ALICE, NOW, 100, 0), True),
        (IncrementCursor(ALICE, NOW, 101, 0), False),
        (SnapshotCursor(ALICE, NOW - 60, 7, 0, new_id()), True),
        (SnapshotCursor(ALICE, NOW - 61, 7, 0, new_id()), False),
        (SnapshotCursor(ALICE, NOW, 101, 0, new_id()), False),
    ],
)
def test_which_cursors_are_of_use(cursor: IncrementCursor | SnapshotCursor, expected: bool) -> None:
    """Of this user, young enough, and at a place that this database has reached."""
    assert usable(cursor, user_id="alice", now_s=NOW, age_max_s=60, next_txid=100) is expected
