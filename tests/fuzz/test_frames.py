"""A few thousand hostile frames in `make test`; `make fuzz` plays as many as one wants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.codes import CloseCode
from contracts.ids import new_id

from .frames import Tally, Undocumented, judge, play
from .generate import Generator, Outcome
from .place import calm, open_place

FRAMES = 1_500
RSS_GROWTH_BYTES_MAX = 64 * 1024 * 1024


async def test_whatever_comes_the_edge_answers_as_documented_and_keeps_nothing() -> None:
    """Hostile dialogues side by side: every answer documented, nobody else disturbed, no socket left behind."""
    async with open_place() as place:
        await place.still_well()
        sockets, files, rss = place.edge.sockets(), place.edge.open_files(), place.edge.rss_bytes()
        tally = Tally()
        await play(place.attackers, frames=FRAMES, seed=1, tally=tally, progress=lambda _: None)
        assert tally.wrong == []
        assert await calm(place.edge, sockets, files)
        assert place.edge.rss_bytes() - rss < RSS_GROWTH_BYTES_MAX
        await place.still_well()
        assert not [line for line in place.world.stack.part("edge-1").log_tail(10_000) if "Traceback" in line]
    assert tally.answers["pong"] > 100
    assert tally.answers["ack"] > 5
    assert {CloseCode.BAD_FRAME, CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_TEXT} <= set(tally.closes)


def test_the_same_seed_is_the_same_attack() -> None:
    """What `make fuzz` has found can be played again."""
    conversation = new_id()

    def row() -> Iterator[bytes]:
        generator = Generator(7, conversation)
        for _ in range(200):
            yield from (case.data for case in generator.dialogue())

    assert list(row()) == list(row())
    other = Generator(8, conversation)
    assert list(row()) != [case.data for _ in range(200) for case in other.dialogue()]


def test_every_outcome_is_played() -> None:
    """A row that is long enough has every kind of case in it."""
    generator = Generator(1, new_id())
    cases = [case for _ in range(2_000) for case in generator.dialogue()]
    assert {case.outcome for case in cases} == set(Outcome)
    assert len({case.kind for case in cases}) > 30


@pytest.mark.parametrize(
    "told",
    [
        [],
        {"action": "new_message"},
        {"action": "what", "data": {}},
        {"action": "error", "data": {"code": "made_up", "message": "x"}},
        {"action": "connected", "data": {"user_id": "x"}},
    ],
)
def test_an_undocumented_answer_is_found(told: object) -> None:
    """The judge finds what no page tells."""
    with pytest.raises(Undocumented):
        judge(told)


def test_a_documented_answer_is_named() -> None:
    """By its action, an error by its code as well."""
    assert judge({"action": "pong", "data": {}}) == "pong"
    assert judge({"action": "error", "data": {"code": "rate_limited", "message": "x"}}) == "error rate_limited"
