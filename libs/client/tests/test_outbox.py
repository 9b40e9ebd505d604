"""A message is sent until it is known what became of it: under one name, in order, bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from contracts.codes import ErrorCode
from natter_client import OutboxFull, Rejected, State, Stopped

from .fakes import CONVERSATION, World, refusal, until, world

QUIET = {"sync_after_connect_s": 1_000.0}


def acked(ours: World) -> None:
    """The edge passes sends on."""
    ours.edge.answer = lambda frame: ours.api.ack(frame) if frame["action"] == "send_message" else None


async def test_a_message_goes_over_the_socket() -> None:
    """And returns with its place, once it is committed."""
    async with world() as ours, ours.client(**QUIET) as client:
        acked(ours)
        await until(lambda: client.state is State.CONNECTED)
        ack = await client.send(CONVERSATION, "hello", "name-1", is_important=True)
        assert (ack.seq, ack.client_msg_id, ack.duplicate) == (2, "name-1", False)
        assert ours.edge.frames[0]["data"]["is_important"] is True
        assert ours.api.sent == []


async def test_without_a_socket_it_goes_over_http() -> None:
    """Sending does not wait for the connection."""
    async with world() as ours:
        ours.edge.greet = lambda socket: False
        async with ours.client(**QUIET) as client:
            ack = await client.send(CONVERSATION, "hello")
            assert ack.seq == 2
            assert ours.api.sent[0]["client_msg_id"] == ack.client_msg_id


async def test_a_socket_that_breaks_before_the_ack_costs_nothing() -> None:
    """The message was committed, its ack is lost: the same name is sent again, and there is one message."""
    async with world() as ours, ours.client(**QUIET) as client:
        await until(lambda: client.state is State.CONNECTED)
        ours.edge.answer = lambda frame: [ours.api.ack(frame), None][1]
        sending = asyncio.create_task(client.send(CONVERSATION, "hello"))
        await until(lambda: ours.edge.asked("send_message"))
        await ours.edge.close(1011)
        await until(lambda: client.state is State.RECONNECTING)
        await ours.time.turn(3.0)
        ack = await sending
        assert ack.duplicate
        names = [frame["data"]["client_msg_id"] for frame in ours.edge.asked("send_message")]
        assert {*names, *(body["client_msg_id"] for body in ours.api.sent)} == {ack.client_msg_id}
        assert sum(event.type == "message.created" for event in ours.record.events) == 1
        assert client.stats.resends == 1


async def test_an_ack_that_does_not_come_is_not_waited_for() -> None:
    """After its time the other way is tried."""
    async with world() as ours, ours.client(send_attempt_timeout_s=0.05, **QUIET) as client:
        await until(lambda: client.state is State.CONNECTED)
        sending = asyncio.create_task(client.send(CONVERSATION, "hello"))
        await until(lambda: ours.time.asked[-1] == 0.125)
        await ours.time.turn(1.0)
        assert (await sending).seq == 2
        assert len(ours.api.sent) == 1


async def test_the_server_says_when_to_try_again() -> None:
    """`retry_after_ms` of a frame; and the next message of that conversation waits behind."""
    async with world() as ours, ours.client(**QUIET) as client:
        await until(lambda: client.state is State.CONNECTED)
        limited: dict[str, Any] = {"code": "rate_limited", "message": "slow", "retry_after_ms": 5_000}
        ours.edge.answer = lambda frame: {"action": "error", "ref": frame["ref"], "data": limited}
        first = asyncio.create_task(client.send(CONVERSATION, "first"))
        second = asyncio.create_task(client.send(CONVERSATION, "second"))
        await until(lambda: ours.edge.asked("send_message"))
        await until(lambda: 5.125 in ours.time.asked)
        await ours.time.turn(5.0)
        assert ours.api.sent == []
        acked(ours)
        await ours.time.turn(0.2)
        assert [(await first).seq, (await second).seq] == [2, 3]


@pytest.mark.parametrize("answer", [ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL, ErrorCode.TOKEN_EXPIRED, None])
async def test_what_may_succeed_later_is_tried_later(answer: ErrorCode | None) -> None:
    """503, 500, 401, and whatever a proxy says."""
    async with world() as ours:
        ours.edge.greet = lambda socket: False
        answers = [httpx.Response(404, text="no such host") if answer is None else refusal(answer)]
        ours.api.on_send = lambda body: answers.pop() if answers else ours.api.commit(body)
        async with ours.client(**QUIET) as client:
            sending = asyncio.create_task(client.send(CONVERSATION, "hello"))
            await until(lambda: len(ours.api.sent) == 1)
            await ours.time.turn(1.0)
            assert (await sending).seq == 2


async def test_a_refusal_for_good_is_raised_and_the_next_message_goes() -> None:
    """Repeating it would change nothing; it holds nobody up."""
    async with world() as ours, ours.client(**QUIET) as client:
        await until(lambda: client.state is State.CONNECTED)
        ours.edge.answer = lambda frame: (
            {"action": "error", "ref": frame["ref"], "data": {"code": "not_found", "message": "gone"}}
            if frame["data"]["content"] == "first"
            else ours.api.ack(frame)
        )
        first = asyncio.create_task(client.send(CONVERSATION, "first"))
        second = asyncio.create_task(client.send(CONVERSATION, "second"))
        with pytest.raises(Rejected, match="gone") as refused:
            await first
        assert refused.value.code is ErrorCode.NOT_FOUND
        assert (await second).seq == 2


async def test_a_draft_that_cannot_be_is_rejected_here() -> None:
    """Without asking, and without repeating what was in it."""
    async with world() as ours, ours.client(**QUIET) as client:
        with pytest.raises(Rejected, match="client_msg_id") as refused:
            await client.send(CONVERSATION, "hello", "not a name!")
        assert refused.value.code is ErrorCode.VALIDATION_FAILED
        assert "not a name!" not in str(refused.value)


async def test_messages_of_one_conversation_leave_in_order() -> None:
    """However many are sent at once."""
    async with world() as ours, ours.client(**QUIET) as client:
        acked(ours)
        await until(lambda: client.state is State.CONNECTED)
        acks = await asyncio.gather(*(client.send(CONVERSATION, str(number)) for number in range(20)))
        assert [ack.seq for ack in acks] == list(range(2, 22))
        assert [frame["data"]["content"] for frame in ours.edge.frames] == [str(number) for number in range(20)]


async def test_the_outbox_is_bounded() -> None:
    """Full is said at once; there is room again when something was acknowledged or given up."""
    async with world() as ours, ours.client(outbox_max=2, **QUIET) as client:
        await until(lambda: client.state is State.CONNECTED)
        sending = [asyncio.create_task(client.send(CONVERSATION, str(number))) for number in range(2)]
        await until(lambda: ours.edge.asked("send_message"))
        with pytest.raises(OutboxFull):
            await client.send(CONVERSATION, "too many")
        sending[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending[1]
        sending.append(asyncio.create_task(client.send(CONVERSATION, "3")))
        acked(ours)
        await ours.edge.close(1011)
        await until(lambda: 0.125 in ours.time.asked)
        await ours.time.turn(0.2)
        assert (await sending[0]).seq == 2
        assert (await sending[2]).seq == 3
        assert not any(event.data.get("content") == "1" for event in ours.record.events)


async def test_who_leaves_takes_no_message_along() -> None:
    """The client ends while a message waits: its sender is told."""
    async with world() as ours:
        async with ours.client(**QUIET) as client:
            await until(lambda: client.state is State.CONNECTED)
            sending = asyncio.create_task(client.send(CONVERSATION, "hello"))
            await until(lambda: ours.edge.asked("send_message"))
        with pytest.raises(Stopped):
            await sending


async def test_a_message_too_big_for_a_frame_goes_over_http() -> None:
    """A frame above the limit would cost the socket (4413)."""
    async with world() as ours:
        ours.edge.connected["limits"] = {"frame_bytes_max": 600, "ref_chars_max": 64}
        acked(ours)
        async with ours.client(**QUIET) as client:
            await until(lambda: client.state is State.CONNECTED)
            await client.send(CONVERSATION, "x" * 500)
            await client.send(CONVERSATION, "x")
            assert [len(body["content"]) for body in ours.api.sent] == [500]
            assert len(ours.edge.asked("send_message")) == 1
