"""The record's order, and the lane of each stream."""

from __future__ import annotations

import pytest

from chat_api.store.keys import ORIGIN, Key, lane_of


@pytest.mark.parametrize(
    ("stream", "lane"),
    [
        ("conversation:018f2f6e-5b7a-7c3e-9c57-0d5a1f0c2b11", 13),
        ("user:anna", 3),
        ("user:安娜", 14),
    ],
)
def test_a_stream_stays_in_its_lane(stream: str, lane: int) -> None:
    """Floors in Postgres are of lanes: what a release computes differently would be delivered twice, or never."""
    assert lane_of(stream, 16) == lane
    assert lane_of(stream, 1) == 0


def test_keys_are_ordered_by_transaction_then_by_position() -> None:
    """A late transaction with early positions comes later; nothing lies between a key and the one below it."""
    assert ORIGIN < Key(1, 9) < Key(2, 1) < Key(2, 2)
    assert Key(2, 2).predecessor() == Key(2, 1)
    assert Key(1, 9) < Key(2, 1).predecessor() < Key(2, 1)
