"""The client: one socket at a time, and everything that keeps it and the timelines right."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import ValidationError

from contracts.codes import ErrorCode
from contracts.frames import Ack, ClientAction, SendMessage, ServerAction, TokenRefreshed
from contracts.ids import new_id
from natter_client.api import Api
from natter_client.backoff import Backoff, Ended, GiveUp
from natter_client.clock import Agenda, Clock
from natter_client.errors import NatterError, Rejected, RequestFailed, Stopped
from natter_client.frames import Frame
from natter_client.keeper import SECOND_SYNC, SYNC, TAIL_SYNC, Keeper
from natter_client.options import ClientOptions, Device
from natter_client.outbox import Outbox
from natter_client.pushes import Pushes
from natter_client.session import NotConnected, Session, open_session
from natter_client.stats import Stats
from natter_client.timeline import Delivered, StreamTimeline
from natter_client.timelines import Bookmark, Rebased, Timelines
from natter_client.tokens import Tokens

log = logging.getLogger("natter_client")

_SILENCE, _REFRESH, _LEAVE = "silence", "refresh", "leave"
_TOKEN_REFRESH = "token_refresh"  # noqa: S105 - the name of a feature


class State(StrEnum):
    """What the client is about."""

    IDLE = "idle"
    CONNECTING = "connecting"
    """For the first time."""
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    OFFLINE = "offline"
    """Many attempts have failed: one is made now and then, for ever."""
    STOPPED = "stopped"
    """It was left, or may not come back: `error` says why."""


class ChatClient:
    """One device of one user. `async with` starts and ends it; everything else is valid in between.

    `token` is called for the first token and for each fresh one. `on_event` is called once per event, in the order of
    `seq` within each stream. All callbacks are plain functions and should be quick: the socket is not read meanwhile.
    """

    def __init__(
        self,
        *,
        api_url: str,
        socket_urls: Sequence[str],
        user_id: str,
        token: Callable[[], Awaitable[str]],
        device: Device,
        options: ClientOptions | None = None,
        on_event: Callable[[Delivered], None] | None = None,
        on_state: Callable[[State], None] | None = None,
        on_rebased: Callable[[Rebased], None] | None = None,
        clock: Clock | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        if not socket_urls:
            raise ValueError("socket_urls must name at least one edge")
        self.user_id = user_id
        self.device = device
        self.stats = Stats()
        self.error: NatterError | None = None
        """Why it stopped by itself."""
        self._options = options = options or ClientOptions()
        self._clock = clock = clock or Clock()
        self._on_state = on_state
        self._state = State.IDLE
        self._urls = sorted(socket_urls, key=lambda _: clock.random())
        self._attempt = 0
        self._own_http = http is None
        # Its own proxies and timeouts would only be in the way; making one costs tens of milliseconds, so share one.
        self._http = http or httpx.AsyncClient(timeout=options.request_timeout_s, trust_env=False)
        self._session: Session | None = None
        self._active = True
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._tokens = Tokens(token, options, clock)
        self._backoff = Backoff(options, clock.random)
        self._timelines = Timelines(
            user_id,
            pending_max=options.pending_max,
            events_kept_max=options.events_kept_max,
            repair_max=options.repair_max,
            places=options.bookmark.places if options.bookmark is not None else None,
            stats=self.stats,
        )
        api = Api(api_url, self._http, self._tokens, options)
        self.pushes = Pushes(api)
        """This device's registration for pushes, and its user's wishes."""
        self._agenda = Agenda(
            clock,
            {
                SYNC: lambda: self._keeper.sync(),
                SECOND_SYNC: lambda: self._keeper.sync_unless_failing(),
                TAIL_SYNC: lambda: self._keeper.sync_unless_failing(),
                _SILENCE: self._check_silence,
                _REFRESH: self._refresh,
                _LEAVE: self._leave,
            },
        )
        self._keeper = Keeper(
            api, self._timelines, options, clock, self.stats, self._agenda, self._spawn, on_event, on_rebased
        )
        self._outbox = Outbox(api, options, clock, self.stats, self._spawn, lambda: self._session, self._why_not)

    @property
    def state(self) -> State:
        """What the client is about now."""
        return self._state

    @property
    def edge_id(self) -> str | None:
        """The edge that holds the socket; None without one."""
        return None if self._session is None else self._session.connected.edge_id

    @property
    def timelines(self) -> dict[str, StreamTimeline]:
        """What is known of each stream (`conversation:<id>`, `user:<id>`); not to be changed."""
        return self._timelines.streams

    @property
    def bookmark(self) -> Bookmark | None:
        """Where a later client can go on (`ClientOptions.bookmark`); None before the first sync."""
        return self._keeper.bookmark()

    def messages(self, conversation_id: str) -> list[dict[str, Any]]:
        """The messages of a conversation as they are now, as far as their events were shown and are kept."""
        stream = self._timelines.streams.get(f"conversation:{conversation_id}")
        return [] if stream is None else stream.messages()

    async def send(
        self, conversation_id: str, content: str, client_msg_id: str | None = None, **draft_fields: Any
    ) -> Ack:
        """Send a message; returns once it is committed, and tries until then.

        Other fields are those of `contracts.messages.MessageDraft`. Messages of one conversation leave in the order of
        the calls. Raises Rejected if the server refuses it for good, OutboxFull, or Stopped. If it is cancelled, the
        message may have been sent or not; sending again with the same `client_msg_id` is safe.
        """
        if self._group is None or self._state is State.STOPPED:
            raise self._why_not()
        try:
            message = SendMessage(
                conversation_id=conversation_id,
                content=content,
                client_msg_id=client_msg_id or new_id(),
                **draft_fields,
            )
        except ValidationError as invalid:
            faults = invalid.errors(include_input=False, include_url=False, include_context=False)
            detail = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
            raise Rejected(ErrorCode.VALIDATION_FAILED, detail) from None
        return await self._outbox.send(message)

    def set_active(self, active: bool) -> None:
        """Whether somebody sits before this device; it counts as active until told. Remembered for every later socket.

        What only idle desktops and tablets get becomes a push to the user's phone after a while.
        """
        if active != self._active:
            self._active = active
            if self._session is not None:
                self._spawn(self._tell_activity(self._session))

    async def caught_up(self) -> None:
        """Wait until every stream is complete up to a sync that began after this call; for ever, if it is never so.

        Raises Stopped.
        """
        if self._group is None or self._state is State.STOPPED:
            raise self._why_not()
        await self._keeper.caught_up()

    async def __aenter__(self) -> Self:
        if self._group is not None or self._state is not State.IDLE:
            raise Stopped("a client is started once")
        group = asyncio.TaskGroup()
        await group.__aenter__()
        self._group = group
        self._become(State.CONNECTING)
        self._spawn(self._agenda.keep())
        self._spawn(self._live())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        group, self._group = self._group, None
        assert group is not None
        self._stop()
        try:
            if self._session is not None:
                await self._session.close()
        finally:
            for task in self._tasks:
                task.cancel()
            # Only a cancellation concerns the group: any other error is the caller's, and goes on as it is.
            of_group = (kind, error, trace) if isinstance(error, asyncio.CancelledError) else (None, None, None)
            try:
                await group.__aexit__(*of_group)
            finally:
                if self._own_http:
                    await self._http.aclose()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None or self._state is State.STOPPED:
            work.close()
            return
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _why_not(self) -> NatterError:
        return self.error or Stopped("the client is not running")

    def _become(self, state: State) -> None:
        if state is self._state:
            return
        self._state = state
        if self._on_state is None:
            return
        try:
            self._on_state(state)
        except Exception:
            self.stats.callbacks_failed += 1
            log.exception("a callback of the application failed")

    def _stop(self) -> None:
        self._become(State.STOPPED)
        self._agenda.clear()
        self._outbox.give_up()
        self._keeper.give_up(self._why_not())

    async def _live(self) -> None:
        """Connect, stay connected, come back; ends only if coming back is no use."""
        while True:
            token: str | None = None
            try:
                token = await self._tokens.current()
                url = self._urls[self._attempt % len(self._urls)]
                self._attempt += 1
                session = await open_session(url, token, self.device, self._options, self._clock)
            except RequestFailed as failed:
                self.stats.attempts_failed += 1
                ended = Ended(reason=str(failed), retry_after_s=failed.retry_after_s)
            except NotConnected as failed:
                self.stats.attempts_failed += 1
                ended = failed.ended
            else:
                ended = await self._while_connected(session)
                token = session.token
            if self._state is State.STOPPED:
                return
            comeback = self._backoff.after(ended)
            if isinstance(comeback, GiveUp):
                log.error("stopped: %s", comeback.why)
                self.error = comeback.why
                self._stop()
                return
            if comeback.fresh_token:
                self._tokens.refused(token)
            if comeback.offline:
                self._become(State.OFFLINE)
            elif self._state is not State.CONNECTING:
                self._become(State.RECONNECTING)
            log.info("not connected (%s %s), again in %.1f s", ended.close_code, ended.reason, comeback.wait_s)
            await self._clock.sleep(comeback.wait_s)

    async def _while_connected(self, session: Session) -> Ended:
        self.stats.connects += 1
        self.stats.reconnects += self.stats.connects > 1
        self._session = session
        self._become(State.CONNECTED)
        self._keeper.connected(session.connected.sync_interval_ms / 1000)
        self._outbox.ring()
        self._agenda.at(_SILENCE, session.heard_at + session.quiet_s)
        self._agenda.at(_REFRESH, self._tokens.refresh_at)
        if not self._active:
            self._spawn(self._tell_activity(session))
        try:
            async for frame in session.frames():
                self._on_frame(session, frame)
        finally:
            self._session = None
            self._keeper.disconnected()
            self._agenda.drop(_SILENCE, _REFRESH, _LEAVE)
            # Whatever the reason, this socket is gone before there is another.
            session.abort()
        return session.over()

    def _on_frame(self, session: Session, frame: Frame) -> None:
        self.stats.frames += 1
        if frame.stream is not None:
            self._keeper.frame(frame)
        elif frame.action == ServerAction.RESYNC:
            self._keeper.resync()
        elif frame.action == ServerAction.RECONNECT:
            after_ms = frame.data.get("after_ms")
            after_s = after_ms / 1000 if isinstance(after_ms, (int, float)) else 0.0
            session.leave_at = self._clock.monotonic() + max(0.0, after_s)
            self._agenda.at(_LEAVE, session.leave_at)

    def _leave(self) -> None:
        if self._session is not None:
            self._spawn(self._session.close())

    def _check_silence(self) -> None:
        """A connection of which one end is gone says nothing: no error, no frame, no ping."""
        session = self._session
        if session is None:
            return
        now = self._clock.monotonic()
        if session.probed_at is not None and session.heard_at < session.probed_at:
            # Asked, and no answer.
            self.stats.half_open += 1
            session.abort()
            return
        session.probed_at = None
        if now < session.heard_at + session.quiet_s:
            self._agenda.at(_SILENCE, session.heard_at + session.quiet_s)
            return
        session.probed_at = now
        self._spawn(session.probe(session.patience_s))
        self._agenda.at(_SILENCE, now + session.patience_s)

    async def _tell_activity(self, session: Session) -> None:
        """Best effort: a socket that is gone is told when there is another one."""
        told: bool | None = None
        while told != self._active and session is self._session:
            told = self._active
            try:
                await session.ask(ClientAction.ACTIVITY, {"active": told}, self._options.request_timeout_s)
            except RequestFailed as failed:
                log.info("the server does not know whether somebody is here: %s", failed)
                return

    def _refresh(self) -> None:
        if self._session is not None:
            self._spawn(self._refresh_token(self._session))

    async def _refresh_token(self, session: Session) -> None:
        """A token in time, so that neither requests nor this socket ever have an old one."""
        token: str | None = None
        try:
            token = await self._tokens.current()
            if token != session.token and _TOKEN_REFRESH in session.connected.features:
                answer = await session.ask(
                    ClientAction.REFRESH_TOKEN, {"token": token}, self._options.request_timeout_s
                )
                TokenRefreshed.model_validate(answer)
                session.token = token
                self.stats.tokens_refreshed += 1
        except (RequestFailed, ValidationError) as failed:
            # The old one is still good for a while: ask for another one, and leave the socket in peace.
            log.warning("the token was not refreshed: %s", failed)
            if isinstance(failed, RequestFailed) and (failed.token_refused or failed.refusal):
                self._tokens.refused(token)
            self._tokens.put_off()
        if self._session is session:
            self._agenda.at(_REFRESH, self._tokens.refresh_at)
