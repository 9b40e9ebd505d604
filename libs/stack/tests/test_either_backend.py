import asyncio
from dataclasses import replace

import pytest

from stack import Backend, Stack, StackOptions

from .conftest import sql


@pytest.fixture
def servers(servers_only: StackOptions) -> StackOptions:
    return replace(servers_only, backend=Backend.from_environment())


async def test_a_part_is_killed_and_comes_back_on_its_port(servers: StackOptions) -> None:
    """A killed part is not ready, is no failure, and starts again on the same port with the same data."""
    async with Stack(servers) as stack:
        await sql(stack, "CREATE TABLE kept (n int)")
        for part in (stack.part("postgres"), stack.part("nats")):
            port, pid = part.port, part.pid
            await part.kill()
            assert (part.running, part.died, part.pid) == (False, False, None)
            await part.start()
            assert part.port == port
            assert part.pid != pid
        assert await sql(stack, "SELECT count(*) FROM kept") == "0"


async def test_a_frozen_part_answers_after_it_resumes(servers: StackOptions) -> None:
    """A suspended Postgres says nothing at all; resumed, it answers the question asked meanwhile."""
    async with Stack(servers) as stack:
        postgres = stack.part("postgres")
        await postgres.suspend()
        question = asyncio.create_task(sql(stack, "SELECT 1"))
        done, _ = await asyncio.wait([question], timeout=0.5)
        assert not done
        await postgres.resume()
        assert await asyncio.wait_for(question, 20) == "1"
