"""A short attack over HTTP in `make test`: the examples of every operation, and one or two odd requests to each."""

from __future__ import annotations

import pytest

from contracts.ids import new_id

from .http import Found, Ids, attack
from .known import Account, Known, known
from .place import hurried, open_place
from .planted import planted, served

SHORT = {"service": Ids.ONE, "admin": Ids.MANY, "consultant": Ids.ONE, "customer": Ids.MANY}
"""Each role in one of the two ways; `make fuzz` tries both."""


@pytest.mark.timeout(600)
async def test_every_operation_answers_as_documented() -> None:
    """All checks of schemathesis and our own, as everybody who may come: no 5xx, nothing undocumented."""
    async with open_place() as place:
        for role, ids in SHORT.items():
            async with known(place.world, role) as things:
                found = await attack(place.world.stack.api_url, things, ids, seed=1, examples_max=2, seconds=7)
            assert found.status == 0, found.output
            assert _got_through(found)
        await place.still_well()


@pytest.mark.timeout(300)
async def test_who_is_in_a_hurry_is_told_so() -> None:
    """With limits on how often one may ask, each refusal is a documented 429 that says when to come again."""
    kinds = "^/v1/(conversations|notifications|attachments|auth/password|conversations/{conversation_id}/read)$"
    async with open_place(hurried(per_s=0.2)) as place, known(place.world, "customer", signing_in=False) as things:
        found = await attack(place.world.stack.api_url, things, Ids.ONE, seed=1, examples_max=1, only=kinds)
        assert found.status == 0, found.output
        assert found.answers[429] > found.answers[401]
        await place.still_well()


@pytest.mark.timeout(300)
async def test_planted_mistakes_are_found() -> None:
    """What was planted is found, each mistake by the check that is there for it."""
    nothing = {"conversation": [new_id()], "user": ["anna"]}
    nothing |= {kind: [new_id()] for kind in ("message", "attachment", "broadcast")}
    things = Known(Account("anna", "secret"), Account("eve", "secret"), nothing, "victim")
    async with served(planted()) as url:
        found = await attack(url, things, Ids.MANY, seed=1, examples_max=6)
    assert [sentence for sentence in MISTAKES if sentence not in found.output] == []
    assert found.status == 1


MISTAKES = (
    "fits the document, and was called a mistake",
    "403 says user_blocked; documented: forbidden",
    "`eve` received",
    "for a resource that was previously deleted",
    "required headers are missing from the response",
    "Server error",
)


def _got_through(found: Found) -> bool:
    """Whether the attack was more than an attempt to get in: each success is tried again without a token, too."""
    return sum(found.answers[status] for status in (200, 201, 202, 204)) > found.answers.total() / 20
