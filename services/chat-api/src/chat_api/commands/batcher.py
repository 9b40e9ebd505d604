"""Group commit for sends: whatever waits while a transaction runs goes into the next one together.

Nobody waits for company: a lone message is committed at once. Under load a commit's cost (a trip to the disk) is shared
by up to `send_batch_max` messages, and each still gets its own answer. Messages of one conversation keep the order in
which they were submitted, because a lane takes them in order and each conversation always uses the same lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from zlib import crc32

from chat_api.commands.handlers import SendResult, Sent
from chat_api.commands.ports import Clash, StoreUnavailable
from chat_api.domain.commands import SendMessage
from chat_api.domain.errors import Refused
from kit import cancellation


class Overloaded(Exception):
    """More sends are waiting than this process accepts: try again in a moment."""


Carry = Callable[[Sequence[SendMessage]], Awaitable[list[SendResult]]]


class SendBatcher:
    """Takes single sends, carries them out in batches; `run` must be running."""

    def __init__(self, carry: Carry, *, lanes: int, batch_max: int, queue_max: int) -> None:
        self._carry = carry
        self._batch_max = batch_max
        self._lanes: list[asyncio.Queue[tuple[SendMessage, asyncio.Future[SendResult]]]] = [
            asyncio.Queue(maxsize=max(1, queue_max // lanes)) for _ in range(lanes)
        ]

    async def send(self, command: SendMessage) -> Sent:
        """Wait for the commit; raises `Refused`, `Overloaded`, or what the store raised."""
        lane = self._lanes[crc32(command.conversation_id.encode()) % len(self._lanes)]
        answer: asyncio.Future[SendResult] = asyncio.get_running_loop().create_future()
        try:
            lane.put_nowait((command, answer))
        except asyncio.QueueFull:
            raise Overloaded from None
        result = await answer
        if isinstance(result, Refused):
            raise result
        return result

    async def run(self) -> None:
        """Carry out what is submitted, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    group.create_task(self._serve(lane))
        finally:
            for lane in self._lanes:
                while not lane.empty():
                    lane.get_nowait()[1].cancel()

    async def _serve(self, lane: asyncio.Queue[tuple[SendMessage, asyncio.Future[SendResult]]]) -> None:
        while True:
            batch = [await lane.get()]
            while len(batch) < self._batch_max and not lane.empty():
                batch.append(lane.get_nowait())
            # Whoever gave up waiting (a closed connection) may still have been promised nothing: skip it.
            batch = [(command, answer) for command, answer in batch if not answer.done()]
            try:
                await self._carry_out(batch)
            except asyncio.CancelledError:
                if cancellation.is_meant():
                    for _, answer in batch:
                        answer.cancel()
                    raise
                # A lane that ended here would never serve its conversations again, and nobody would be told.
                for _, answer in batch:
                    _settle(answer, Overloaded())

    async def _carry_out(
        self, batch: Sequence[tuple[SendMessage, asyncio.Future[SendResult]]], *, again: bool = True
    ) -> None:
        if not batch:
            return
        try:
            results = await self._carry([command for command, _ in batch])
        except StoreUnavailable as away:
            # One by one they would each wait for a store that is away, and everybody behind them for all of them.
            for _, answer in batch:
                _settle(answer, away)
        except Exception as failed:
            if len(batch) == 1 and again and isinstance(failed, Clash):
                # Whoever won has committed: now it can be seen whether this is a repeat or a conflict.
                await self._carry_out(batch, again=False)
                return
            if len(batch) == 1:
                _settle(batch[0][1], failed)
                return
            # One bad command must not fail its neighbours: carry them out one by one.
            for one in batch:
                await self._carry_out([one])
        else:
            for (_, answer), result in zip(batch, results, strict=True):
                if not answer.done():
                    answer.set_result(result)


def _settle(answer: asyncio.Future[SendResult], failed: Exception) -> None:
    if not answer.done():
        answer.set_exception(failed)
