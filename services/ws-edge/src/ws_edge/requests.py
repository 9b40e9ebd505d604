"""What a client's frame asks of chat-api, as the command that says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contracts import subjects
from contracts.codec import encode
from contracts.commands import (
    MARK_READ,
    PRESENCE,
    SEND_MESSAGE,
    TYPING,
    CommandReply,
    MarkReadCommand,
    PresenceCommand,
    SendMessageCommand,
    TypingCommand,
)
from contracts.frames import ServerAction, Typing, frame_bytes
from kit import spans, tracing
from kit.logs import Stage, logger
from kit.tokens import Principal
from ws_edge.bus import BusError
from ws_edge.commands import Ask, Commands, Job, asker
from ws_edge.connection import Connection
from ws_edge.following import Following
from ws_edge.session.live import Asked, FollowPresence, ForwardRead, ForwardSend, ForwardTyping, Ref, SendFrame
from ws_edge.signals import TypingSignals

log = logger()

_SEND_LATE = "no answer in time: send it again with the same client_msg_id"
_LATE = "no answer in time: ask again"


class Requests:
    """Makes a job of each request and hands it to the socket's queue."""

    def __init__(
        self,
        commands: Commands,
        following: Following,
        *,
        now: Callable[[], float],
        post: Callable[[str, bytes], bool],
        debug: bool = False,
    ) -> None:
        """`post(subject, payload)` publishes soon, without waiting and without an answer."""
        self._commands = commands
        self._following = following
        self._typing = TypingSignals()
        self._now = now
        self._post = post
        self._debug = debug

    def take(self, connection: Connection, principal: Principal, asked: Asked) -> SendFrame | None:
        """Do what is asked; returns what can be answered at once: a refusal, or the ack of what is no news."""
        match asked:
            case ForwardSend():
                return self._commands.take(connection, self._send(connection, principal, asked))
            case ForwardTyping(typing, ref):
                conversation_id = typing.conversation_id
                if not self._typing.is_news(connection.id, conversation_id, typing.is_typing, self._now()):
                    return SendFrame(frame_bytes(ServerAction.ACK, {}, ref=ref))
                job = _Signal(
                    _typing_payload(connection, principal, typing),
                    ref,
                    lambda: self._typing.forget(connection.id, conversation_id),
                )
                refusal = self._commands.take(connection, job)
                if refusal is not None:
                    job.not_taken()
                return refusal
            case ForwardRead(read, ref):
                payload = encode(MarkReadCommand(asker=asker(connection, principal), read=read))
                return self._commands.take(connection, _Forward(MARK_READ, payload, ref))
            case FollowPresence(subscribe, ref):
                payload = encode(PresenceCommand(asker=asker(connection, principal), subscribe=subscribe))
                users = subscribe.user_ids
                return self._commands.take(connection, _Follow(self._following, connection, users, payload, ref))

    def left(self, connection: Connection) -> None:
        """The socket is gone: what it was typing has ended."""
        if not len(self._typing):
            return
        ended = self._typing.left(connection.id, self._now())
        if connection.principal is None:
            return
        for conversation_id in ended:
            typing = Typing(conversation_id=conversation_id, is_typing=False)
            # If there is no room for it, it expires.
            self._post(subjects.command(TYPING), _typing_payload(connection, connection.principal, typing))

    def _send(self, connection: Connection, principal: Principal, asked: ForwardSend) -> Job:
        trace = tracing.child_of(asked.traceparent)
        command = SendMessageCommand(
            sender_id=principal.user_id,
            sender_name=principal.name,
            sender_issuer=principal.issuer,
            sender_roles=tuple(sorted(principal.roles)),
            connection_id=connection.id,
            message=asked.message,
            traceparent=trace,
        )
        if self._debug:
            log.debug(
                "a socket sends",
                stage=Stage.BROADCAST,
                user_id=principal.user_id,
                connection_id=connection.id,
                trace_id=tracing.trace_id(trace),
            )
        forward = _Forward(SEND_MESSAGE, encode(command), asked.ref, _SEND_LATE)
        return _Recorded(forward, trace, asked.traceparent, spans.now_ns()) if spans.enabled else forward


def _typing_payload(connection: Connection, principal: Principal, typing: Typing) -> bytes:
    return encode(TypingCommand(asker=asker(connection, principal), typing=typing))


@dataclass(frozen=True, slots=True)
class _Forward:
    """Passed on as it is."""

    name: str
    payload: bytes
    ref: Ref
    when_late: str = _LATE

    async def run(self, ask: Ask) -> CommandReply:
        return await ask(self.name, self.payload)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A send, and a span of it until it is answered."""

    send: _Forward
    step: str
    parent: str | None
    started_ns: int

    @property
    def ref(self) -> Ref:
        return self.send.ref

    @property
    def when_late(self) -> str:
        return self.send.when_late

    async def run(self, ask: Ask) -> CommandReply:
        failed = True
        try:
            reply = await self.send.run(ask)
            failed = reply.error is not None
            return reply
        finally:
            spans.record(
                spans.SpanName.EDGE_SEND,
                step=self.step,
                parent=self.parent,
                started_ns=self.started_ns,
                kind=spans.Kind.CLIENT,
                failed=failed,
            )


@dataclass(frozen=True, slots=True)
class _Signal:
    """A typing signal: if it was not taken, the next one is news again."""

    payload: bytes
    ref: Ref
    not_taken: Callable[[], None]
    when_late: str = _LATE

    async def run(self, ask: Ask) -> CommandReply:
        try:
            reply = await ask(TYPING, self.payload)
        except BusError:
            self.not_taken()
            raise
        if reply.ack is None:
            self.not_taken()
        return reply


@dataclass(frozen=True, slots=True)
class _Follow:
    """Whom to follow is for chat-api to allow."""

    following: Following
    connection: Connection
    users: tuple[str, ...]
    payload: bytes
    ref: Ref
    when_late: str = _LATE

    async def run(self, ask: Ask) -> CommandReply:
        return await self.following.follow(self.connection, self.users, lambda: ask(PRESENCE, self.payload))
