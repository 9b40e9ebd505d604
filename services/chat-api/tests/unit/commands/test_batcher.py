"""Sends that wait together are carried together, and each still has its own answer and its own place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from chat_api.commands.batcher import Overloaded, SendBatcher
from chat_api.commands.handlers import SendResult, Sent
from chat_api.commands.ports import Clash, StoreUnavailable
from chat_api.domain.commands import SendMessage
from chat_api.domain.conversation import as_message, decide, evolve
from chat_api.domain.errors import NotFound
from chat_api.testing import create, send
from contracts.events import MessageCreated
from contracts.ids import new_id

_STATE = evolve(None, decide(None, create("alice"))[0])


def sent(command: SendMessage) -> Sent:
    """What a carrier answers."""
    (event,) = decide(_STATE, command)
    assert isinstance(event, MessageCreated)
    return Sent(as_message(event))


class Carrier:
    """Carries batches when it is told to, and remembers them."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.poison: set[str] = set()
        self.refuse: set[str] = set()

    async def carry(self, commands: Sequence[SendMessage]) -> list[SendResult]:
        """One result per command, unless one of them is poison."""
        self.batches.append([command.draft.content for command in commands])
        await self.open.wait()
        if any(command.draft.content in self.poison for command in commands):
            raise RuntimeError("the transaction failed")
        return [NotFound() if command.draft.content in self.refuse else sent(command) for command in commands]


@asynccontextmanager
async def running(
    carrier: Carrier, *, lanes: int = 1, batch_max: int = 64, queue_max: int = 100
) -> AsyncIterator[SendBatcher]:
    """A batcher at work."""
    batcher = SendBatcher(carrier.carry, lanes=lanes, batch_max=batch_max, queue_max=queue_max)
    task = asyncio.create_task(batcher.run())
    try:
        yield batcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until `condition` holds."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("did not happen")


async def submit(batcher: SendBatcher, *commands: SendMessage) -> list[asyncio.Task[Sent]]:
    """One task per command, submitted in this order."""
    tasks = []
    for command in commands:
        tasks.append(asyncio.create_task(batcher.send(command)))
        await asyncio.sleep(0)
    return tasks


async def test_a_lone_send_waits_for_nobody() -> None:
    """Its batch is of one, and begins at once."""
    carrier = Carrier()
    async with running(carrier) as batcher:
        result = await batcher.send(send(new_id(), "alice", "hello"))
        assert result.message.content == "hello"
        assert carrier.batches == [["hello"]]


async def test_what_waits_goes_together_and_in_order() -> None:
    """While one transaction runs the others gather; each batch keeps to its bound."""
    carrier = Carrier()
    carrier.open.clear()
    conversation = new_id()
    async with running(carrier, batch_max=4) as batcher:
        tasks = await submit(batcher, *(send(conversation, "alice", str(n)) for n in range(10)))
        await until(lambda: carrier.batches == [["0"]])
        carrier.open.set()
        results = await asyncio.gather(*tasks)
    assert carrier.batches == [["0"], ["1", "2", "3", "4"], ["5", "6", "7", "8"], ["9"]]
    assert [result.message.content for result in results] == [str(n) for n in range(10)]


async def test_order_holds_per_conversation_over_several_lanes() -> None:
    """A conversation keeps to one lane, so its sends are carried as they were submitted."""
    carrier = Carrier()
    conversations = [new_id() for _ in range(20)]
    carried: dict[str, list[int]] = {conversation: [] for conversation in conversations}

    async def carry(commands: Sequence[SendMessage]) -> list[SendResult]:
        await asyncio.sleep(0)
        for command in commands:
            carried[command.conversation_id].append(int(command.draft.content))
        return [sent(command) for command in commands]

    carrier.carry = carry  # type: ignore[method-assign]
    async with running(carrier, lanes=3, batch_max=2, queue_max=1000) as batcher:
        commands = [send(conversation, "alice", str(n)) for n in range(10) for conversation in conversations]
        await asyncio.gather(*await submit(batcher, *commands))
    assert all(order == list(range(10)) for order in carried.values())


async def test_a_store_that_is_away_is_asked_once_for_a_whole_batch() -> None:
    """Everybody hears at once that it is away: nobody waits for as many timeouts as there are neighbours."""
    batches: list[int] = []
    gate = asyncio.Event()
    carrier = Carrier()

    async def carry(commands: Sequence[SendMessage]) -> list[SendResult]:
        batches.append(len(commands))
        await gate.wait()
        raise StoreUnavailable

    carrier.carry = carry  # type: ignore[method-assign]
    conversation = new_id()
    async with running(carrier) as batcher:
        tasks = await submit(batcher, *(send(conversation, "alice", str(n)) for n in range(5)))
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 5
    assert batches == [1, 4]


async def test_a_cancellation_that_nobody_meant_does_not_end_a_lane() -> None:
    """A driver's future was cancelled under us: its batch fails, the next one is carried out."""
    carrier = Carrier()

    async def carry(commands: Sequence[SendMessage]) -> list[SendResult]:
        future: asyncio.Future[list[SendResult]] = asyncio.get_running_loop().create_future()
        if commands[0].draft.content == "lost":
            future.cancel()
        else:
            future.set_result([sent(command) for command in commands])
        return await future

    carrier.carry = carry  # type: ignore[method-assign]
    conversation = new_id()
    async with running(carrier) as batcher:
        with pytest.raises(Overloaded):
            await batcher.send(send(conversation, "alice", "lost"))
        assert (await batcher.send(send(conversation, "alice", "carried"))).message.content == "carried"


async def test_one_bad_command_does_not_fail_its_neighbours() -> None:
    """A batch that fails is carried one by one: only the culprit hears of it."""
    carrier = Carrier()
    carrier.open.clear()
    carrier.poison = {"2"}
    conversation = new_id()
    async with running(carrier) as batcher:
        tasks = await submit(batcher, *(send(conversation, "alice", str(n)) for n in range(5)))
        await until(lambda: carrier.batches == [["0"]])
        carrier.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert (await batcher.send(send(conversation, "alice", "later"))).message.content == "later"
    assert isinstance(results[2], RuntimeError)
    assert [result.message.content for result in results if isinstance(result, Sent)] == ["0", "1", "3", "4"]
    assert carrier.batches[1:6] == [["1", "2", "3", "4"], ["1"], ["2"], ["3"], ["4"]]


async def test_a_refusal_is_raised_to_its_sender_alone() -> None:
    """A refused send is an answer, not a failure of the batch."""
    carrier = Carrier()
    carrier.refuse = {"no"}
    async with running(carrier) as batcher:
        results = await asyncio.gather(
            *(batcher.send(send(new_id(), "alice", text)) for text in ("yes", "no")), return_exceptions=True
        )
    assert isinstance(results[0], Sent)
    assert isinstance(results[1], NotFound)


async def test_too_many_waiting_is_said_at_once() -> None:
    """Above the limit nobody waits; below it everybody is served."""
    carrier = Carrier()
    carrier.open.clear()
    conversation = new_id()
    async with running(carrier, queue_max=3) as batcher:
        tasks = await submit(batcher, send(conversation, "alice", "running"))
        await until(lambda: carrier.batches != [])
        tasks += await submit(batcher, *(send(conversation, "alice", str(n)) for n in range(3)))
        with pytest.raises(Overloaded):
            await batcher.send(send(conversation, "alice", "too many"))
        carrier.open.set()
        assert len(await asyncio.gather(*tasks)) == 4


async def test_whoever_gave_up_is_not_carried() -> None:
    """A closed connection's send that has not begun is skipped, its neighbours are not."""
    carrier = Carrier()
    carrier.open.clear()
    conversation = new_id()
    async with running(carrier) as batcher:
        tasks = await submit(batcher, *(send(conversation, "alice", text) for text in ("a", "b", "c")))
        await until(lambda: carrier.batches == [["a"]])
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)
        carrier.open.set()
        await asyncio.gather(tasks[0], tasks[2])
    assert carrier.batches == [["a"], ["c"]]


async def test_giving_up_during_the_transaction_harms_nobody() -> None:
    """The result of a sender who is gone is dropped; the lane goes on."""
    carrier = Carrier()
    carrier.open.clear()
    async with running(carrier) as batcher:
        tasks = await submit(batcher, send(new_id(), "alice", "a"))
        await until(lambda: carrier.batches == [["a"]])
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        carrier.open.set()
        assert (await batcher.send(send(new_id(), "alice", "b"))).message.content == "b"


@pytest.mark.parametrize("poison", [set(), {"b"}], ids=["in a batch", "one by one"])
async def test_stopping_leaves_nobody_waiting(poison: set[str]) -> None:
    """What is being carried and what waits is cancelled: no sender hangs when the service stops."""
    carrier = Carrier()
    carrier.open.clear()
    carrier.poison = poison
    conversation = new_id()
    async with running(carrier, batch_max=2) as batcher:
        tasks = await submit(batcher, *(send(conversation, "alice", text) for text in ("a", "b", "c", "d", "e")))
        await until(lambda: carrier.batches != [])
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


@pytest.mark.parametrize("clashes", [1, 2])
async def test_a_clash_is_decided_once_more(clashes: int) -> None:
    """Whoever lost a unique name sees the winner in a second transaction; for ever it is not tried."""
    carrier = Carrier()
    carried = 0

    async def carry(commands: Sequence[SendMessage]) -> list[SendResult]:
        nonlocal carried
        carried += 1
        if carried <= clashes:
            raise Clash
        return [sent(command) for command in commands]

    carrier.carry = carry  # type: ignore[method-assign]
    async with running(carrier) as batcher:
        if clashes == 1:
            assert (await batcher.send(send(new_id(), "alice", "x"))).message.content == "x"
        else:
            with pytest.raises(Clash):
                await batcher.send(send(new_id(), "alice", "x"))
    assert carried == 2
