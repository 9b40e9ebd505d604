"""The client against an edge and an API that a test moves by hand: connecting, coming back, staying complete."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from contracts.codes import ErrorCode
from natter_client import ChatClient, Replaced, State, Stopped, TurnedAway

from .fakes import CONVERSATION, FakeEdge, World, jwt, refusal, until, world

OTHER = "0000000b-0000-7000-8000-000000000000"


async def settled(ours: World, client: ChatClient) -> None:
    """Connected, with the first sync behind it."""
    await until(lambda: client.state is State.CONNECTED and client.stats.syncs)
    assert ours.edge.sockets


async def test_it_says_who_it_is_and_syncs_after_the_socket_is_there() -> None:
    """Token in the header, device in the query; not one request for a sync before `connected`."""
    async with world() as ours:
        ours.edge.greet = lambda socket: not ours.api.syncs
        async with ours.client() as client:
            await settled(ours, client)
            path, token = ours.edge.requests[0]
            assert path == "/v1/ws?device_type=mobile&device_id=phone-1"
            assert token == "Bearer " + jwt("t1", ours.token_life_s)
            assert ours.api.syncs[0] is None
        assert ours.states == [State.CONNECTING, State.CONNECTED, State.STOPPED]
        assert ours.edge.closed_with == [1000]


async def test_events_are_shown_once_and_in_order() -> None:
    """Repeated, swapped and lost frames; a gap is read from history, and its time to heal is known."""
    async with world() as ours, ours.client(burst_tail_s=1_000.0, sync_after_connect_s=1_000.0) as client:
        await settled(ours, client)
        first, second, lost, fourth = ours.post(4)
        for frame in (first, first, second, fourth):
            await ours.edge.show(frame)
        await until(lambda: len(ours.events) == 4)
        assert ours.shown() == [2, 3, 4, 5]
        assert [event.source for event in ours.events] == ["live", "live", "repair", "live"]
        assert ours.events[2].type == lost.type
        assert ours.api.repairs == [(first.stream, 3)]
        assert (client.stats.gaps, client.stats.gaps_healed) == (1, 1)
        assert len(client.stats.heal_seconds) == 1
        assert client.stats.duplicates_dropped == 1
        assert client.timelines[first.stream].complete


async def test_a_lost_last_frame_is_found_by_the_interval() -> None:
    """No later frame betrays it, nobody does anything, and it is there within the interval."""
    async with world() as ours, ours.client(sync_after_connect_s=1.0, burst_tail_s=1.0) as client:
        await settled(ours, client)
        await ours.time.turn(5.0)
        await until(lambda: client.stats.syncs == 2)
        ours.post()
        await ours.time.turn(20.0)
        assert ours.events == []
        await ours.time.turn(11.0)
        await until(lambda: ours.shown() == [2])
        assert ours.events[0].source == "sync"


async def test_a_lost_end_of_a_burst_is_found_soon() -> None:
    """If it is asked for, a sync follows on the last frame of a burst, not on each frame."""
    async with world() as ours, ours.client(sync_after_connect_s=1_000.0, burst_tail_s=2.0) as client:
        await settled(ours, client)
        frames = ours.post(5)
        for frame in frames[:4]:
            await ours.edge.show(frame)
        await until(lambda: len(ours.events) == 4)
        assert client.stats.syncs == 1
        await ours.time.turn(3.0)
        await until(lambda: ours.shown() == [2, 3, 4, 5, 6])
        assert client.stats.syncs == 2


async def test_resync_is_followed_within_a_second() -> None:
    """At a moment of its own: all clients of that edge were told."""
    async with world() as ours, ours.client(sync_after_connect_s=1_000.0) as client:
        await settled(ours, client)
        ours.post()
        await ours.edge.tell("resync")
        await until(lambda: client.stats.resyncs == 1)
        await ours.time.turn(0.4)
        assert ours.events == []
        await ours.time.turn(0.6)
        await until(lambda: ours.shown() == [2])


async def test_what_a_sync_brought_is_confirmed_at_once() -> None:
    """By the cursor that came with it, and only if there was something: otherwise it would be pushed all the same."""
    async with world() as ours, ours.client(sync_after_connect_s=1_000.0) as client:
        await settled(ours, client)
        ours.post()
        asked = len(ours.api.syncs)
        await ours.edge.tell("resync")
        await until(lambda: client.stats.resyncs == 1)
        await ours.time.turn(1.0)
        await until(lambda: ours.shown() == [2])
        await until(lambda: len(ours.api.syncs) == asked + 2)
        first, second = ours.api.syncs[asked:]
        assert first != second
        await ours.edge.tell("resync")
        await until(lambda: client.stats.resyncs == 2)
        await ours.time.turn(1.0)
        await until(lambda: len(ours.api.syncs) == asked + 3)
        assert ours.api.syncs[-1] == second


async def test_a_reset_is_gone_through_without_a_hole() -> None:
    """The snapshot tells how far the streams go; what the client has a part of is read to its end."""
    async with world() as ours, ours.client(sync_after_connect_s=1_000.0) as client:
        await settled(ours, client)
        [frame] = ours.post()
        await ours.edge.show(frame)
        await until(lambda: ours.shown() == [2])
        ours.post(3)
        ours.api.expired = True
        await client.caught_up()
        assert client.stats.resets == 1
        assert ours.shown() == [2, 3, 4, 5]


async def test_a_cursor_that_the_server_does_not_know_is_given_up() -> None:
    """422 for the cursor: a snapshot is always to be had."""
    async with world() as ours, ours.client(sync_after_connect_s=1_000.0) as client:
        await settled(ours, client)
        ours.post(2)
        refused = iter([refusal(ErrorCode.VALIDATION_FAILED)])
        ours.api.on_sync = lambda: next(refused, None)
        caught_up = asyncio.create_task(client.caught_up())
        await until(lambda: client.stats.syncs_failed == 1)
        await ours.time.turn(0.1)
        await caught_up
        assert ours.shown() == [2, 3]
        assert ours.api.syncs[-2] is None


async def test_a_sync_that_fails_is_made_again() -> None:
    """With backoff, with the server's Retry-After, and whatever it was."""
    async with world() as ours:
        answers = [refusal(ErrorCode.UNAVAILABLE, **{"Retry-After": "7"}), httpx.Response(502, text="proxy")]
        ours.api.on_sync = lambda: answers.pop(0) if answers else None
        async with ours.client() as client:
            await until(lambda: client.stats.syncs_failed == 1)
            await ours.time.turn(7.0)
            assert client.stats.syncs_failed == 1
            await ours.time.turn(0.5)
            await until(lambda: client.stats.syncs_failed == 2)
            await ours.time.turn(1.0)
            await until(lambda: client.stats.syncs == 1)


async def test_a_repair_is_tried_until_it_succeeds() -> None:
    """chat-api away for a while leaves no hole."""
    async with world() as ours, ours.client(sync_after_connect_s=1_000.0) as client:
        await settled(ours, client)
        _, seen = ours.post(2)
        answers = [refusal(ErrorCode.UNAVAILABLE), httpx.Response(502, text="proxy")]
        ours.api.on_events = lambda: answers.pop(0) if answers else None
        await ours.edge.show(seen)
        for wait_s in (0.25, 0.5):
            await until(lambda wait_s=wait_s: wait_s in ours.time.asked)  # type: ignore[misc]
            await ours.time.turn(wait_s)
        await until(lambda: ours.shown() == [2, 3])


async def test_what_is_not_ours_any_more_is_not_shown() -> None:
    """Removed while away: 404 for the gap, and nothing of the conversation after it."""
    async with world() as ours, ours.client(sync_after_connect_s=1_000.0) as client:
        await settled(ours, client)
        _, seen = ours.post(2)
        ours.record.commit(CONVERSATION, "participant.left", {"user_id": "me", "conversation_id": CONVERSATION})
        ours.post(2)
        await ours.edge.show(seen)
        await until(lambda: len(ours.api.repairs) == 1)
        await client.caught_up()
        assert ours.shown() == []
        assert client.timelines[f"user:{client.user_id}"].complete


async def test_reconnect_is_obeyed_at_its_moment_and_elsewhere() -> None:
    """The old socket is closed by us and only then another one opened, at another edge; no event is missing."""
    async with world(edges=2) as ours:
        async with ours.client() as client:
            await settled(ours, client)
            old, new = ours.edge, next(edge for edge in ours.edges if not edge.sockets)
            new.greet = lambda socket: not old.sockets
            await old.tell("reconnect", {"after_ms": 5_000})
            await until(lambda: client.stats.frames == 1)
            await ours.time.turn(4.9)
            assert old.sockets
            ours.post()
            await ours.time.turn(0.2)
            await until(lambda: new.sockets)
            assert old.closed_with == [1000]
            await until(lambda: ours.shown() == [2])
        assert (old.most, new.most) == (1, 1)
        assert client.stats.reconnects == 1


async def test_a_server_that_closes_early_is_not_visited_early() -> None:
    """1012 before the moment of `reconnect`: the client waits for its moment nevertheless."""
    async with world(edges=2) as ours, ours.client() as client:
        await settled(ours, client)
        old, new = ours.edge, next(edge for edge in ours.edges if not edge.sockets)
        await old.tell("reconnect", {"after_ms": 5_000})
        await until(lambda: client.stats.frames == 1)
        await ours.time.turn(2.0)
        await old.close(1012)
        await until(lambda: client.state is State.RECONNECTING)
        await ours.time.turn(2.9)
        assert new.requests == []
        await ours.time.turn(0.2)
        await until(lambda: new.sockets)


async def test_a_silent_connection_is_left_after_interval_and_timeout() -> None:
    """No ping, no frame, no answer to ours: half-open, and nobody will say so."""
    async with world() as ours, ours.client(sync_interval_s=100_000.0) as client:
        await settled(ours, client)
        await ours.time.turn(35.0)
        await until(lambda: ours.edge.asked("ping"))
        await ours.time.turn(4.9)
        assert client.state is State.CONNECTED
        await ours.time.turn(0.2)
        await until(lambda: client.stats.half_open == 1)
        await until(lambda: client.state is State.RECONNECTING)
        await ours.time.turn(2.0)
        await until(lambda: client.stats.connects == 2)


async def test_a_quiet_connection_that_answers_is_kept() -> None:
    """One `pong` is enough, again and again."""
    async with world() as ours, ours.client(sync_interval_s=100_000.0) as client:
        ours.edge.answer = lambda frame: {"action": "pong", "data": {}}
        await settled(ours, client)
        for asked in range(1, 4):
            await ours.time.turn(36.0)
            await until(lambda asked=asked: client.stats.frames == asked)  # type: ignore[misc]
        assert client.stats.half_open == 0
        assert client.stats.connects == 1


async def test_many_attempts_then_slow_ones_and_back() -> None:
    """Nobody listens: 15 waits that double to the cap, then offline, one attempt a minute; and it comes back."""
    async with world() as ours:
        gone = FakeEdge()
        async with gone.running():
            pass
        ours.edges.insert(0, gone)
        client = ours.client(connect_timeout_s=5.0)
        client._urls = [gone.url]
        async with client:
            for attempt in range(1, 16):
                await until(lambda attempt=attempt: client.stats.attempts_failed == attempt)  # type: ignore[misc]
                assert client.state is State.CONNECTING
                await ours.time.turn(min(30.0, 2.0**attempt) * ours.time.lot)
            await until(lambda: client.state is State.OFFLINE)
            client._urls = [ours.edges[1].url]
            await ours.time.turn(59.0)
            assert client.state is State.OFFLINE
            await ours.time.turn(1.0)
            await until(lambda: client.state is State.CONNECTED)


async def test_retry_after_of_a_full_edge_is_honoured() -> None:
    """503 to the upgrade, with a header."""
    async with world() as ours:

        async def full(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(full, "127.0.0.1", 0)
        async with server:
            client = ours.client()
            client._urls = [f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/ws", ours.edge.url]
            async with client:
                await until(lambda: client.stats.attempts_failed == 1)
                await ours.time.turn(9.9)
                assert ours.edge.requests == []
                await ours.time.turn(0.2)
                await until(lambda: client.state is State.CONNECTED)


@pytest.mark.parametrize(("code", "error"), [(4409, Replaced), (4400, TurnedAway), (4403, TurnedAway)])
async def test_it_stops_where_coming_back_is_no_use(code: int, error: type[Stopped]) -> None:
    """The state says so, the error says why, and whoever waits is told."""
    async with world() as ours, ours.client() as client:
        await settled(ours, client)
        sending = asyncio.create_task(client.send(CONVERSATION, "hello"))
        await until(lambda: ours.edge.asked("send_message"))
        ours.api.on_sync = lambda: httpx.Response(502)
        waiting = asyncio.create_task(client.caught_up())
        await asyncio.sleep(0)
        await ours.edge.close(code, "because")
        await until(lambda: client.state is State.STOPPED)
        assert isinstance(client.error, error)
        for task in (sending, waiting):
            with pytest.raises(error):
                await task
        with pytest.raises(error):
            await client.send(CONVERSATION, "more")
        with pytest.raises(error):
            await client.caught_up()
        await ours.time.turn(1_000.0)
        assert len(ours.edge.requests) == 1


async def test_4401_is_answered_with_a_fresh_token() -> None:
    """Refused at the door: the next attempt shows another token."""
    async with world() as ours:
        ours.edge.greet = lambda socket: len(ours.edge.requests) > 1
        async with ours.client() as client:
            await until(lambda: client.stats.attempts_failed == 1)
            await ours.time.turn(2.0)
            await settled(ours, client)
            assert [token[-2:] for _, token in ours.edge.requests] == ["t1", "t2"]


async def test_a_token_function_that_fails_is_called_again() -> None:
    """Whatever it raises."""
    async with world() as ours:
        client = ours.client()
        failing = [ValueError("no session"), OSError("no network")]

        async def token() -> str:
            if failing:
                raise failing.pop()
            return await ours.token()

        client._tokens._fetch = token
        async with client:
            for attempt in (1, 2):
                await until(lambda attempt=attempt: client.stats.attempts_failed == attempt)  # type: ignore[misc]
                await ours.time.turn(4.0)
            await settled(ours, client)


async def test_the_token_is_refreshed_in_band() -> None:
    """At 80 % of its life the socket gets the next one and stays; requests use it, too."""
    async with world(heartbeat_interval_ms=10**9) as ours:
        ours.token_life_s = 1_000.0
        ours.edge.answer = lambda frame: (
            {"action": "ack", "ref": frame["ref"], "data": {"expires_at": "2026-01-31T08:15:30.123Z"}}
            if frame["action"] == "refresh_token"
            else None
        )
        async with ours.client(sync_interval_s=100_000.0) as client:
            await settled(ours, client)
            await ours.time.turn(799.0)
            assert ours.edge.asked("refresh_token") == []
            await ours.time.turn(2.0)
            await until(lambda: client.stats.tokens_refreshed == 1)
            [frame] = ours.edge.asked("refresh_token")
            assert frame["data"]["token"].endswith("t2")
            assert client.stats.connects == 1
            await client.caught_up()
            assert ours.api.tokens[-1].endswith("t2")


async def test_activity_is_told_and_remembered() -> None:
    """Each change once, and to every later socket; a client that was never away says nothing."""
    async with world(heartbeat_interval_ms=10**9) as ours:
        ours.edge.answer = lambda frame: (
            {"action": "ack", "ref": frame["ref"], "data": frame["data"]} if frame["action"] == "activity" else None
        )

        def told() -> list[bool]:
            return [frame["data"]["active"] for frame in ours.edge.asked("activity")]

        async with ours.client(sync_interval_s=100_000.0) as client:
            await settled(ours, client)
            client.set_active(True)
            client.set_active(False)
            client.set_active(False)
            await until(lambda: told() == [False])
            await ours.edge.close(1012, "draining")
            await until(lambda: client.state is State.RECONNECTING)
            await ours.time.turn(60.0)
            await until(lambda: told() == [False, False])
            client.set_active(True)
            await until(lambda: told() == [False, False, True])


async def test_a_refused_refresh_leaves_the_socket_in_peace() -> None:
    """Another token is asked for a little later; the socket stays while the old one is good."""
    async with world(heartbeat_interval_ms=10**9) as ours:
        ours.token_life_s = 1_000.0
        ours.edge.answer = lambda frame: (
            {"action": "error", "ref": frame["ref"], "data": {"code": "unauthenticated", "message": "no"}}
            if frame["action"] == "refresh_token"
            else None
        )
        async with ours.client(sync_interval_s=100_000.0) as client:
            await settled(ours, client)
            await ours.time.turn(801.0)
            await until(lambda: len(ours.edge.asked("refresh_token")) == 1)
            await until(lambda: client._tokens._token is None)
            await ours.time.turn(10.0)
            await until(lambda: len(ours.edge.asked("refresh_token")) == 2)
            assert ours.edge.asked("refresh_token")[1]["data"]["token"].endswith("t3")
            assert client.state is State.CONNECTED
            assert client.stats.connects == 1


@pytest.mark.parametrize("jump_s", [600.0, -600.0])
async def test_a_clock_that_is_set_wrong_does_no_harm(jump_s: float) -> None:
    """Ten minutes ahead or behind: the token is refreshed early or in time, and never in a loop."""
    async with world(heartbeat_interval_ms=10**9) as ours:
        ours.token_life_s = 300.0
        ours.edge.answer = lambda frame: (
            {"action": "ack", "ref": frame["ref"], "data": {"expires_at": "2026-01-31T08:15:30.123Z"}}
            if frame["action"] == "refresh_token"
            else None
        )
        true_time = ours.time
        client = ours.client(sync_interval_s=100_000.0)

        async def token() -> str:
            ours.tokens += 1
            return jwt(f"t{ours.tokens}", 300.0, true_time.wall_now - jump_s)

        client._tokens._fetch = token
        async with client:
            await settled(ours, client)
            for _ in range(24):
                await ours.time.turn(10.0)
                await asyncio.sleep(0.01)
            await until(lambda: client.stats.tokens_refreshed >= 1)
            assert ours.tokens <= 26
            assert client.stats.connects == 1


async def test_an_error_in_the_body_is_the_callers() -> None:
    """It comes out as it is, not wrapped in a group, and nothing is left running."""
    async with world() as ours:

        async def fail() -> None:
            async with ours.client() as client:
                await settled(ours, client)
                raise KeyError("mine")

        before = asyncio.all_tasks()
        with pytest.raises(KeyError, match="mine"):
            await fail()
        await until(lambda: not ours.edge.sockets)
        await until(lambda: asyncio.all_tasks() <= before)


async def test_a_callback_that_fails_stops_nothing() -> None:
    """What the application does with an event is its own affair; the next one comes."""
    async with world() as ours:
        client = ours.client(sync_after_connect_s=1_000.0)
        seen: list[int] = []

        def fail(event: object) -> None:
            seen.append(getattr(event, "seq", 0))
            raise RuntimeError("the application's own")

        client._keeper._on_event = fail
        async with client:
            await settled(ours, client)
            for frame in ours.post(2):
                await ours.edge.show(frame)
            await until(lambda: seen == [2, 3])
            assert client.stats.callbacks_failed == 2


async def test_a_bookmark_goes_on_where_another_client_stopped() -> None:
    """What came meanwhile is shown, what was shown is not, and a hole that was known is filled."""
    async with world() as ours:
        async with ours.client(sync_after_connect_s=1_000.0) as client:
            await settled(ours, client)
            first, _, third = ours.post(3)
            ours.api.on_events = lambda: httpx.Response(502)
            await ours.edge.show(first)
            await ours.edge.show(third)
            await until(lambda: client.stats.gaps == 1)
            bookmark = client.bookmark
        assert ours.shown() == [2]
        ours.api.on_events = lambda: None
        ours.post(2)
        async with ours.client(bookmark=bookmark) as client:
            await until(lambda: ours.shown() == [2, 3, 4, 5, 6])
            assert ours.api.syncs[-1] is not None


async def test_caught_up_waits_for_a_sync_that_began_after_it_was_asked() -> None:
    """One that is under way may be older than what the caller knows of."""
    async with world() as ours, ours.client(sync_after_connect_s=1_000.0) as client:
        await settled(ours, client)
        before = client.stats.syncs
        first = asyncio.create_task(client.caught_up())
        await asyncio.sleep(0)
        ours.post()
        second = asyncio.create_task(client.caught_up())
        await ours.time.turn(0.1)
        await asyncio.gather(first, second)
        assert ours.shown() == [2]
        assert client.stats.syncs >= before + 2


async def test_it_is_started_once() -> None:
    """And does nothing before it is started, or after."""
    async with world() as ours:
        client = ours.client()
        with pytest.raises(Stopped):
            await client.send(CONVERSATION, "too early")
        async with client:
            with pytest.raises(Stopped):
                await client.__aenter__()
        with pytest.raises(Stopped):
            await client.caught_up()
