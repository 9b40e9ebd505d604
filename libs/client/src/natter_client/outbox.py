"""Messages on their way: each is sent again, under its own `client_msg_id`, until its outcome is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pydantic import ValidationError

from contracts.codes import ErrorCode
from contracts.frames import Ack, ClientAction, SendMessage
from contracts.messages import MessageDraft
from natter_client.api import Api
from natter_client.backoff import exponential
from natter_client.clock import Alarm, Clock
from natter_client.errors import NatterError, OutboxFull, Rejected, RequestFailed
from natter_client.keeper import Spawn
from natter_client.options import ClientOptions
from natter_client.session import Session
from natter_client.stats import Stats


class _Lane:
    """The sends of one conversation, one after the other in the order of the calls."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class Outbox:
    """Sends over the socket if there is one, else over HTTP; what failed on the one way is tried on the other."""

    def __init__(
        self,
        api: Api,
        options: ClientOptions,
        clock: Clock,
        stats: Stats,
        spawn: Spawn,
        session: Callable[[], Session | None],
        why_not: Callable[[], NatterError],
    ) -> None:
        self._api = api
        self._options = options
        self._clock = clock
        self._stats = stats
        self._spawn = spawn
        self._session = session
        self._why_not = why_not
        self._lanes: dict[str, _Lane] = {}
        self._waiting: dict[asyncio.Future[Ack], Alarm] = {}

    async def send(self, message: SendMessage) -> Ack:
        """Send it, and return once it is committed; raises Rejected, OutboxFull, Stopped.

        If the caller is cancelled the message is not sent again; it may have been committed.
        """
        if len(self._waiting) >= self._options.outbox_max:
            raise OutboxFull(f"{len(self._waiting)} messages wait for their acknowledgement")
        outcome: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._waiting[outcome] = Alarm(self._clock)
        try:
            self._spawn(self._carry(message, outcome))
            return await outcome
        finally:
            self._waiting.pop(outcome).ring()

    def ring(self) -> None:
        """There is a new socket: nobody needs to wait any longer."""
        for alarm in self._waiting.values():
            alarm.ring()

    def give_up(self) -> None:
        """Nothing will be sent any more."""
        for outcome in self._waiting:
            if not outcome.done():
                outcome.set_exception(self._why_not())

    async def _carry(self, message: SendMessage, outcome: asyncio.Future[Ack]) -> None:
        lane = self._lanes.setdefault(message.conversation_id, _Lane())
        lane.users += 1
        try:
            async with lane.lock:
                await self._until_answered(message, outcome)
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[message.conversation_id]

    async def _until_answered(self, message: SendMessage, outcome: asyncio.Future[Ack]) -> None:
        failures, by_socket = 0, True
        while not outcome.done():
            session = self._session() if by_socket else None
            try:
                ack = await self._attempt(message, session)
            except RequestFailed as failed:
                refusal = failed.refusal
                if refusal is not None and refusal is not ErrorCode.UNKNOWN_ACTION:
                    if not outcome.done():
                        outcome.set_exception(Rejected(refusal, failed.detail))
                    return
                failures += 1
                by_socket = session is None
                await self._pause(outcome, failures, failed)
                self._stats.resends += not outcome.done()
            else:
                if not outcome.done():
                    outcome.set_result(ack)
                return

    async def _attempt(self, message: SendMessage, session: Session | None) -> Ack:
        timeout_s = self._options.send_attempt_timeout_s
        data = message.model_dump(mode="json", exclude_none=True)
        if session is not None and session.fits(data):
            answer = await session.ask(ClientAction.SEND_MESSAGE, data, timeout_s)
            try:
                return Ack.model_validate(answer)
            except ValidationError as unreadable:
                raise RequestFailed("an ack that this version does not know") from unreadable
        draft = MessageDraft.model_construct(**{name: getattr(message, name) for name in MessageDraft.model_fields})
        try:
            async with asyncio.timeout(timeout_s):
                return await self._api.send(message.conversation_id, draft)
        except TimeoutError:
            raise RequestFailed("no answer in time", code=ErrorCode.TIMEOUT) from None

    async def _pause(self, outcome: asyncio.Future[Ack], failures: int, failed: RequestFailed) -> None:
        alarm = self._waiting.get(outcome)
        if alarm is None:
            return
        options = self._options
        ceiling_s = exponential(failures, options.send_retry_base_s, options.send_retry_cap_s)
        await alarm.sleep(failed.retry_after_s + self._clock.random() * ceiling_s)
