"""Bad input: a documented error, nothing written, and the socket closed only where the protocol says so."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from contracts.frames import FRAME_BYTES_MAX
from contracts.ids import new_id

from .clients.api import Api
from .eventually import eventually
from .world import World

NOWHERE = "00000000-0000-7000-8000-000000000000"


async def _last_seq(who: Api, conversation: str) -> int:
    return int((await who.ok("GET", f"/v1/conversations/{conversation}"))["last_seq"])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"client_msg_id": "a", "content": ', 422, "malformed_json"),
        (b"\xff\xfe{}", 422, "malformed_json"),
        (b"[]", 422, "validation_failed"),
        (b"{}", 422, "validation_failed"),
        (b'{"client_msg_id": "a b", "content": "x"}', 422, "validation_failed"),
        (b'{"client_msg_id": "a", "content": ""}', 422, "validation_failed"),
        (b'{"client_msg_id": "a", "content": "x\\u0000y"}', 422, "validation_failed"),
        (b'{"client_msg_id": "a", "content": "\\ud800"}', 422, "validation_failed"),
        (b'{"client_msg_id": "a", "content": "x", "message_type": "system"}', 422, "validation_failed"),
        (b'{"client_msg_id": "a", "content": "x", "colour": "red"}', 422, "validation_failed"),
        (b'{"client_msg_id": "a", "content": "x", "sender_id": "somebody-else"}', 403, "forbidden"),
        (b'{"client_msg_id": "a", "content": "x", "reply_to": "' + NOWHERE.encode() + b'"}', 422, "validation_failed"),
        (b'{"client_msg_id": "a", "content": "x", "extra_metadata": {"n": 1e999}}', 422, "validation_failed"),
        (b'{"client_msg_id": "a", "content": "' + b"x" * 300_000 + b'"}', 413, "payload_too_large"),
        (b"[" * 100_000, 422, "malformed_json"),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else None,
)
async def test_a_bad_body_is_a_problem_and_writes_nothing(world: World, body: bytes, status: int, code: str) -> None:
    """Each answer is problem+json with its code and the request's id; the conversation stays as it was."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    answer = await anna.call(
        "POST",
        f"/v1/conversations/{conversation}/messages",
        content=body,
        headers={"Content-Type": "application/json", "X-Request-Id": "tests-0001"},
    )

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "tests-0001"
    assert await _last_seq(anna, conversation) == 1


async def test_a_body_without_length_is_cut_off_at_the_limit(world: World) -> None:
    """A chunked body is counted while it is read."""
    anna = await world.person("anna")

    async def endless() -> Any:
        for _ in range(600):
            yield b" " * 1024

    answer = await anna.call(
        "POST", "/v1/conversations", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


async def test_tokens_that_are_not_good_are_refused_over_http(world: World) -> None:
    """Missing, malformed, forged and expired tokens: 401 with the scheme to use, and never the token in the answer."""
    anna = await world.person("anna")
    forged = anna.token[:-4] + "AAAA"
    expired = world.stack.token(anna.user_id, ttl_s=-60)
    for header, code in (
        (None, "unauthenticated"),
        ("Basic abc", "unauthenticated"),
        ("Bearer nonsense", "unauthenticated"),
        (f"Bearer {forged}", "unauthenticated"),
        (f"Bearer {expired}", "token_expired"),
    ):
        headers = {} if header is None else {"Authorization": header}
        answer = await world.http.get(world.stack.api_url + "/v1/users/me", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert forged not in answer.text
        assert expired not in answer.text


async def test_a_foreign_conversation_does_not_exist(world: World) -> None:
    """Reading, writing or changing what one is no part of: 404, the same as for an id that nobody has."""
    anna, ben, eve = await world.people("anna", "ben", "eve")
    conversation = await anna.open_conversation(ben.user_id)
    message = await anna.send(conversation, "private")
    calls: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", "/v1/conversations/{}", None),
        ("GET", "/v1/conversations/{}/messages", None),
        ("GET", "/v1/conversations/{}/events", None),
        ("PATCH", "/v1/conversations/{}", {"title": "mine"}),
        ("POST", "/v1/conversations/{}/messages", {"client_msg_id": "1", "content": "x"}),
        ("POST", "/v1/conversations/{}/participants", {"user_ids": [eve.user_id]}),
        ("DELETE", "/v1/conversations/{}/participants/" + ben.user_id, None),
        ("PUT", "/v1/conversations/{}/read", {"seq": 1}),
    ]
    for method, path, body in calls:
        for target in (conversation, NOWHERE):
            answer = await eve.call(method, path.format(target), json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, path, answer.text)
    for method, body in (("PATCH", {"content": "changed"}), ("DELETE", None)):
        answer = await eve.call(method, f"/v1/messages/{message['id']}", json=body)
        assert answer.status_code == 404
    assert await _last_seq(anna, conversation) == 2


async def test_unknown_users_and_seqs_beyond_the_end_are_named(world: World) -> None:
    """Users that nobody registered are listed; a seq that does not exist yet is out of range."""
    anna, ben = await world.people("anna", "ben")
    unknown = await anna.call("POST", "/v1/conversations", json={"participant_ids": ["no-such-user"]})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_user")
    assert "no-such-user" in unknown.json()["detail"]
    wildcard = await anna.call("POST", "/v1/conversations", json={"participant_ids": ["alice.>"]})
    assert (wildcard.status_code, wildcard.json()["code"]) == (422, "validation_failed")
    conversation = await anna.open_conversation(ben.user_id)
    for path in ("messages?after_seq=2", "events?after_seq=2", "messages?around_seq=99"):
        answer = await anna.call("GET", f"/v1/conversations/{conversation}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (422, "seq_out_of_range")
    for path in ("messages?after_seq=-1", "messages?limit=201", "messages?after_seq=1&before_seq=2"):
        answer = await anna.call("GET", f"/v1/conversations/{conversation}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    ahead = await anna.call("PUT", f"/v1/conversations/{conversation}/read", json={"seq": 2})
    assert (ahead.status_code, ahead.json()["code"]) == (422, "seq_out_of_range")


@pytest.mark.parametrize(
    ("data", "close_code"),
    [
        ("{not json", 4400),
        ("[1, 2]", 4400),
        ('{"data": {}}', 4400),
        ('{"action": 7}', 4400),
        ("[" * 50_000, 4400),
        (b"\x00\x01binary", 4400),
        ('{"action": "ping", "data": {"x": "' + "y" * FRAME_BYTES_MAX + '"}}', 4413),
    ],
    ids=["no json", "no object", "no action", "action no text", "nesting bomb", "binary", "too big"],
)
async def test_a_frame_that_is_no_frame_closes_the_socket_with_its_code(
    world: World, data: str | bytes, close_code: int
) -> None:
    """What is no JSON object with an action is a bug of the client: 4400; what is too big: 4413."""
    anna = await world.person("anna")
    async with world.device(anna) as device:
        await device.send_raw(data)
        await eventually(lambda: device.close_code is not None)
        assert device.close_code == close_code


async def test_text_that_is_not_utf8_closes_the_socket_with_1007(world: World) -> None:
    """A text frame of other bytes is a fault of the WebSocket protocol itself."""
    anna = await world.person("anna")
    async with world.device(anna) as device:
        await device.send_text_bytes(b'{"action": "ping", "data": {"x": "\xff"}}')
        await eventually(lambda: device.close_code is not None)
        assert device.close_code == 1007


async def test_a_frame_that_asks_for_something_wrong_gets_an_error_and_the_socket_stays(world: World) -> None:
    """Unknown action, invalid data, foreign conversation, another body: an error frame each, same socket."""
    anna, ben, eve = await world.people("anna", "ben", "eve")
    conversation = await anna.open_conversation(ben.user_id)
    foreign = await eve.open_conversation()
    good = {"conversation_id": conversation, "client_msg_id": "once", "content": "hello"}
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("dance", {}, "unknown_action"),
        ("send_message", {}, "validation_failed"),
        ("send_message", {**good, "content": 7}, "validation_failed"),
        ("send_message", {**good, "conversation_id": "alice.>"}, "validation_failed"),
        ("send_message", {**good, "conversation_id": foreign, "client_msg_id": "f"}, "not_found"),
        ("send_message", {**good, "conversation_id": NOWHERE, "client_msg_id": "n"}, "not_found"),
        ("send_message", {**good, "content": "another body"}, "idempotency_conflict"),
    ]
    async with world.device(anna) as device:
        await device.send({"action": "send_message", "ref": "first", "data": good})
        await eventually(lambda: device.answer("first"))
        for number, (action, data, code) in enumerate(cases):
            await device.send({"action": action, "ref": f"case-{number}", "data": data})
            answer = await eventually(lambda number=number: device.answer(f"case-{number}"))  # type: ignore[misc]
            assert (answer["action"], answer["data"]["code"]) == ("error", code), answer
        await device.send({"action": "ping", "ref": "still there"})
        assert (await eventually(lambda: device.answer("still there")))["action"] == "pong"
    assert await _last_seq(anna, conversation) == 2


async def test_sockets_without_a_good_token_are_closed_with_4401_and_foreign_origins_with_4403(world: World) -> None:
    """A browser cannot read an HTTP status, so the upgrade succeeds and the close code tells why."""
    anna = await world.person("anna")
    url = world.stack.edge_urls[0]
    good = {"Authorization": f"Bearer {anna.token}"}
    expired = {"Authorization": f"Bearer {world.stack.token(anna.user_id, ttl_s=-60)}"}
    cases: list[tuple[str, dict[str, str], str | None, int]] = [
        ("", {}, None, 4401),
        ("", {"Authorization": "Bearer nonsense"}, None, 4401),
        ("", expired, None, 4401),
        (f"?token={anna.token}", {}, None, 4401),
        ("?device_type=toaster", good, None, 4400),
        ("?connection_type=admin", good, None, 4403),
        ("", good, "https://evil.example", 4403),
    ]
    for query, headers, origin, code in cases:
        async with connect(
            url + query,
            additional_headers=headers,
            origin=None if origin is None else Origin(origin),
            ping_interval=None,
            proxy=None,
        ) as socket:
            await socket.wait_closed()
            assert socket.close_code == code, (query, socket.close_code, socket.close_reason)
            assert anna.token not in (socket.close_reason or "")


async def test_an_idempotency_key_makes_a_post_safe_to_repeat(world: World) -> None:
    """Same key and body: the first conversation again; same key with another body: 422."""
    anna, ben = await world.people("anna", "ben")
    headers = {"Idempotency-Key": new_id()}

    async def post(title: str) -> httpx.Response:
        body = {"title": title, "participant_ids": [ben.user_id]}
        return await anna.call("POST", "/v1/conversations", json=body, headers=headers)

    first, again, other = await post("one"), await post("one"), await post("two")
    assert first.json()["id"] == again.json()["id"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    mine = await anna.ok("GET", "/v1/conversations")
    assert [one["title"] for one in mine["conversations"]] == ["one"]
