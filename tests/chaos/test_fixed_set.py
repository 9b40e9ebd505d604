"""The same seeds each time, so few that they fit into every test run, and together every kind of fault."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .kinds import KINDS, NONE
from .plan import make_plan
from .session import Session

SEEDS = (2, 3, 4, 14, 15, 19, 24, 25, 27, 29, 35, 80, 103, 186, 216, 287)
MESSAGES = 250
"""Fewer than `make chaos` sends, to be done sooner; faults, people and absences are the same."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session() -> AsyncIterator[Session]:
    """One stack for all of them."""
    async with Session(lambda _: None) as one:
        yield one


def test_the_set_has_every_kind_of_fault() -> None:
    """Whatever can break in the suite breaks here at least once."""
    played = {fault.kind for seed in SEEDS for fault in make_plan(seed).faults}
    assert played | {NONE} == {kind.name for kind in KINDS}
    assert any(not make_plan(seed).faults for seed in SEEDS)


@pytest.mark.timeout(240)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "seed", SEEDS, ids=lambda seed: f"{seed}: {' + '.join(fault.kind for fault in make_plan(seed).faults) or NONE}"
)
async def test_nothing_lost_nothing_twice_in_order(session: Session, seed: int) -> None:
    """A run of this seed is clean: devices, record and push ledger agree. Again: python -m tests.chaos --seed N."""
    result = await session.play(seed, messages=MESSAGES)
    if not result.clean:
        logs = session.keep_logs(seed)
        await session.renew()
        pytest.fail(f"{result.not_played or result.words}\n{result.faults}\nlogs: {logs}")
    assert result.messages == MESSAGES
