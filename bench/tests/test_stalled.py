"""The benchmark of the stalled socket: frames cut right, figures put together right, and a small run of it all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bench.stalled import Round, arguments, measure, result
from bench.stalled_clients import cut


def encoded(payload: bytes) -> bytes:
    """A server's text frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return bytes((0x81, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x81, 127)) + size.to_bytes(8, "big") + payload


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_is_cut_when_it_is_complete_and_not_before(size: int) -> None:
    """Whatever the kernel makes of the boundaries."""
    payload = b"x" * size
    data = b"before" + encoded(payload) + encoded(b"next")
    end = len(data) - len(encoded(b"next"))
    assert cut(data, 6) == (1, payload, end)
    assert cut(data, end) == (1, b"next", len(data))
    for length in (6, 7, end - 1):
        assert cut(data[:length], 6) is None


def test_rounds_are_compared_by_kind() -> None:
    """Pooled for the ratio, in pairs for its spread; memory against what it was before anything stalled."""
    rounds = []
    for pair in (1, 2):
        rounds.append(Round(False, [0.010 * pair] * 100, 100, 50 * 2**20, 0))
        rounds.append(Round(True, [0.011 * pair] * 99, 100, (60 + pair) * 2**20, 1))
    kept = result(arguments(["--note", "made up"]), 40 * 2**20, rounds)
    assert kept["p99_ratio"] == pytest.approx(1.1)
    assert kept["p99_ratio_of_pairs"] == [1.1, 1.1]
    assert kept["missing_frames"] == 2
    assert kept["closed_4408"] == 2
    assert kept["rss_grew_mib"] == 22


async def test_a_small_run_loses_nothing(tmp_path: Path) -> None:
    """Real NATS, a real edge, the real process of sockets: every healthy socket has every frame in both kinds."""
    options = arguments(["--sockets", "20", "--seconds", "0.5", "--rounds", "1", "--results", str(tmp_path / "x")])
    async with asyncio.timeout(90):
        before, rounds = await measure(options)
    assert [one.stalled for one in rounds] == [False, True]
    for one in rounds:
        assert len(one.ages_s) == one.expected > 0
    assert before > 0
