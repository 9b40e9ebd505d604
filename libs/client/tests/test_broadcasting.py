"""A host application's calls: what is sent, what is repeated and under which name, and what a failure does."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from contracts.codes import ErrorCode
from contracts.ids import new_id
from contracts.problems import problem
from natter_client import BroadcastingService, CallOptions, Clock, NotConfigured, Rejected, RequestFailed
from natter_client.broadcasting import client_msg_id
from natter_client.dependency import close_broadcasting_service, get_broadcasting_service

C = new_id()
QUICK = CallOptions(request_timeout_s=2, total_timeout_s=5, backoff_base_s=0.001, backoff_cap_s=0.002)
Answer = Callable[[httpx.Request], httpx.Response]


class Server:
    """Answers as it is told, one answer after the other (the last for ever), and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.asked: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def bodies(self) -> list[Any]:
        """The JSON of each request."""
        return [json.loads(request.content) for request in self.asked]


def refusal(code: ErrorCode, **headers: str) -> httpx.Response:
    """What a service of ours answers."""
    return httpx.Response(code.status, content=problem(code, "because").model_dump_json(), headers=headers)


def service(server: Server, **options: Any) -> BroadcastingService:
    """The class under test, speaking to `server`."""
    told = {"options": QUICK, **options}
    return BroadcastingService(
        "http://natter", told.pop("token", "a-token"), transport=httpx.MockTransport(server), **told
    )


OK = httpx.Response(201, json={"id": "m"})
AWAY = refusal(ErrorCode.UNAVAILABLE)


async def test_a_message_as_the_host_application_writes_it() -> None:
    """Its id is the name of the message, who is left out is named, and what Natter says itself is not sent."""
    server = Server(OK)
    data = {
        "id": 42,
        "content": "hello",
        "sender_id": "ben",
        "message_type": "text",
        "sender_type": "chat",
        "is_important": True,
        "extra_metadata": None,
        "timestamp": datetime.now(UTC),
        "conversation_id": C,
    }
    async with service(server) as broadcasting:
        assert await broadcasting.broadcast_message(C.upper(), data, exclude_user_id="ben") == {"id": "m"}
    (request,) = server.asked
    assert (request.method, request.url.path) == ("POST", f"/v1/conversations/{C}/messages")
    assert request.headers["authorization"] == "Bearer a-token"
    assert server.bodies == [
        {
            "client_msg_id": "42",
            "content": "hello",
            "sender_id": "ben",
            "message_type": "text",
            "sender_type": "chat",
            "is_important": True,
            "exclude_user_ids": ["ben"],
        }
    ]


async def test_a_message_of_the_system() -> None:
    """The old service called it a type of message; in Natter the system is who speaks."""
    server = Server(OK)
    async with service(server) as broadcasting:
        await broadcasting.broadcast_message(C, {"content": "x", "sender_id": "ben", "message_type": "system"})
    assert server.bodies[0] | {"client_msg_id": ""} == {
        "client_msg_id": "",
        "content": "x",
        "sender_id": "ben",
        "message_type": "text",
        "sender_type": "system",
    }


async def test_the_other_calls() -> None:
    """Each asks what PROTOCOL says, and gives back what the old service gave."""
    connection = {"connection_id": "c", "device_type": "mobile", "connected_at": "2026-01-01T00:00:00Z", "edge_id": "e"}
    server = Server(
        httpx.Response(201, json={"id": "n"}),
        httpx.Response(204),
        httpx.Response(200, json={"seq": 3}),
        httpx.Response(200, json={"seq": 3}),
        httpx.Response(201, json={"id": "s"}),
        httpx.Response(200, json={"connections": [connection]}),
        httpx.Response(200, json={"user_id": "ben", "online": True}),
    )
    notice = {"id": "n-1", "title": "t", "content": "c", "type": "membership_upgrade", "conversation_id": C}
    async with service(server) as broadcasting:
        assert await broadcasting.send_direct_message("ben", notice) == {"id": "n"}
        await broadcasting.broadcast_typing_status(C, "ben", True)
        await broadcasting.broadcast_read_status(C, "ben", [str(number) for number in range(201)])
        told = await broadcasting.broadcast_system_notification(
            C, {"title": "t", "message": "m", "type": "maintenance"}
        )
        assert told == {"id": "s"}
        devices = await broadcasting.get_user_device_info("ben")
        assert devices == [{name: connection[name] for name in ("connection_id", "device_type", "connected_at")}]
        assert await broadcasting.is_user_online("ben") is True
    assert [(request.method, request.url.path) for request in server.asked] == [
        ("POST", "/v1/users/ben/notifications"),
        ("POST", f"/v1/conversations/{C}/typing"),
        ("PUT", f"/v1/conversations/{C}/read"),
        ("PUT", f"/v1/conversations/{C}/read"),
        ("POST", f"/v1/conversations/{C}/system-notifications"),
        ("GET", "/v1/users/ben/connections"),
        ("GET", "/v1/users/ben/presence"),
    ]
    direct, typing, read, rest, system = (json.loads(request.content) for request in server.asked[:5])
    assert direct == {name: value for name, value in notice.items() if name != "id"}
    assert typing == {"user_id": "ben", "is_typing": True}
    assert (len(read["message_ids"]), rest["message_ids"]) == (200, ["200"])
    assert system == {"title": "t", "message": "m", "type": "maintenance"}


@pytest.mark.parametrize(
    "trouble",
    [
        AWAY,
        refusal(ErrorCode.RATE_LIMITED),
        httpx.Response(502, text="proxy"),
        httpx.ConnectError("no"),
        httpx.ReadTimeout(""),
    ],
    ids=["503", "429", "proxy", "no connection", "no answer"],
)
async def test_a_repeat_is_the_same_request(trouble: httpx.Response | Exception) -> None:
    """Same body with the same client_msg_id, same Idempotency-Key, although the application named none."""
    server = Server(trouble, trouble, OK)
    async with service(server, raise_errors=True) as broadcasting:
        assert await broadcasting.broadcast_message(C, {"content": "x", "sender_id": "ben"}) == {"id": "m"}
    first, second, third = server.asked
    assert first.content == second.content == third.content
    keys = {request.headers["idempotency-key"] for request in server.asked}
    assert len(keys) == 1


async def test_the_same_notice_to_two_users_is_two() -> None:
    """A host application that tells many the same thing gives it one id; the key says who as well."""
    server = Server(OK)
    notice = {"id": "n-1", "title": "t", "content": "c"}
    async with service(server) as broadcasting:
        for user_id in ("anna", "ben", "anna"):
            await broadcasting.send_direct_message(user_id, notice)
    anna, ben, again = (request.headers["idempotency-key"] for request in server.asked)
    assert anna == again != ben


async def test_a_refusal_is_not_repeated() -> None:
    """What is refused for good stays refused."""
    server = Server(refusal(ErrorCode.NOT_FOUND))
    async with service(server, raise_errors=True) as broadcasting:
        with pytest.raises(Rejected) as refused:
            await broadcasting.broadcast_message(C, {"content": "x", "sender_id": "ben"})
    assert refused.value.code is ErrorCode.NOT_FOUND
    assert len(server.asked) == 1


async def test_attempts_are_limited() -> None:
    """After `attempts_max` the last failure is the answer; typing is not worth a second attempt."""
    server = Server(AWAY)
    async with service(server, raise_errors=True) as broadcasting:
        with pytest.raises(RequestFailed) as failed:
            await broadcasting.is_user_online("ben")
        assert (failed.value.status, len(server.asked)) == (503, QUICK.attempts_max)
        with pytest.raises(RequestFailed):
            await broadcasting.broadcast_typing_status(C, "ben", True)
        assert len(server.asked) == QUICK.attempts_max + 1


async def test_waits_are_jittered_and_keep_to_what_was_asked() -> None:
    """`Retry-After` first, and on top of it a random part of a ceiling that doubles up to its cap."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    server = Server(refusal(ErrorCode.RATE_LIMITED, **{"Retry-After": "3"}), AWAY, AWAY, AWAY, AWAY)
    options = CallOptions(backoff_base_s=0.1, backoff_cap_s=0.3)
    clock = Clock(monotonic=lambda: 0.0, sleep=sleep, random=lambda: 0.5)
    async with service(server, options=options, clock=clock) as broadcasting:
        assert await broadcasting.is_user_online("ben") is False
    assert waits == [3.05, 0.1, 0.15, 0.15]


async def test_the_whole_call_is_limited() -> None:
    """A server that never answers costs `total_timeout_s`; one that says "later" than that costs nothing."""

    async def silent(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    options = CallOptions(request_timeout_s=0.2, total_timeout_s=0.5, backoff_base_s=0.001)
    made = BroadcastingService(
        "http://natter", "t", options=options, transport=httpx.MockTransport(silent), raise_errors=True
    )
    clock = asyncio.get_running_loop().time
    async with made:
        began = clock()
        with pytest.raises(RequestFailed, match=r"no success within|no answer in time"):
            await made.is_user_online("ben")
        assert clock() - began < 2
    server = Server(refusal(ErrorCode.UNAVAILABLE, **{"Retry-After": "60"}))
    async with service(server, raise_errors=True) as broadcasting:
        began = clock()
        with pytest.raises(RequestFailed):
            await broadcasting.is_user_online("ben")
        assert (clock() - began < 1, len(server.asked)) == (True, 1)


async def test_a_refused_token_is_replaced_once() -> None:
    """The application's function is asked for another; a fixed token has no other."""
    issued = iter(["old", "new", "newest"])

    async def token() -> str:
        return next(issued)

    server = Server(refusal(ErrorCode.TOKEN_EXPIRED), httpx.Response(200, json={"online": True}))
    async with service(server, token=token, raise_errors=True) as broadcasting:
        assert await broadcasting.is_user_online("ben") is True
    assert [request.headers["authorization"] for request in server.asked] == ["Bearer old", "Bearer new"]
    server = Server(refusal(ErrorCode.TOKEN_EXPIRED))
    async with service(server, raise_errors=True) as broadcasting:
        with pytest.raises(RequestFailed):
            await broadcasting.is_user_online("ben")
    assert len(server.asked) == 1


async def test_errors_are_logged_and_never_break_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    """Seed row S10: every call comes back, whatever happens, and the log says neither the text nor the token."""
    server = Server(refusal(ErrorCode.FORBIDDEN))
    with caplog.at_level(logging.WARNING, "natter_client"):
        async with service(server, token="secret-token") as broadcasting:
            message = {"content": "private words", "sender_id": "ben"}
            assert await broadcasting.broadcast_message(C, message) is None
            assert await broadcasting.broadcast_message("no id", message) is None
            assert await broadcasting.broadcast_message(C, message | {"extra_metadata": {"what": object()}}) is None
            assert await broadcasting.broadcast_message(C, None) is None  # type: ignore[arg-type]
            assert await broadcasting.send_direct_message("../admin", message) is None
            assert await broadcasting.broadcast_system_notification(C, {}) is None
            await broadcasting.broadcast_typing_status(C, "ben", True)
            await broadcasting.broadcast_read_status(C, "ben", ["m"])
            assert await broadcasting.get_user_device_info("ben") == []
            assert await broadcasting.is_user_online("ben") is False
    assert len(caplog.records) == 10
    assert "private words" not in caplog.text
    assert "secret-token" not in caplog.text
    assert all(request.url.path != "/v1/admin/notifications" for request in server.asked)


async def test_headers_of_the_host_application_travel_along() -> None:
    """Such as its trace: asked anew for each call."""
    numbers = iter(range(10))
    server = Server(httpx.Response(200, json={"online": True}))
    async with service(server, headers=lambda: {"traceparent": f"trace-{next(numbers)}"}) as broadcasting:
        await broadcasting.is_user_online("ben")
        await broadcasting.is_user_online("ben")
    assert [request.headers["traceparent"] for request in server.asked] == ["trace-0", "trace-1"]


def test_names_of_messages() -> None:
    """What chat-api takes stays; what it would not take gets a name that is as lasting; nothing gets a new one."""
    assert client_msg_id("host-1") == "host-1"
    assert client_msg_id("消息 1") == client_msg_id("消息 1") != client_msg_id("消息 2")
    assert len(client_msg_id("x" * 1000)) == 64
    assert client_msg_id(None) != client_msg_id(None)


async def test_the_dependency_is_one_per_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says where and who; without it the first request says what is missing."""
    monkeypatch.delenv("NATTER_API_URL", raising=False)
    monkeypatch.setenv("NATTER_SERVICE_TOKEN", "t")
    with pytest.raises(NotConfigured, match="NATTER_API_URL"):
        await get_broadcasting_service()
    monkeypatch.setenv("NATTER_API_URL", "http://natter")
    first = await get_broadcasting_service()
    assert await get_broadcasting_service() is first
    await close_broadcasting_service()
    await close_broadcasting_service()
    assert await get_broadcasting_service() is not first
    await close_broadcasting_service()


def test_options_depend_on_each_other() -> None:
    """One attempt may not take longer than all of them."""
    with pytest.raises(ValueError, match="request_timeout_s"):
        CallOptions(request_timeout_s=11, total_timeout_s=10)
    with pytest.raises(ValueError, match="attempts_max"):
        CallOptions(attempts_max=0)
