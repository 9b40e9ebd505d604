"""A short attack over HTTP in `make test`: the examples of every operation, and one or two odd requests to each."""

from __future__ import annotations

import pytest

from .http import ROLES, attack
from .place import open_place


@pytest.mark.timeout(600)
async def test_every_operation_answers_as_documented() -> None:
    """schemathesis with every check that fits, as a service, an admin and a customer: no 5xx, nothing undocumented."""
    async with open_place() as place:
        stack = place.world.stack
        for role in ROLES:
            user = await place.world.person(role, roles=(role,))
            token = stack.token(user.user_id, roles=(role,))
            for known in (await place.known(user), None):
                found = await attack(stack.api_url, token, role, seed=1, examples_max=2, seconds=12, known=known)
                assert found.status == 0, found.output.replace(token, "…")
        await place.still_well()
