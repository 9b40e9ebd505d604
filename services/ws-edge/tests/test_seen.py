"""Repeats are recognised exactly; what was never written is never taken for a repeat."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ws_edge.seen import GAPS_MAX, Seen


@given(st.lists(st.integers(min_value=1, max_value=200), max_size=300))
def test_each_seq_is_new_exactly_once(seqs: list[int]) -> None:
    """Whatever the order, with repeats and gaps, the answer is that of a set."""
    seen, known = Seen(), set[int]()
    for seq in seqs:
        assert seen.add(seq) is (seq not in known)
        known.add(seq)


def test_a_late_frame_below_the_highest_is_new() -> None:
    """The case that the highest seq alone gets wrong."""
    seen = Seen()
    assert [seen.add(seq) for seq in (5, 8, 6, 8, 6, 4, 7)] == [True, True, True, False, False, True, True]


def test_gaps_are_bounded_and_the_newest_are_kept() -> None:
    """A stream that jumps far ahead costs no more than the limit; the gaps next to its end are still known."""
    seen = Seen()
    seen.add(1)
    seen.add(1_000_000)
    assert seen.add(999_999)
    assert seen.add(1_000_000 - GAPS_MAX)
    assert not seen.add(1_000_000 - GAPS_MAX - 1)
