"""Every route over real HTTP, against a whole chat-api process: what it answers, and how it refuses."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from contracts.codes import ErrorCode
from contracts.ids import new_id

PAGE_MAX = 200
KNOWN = "01981f5e-7d2a-7c30-9c4e-5b1d6a0f2e47"
"""An id that does not change: a test's name has to be the same in every process of a run."""


@dataclass
class Chat:
    """A client, and the tokens of everybody."""

    http: httpx.AsyncClient
    stack: Any

    def auth(self, user_id: str, *roles: str) -> dict[str, str]:
        """Headers of a user."""
        return {"authorization": f"Bearer {self.stack.token(user_id, roles=roles or ('customer',))}"}

    async def call(
        self, method: str, path: str, user: str = "host", *, status: int = 200, **options: Any
    ) -> httpx.Response:
        """A request that must be answered with `status`; the user "host" is a service."""
        headers = self.auth(user, "service" if user == "host" else "customer") | options.pop("headers", {})
        answer = await self.http.request(method, path, headers=headers, **options)
        assert answer.status_code == status, f"{answer.status_code} {answer.text[:500]}"
        return answer

    async def users(self, *names: str) -> list[str]:
        """Fresh registered users whose ids begin with these names."""
        made = [f"{name}-{new_id()[-12:]}" for name in names]
        for user_id in made:
            await self.call("POST", "/v1/users", json={"user_id": user_id, "name": user_id}, status=201)
        return made

    async def conversation(self, owner: str, *others: str) -> str:
        """A fresh conversation's id."""
        answer = await self.call("POST", "/v1/conversations", owner, json={"participant_ids": others}, status=201)
        return str(answer.json()["id"])

    async def send(self, c: str, user: str, content: str = "hello", status: int = 201, **more: Any) -> dict[str, Any]:
        """Send a message; returns the answer."""
        body = {"client_msg_id": new_id(), "content": content} | more
        answer = await self.call("POST", f"/v1/conversations/{c}/messages", user, json=body, status=status)
        return dict(answer.json())


@pytest.fixture
async def chat(api: Any) -> AsyncIterator[Chat]:
    """A client of the running service."""
    async with httpx.AsyncClient(base_url=api.stack.api_url, timeout=20) as client:
        yield Chat(client, api.stack)


def problem(answer: httpx.Response, code: ErrorCode) -> dict[str, Any]:
    """The body, which must be a complete problem with this code."""
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["status"] == answer.status_code == code.status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["detail"]
    assert body["title"]
    assert body["type"].endswith(code.value)
    return body


# --- what works -------------------------------------------------------------------------------------------------------


async def test_health_and_docs(chat: Chat) -> None:
    """What orchestrators and readers ask without a token."""
    for path in ("/healthz/live", "/healthz/ready", "/metrics", "/docs", "/openapi.json"):
        assert (await chat.http.get(path)).status_code == 200
    assert b"natter_messages_accepted_total" in (await chat.http.get("/metrics")).content


async def test_accounts(chat: Chat) -> None:
    """A user with a password gets a token that works; without one, or with another, there is none."""
    user = f"alice-{new_id()[-12:]}"
    body = {"user_id": user, "name": "Alice", "roles": ["doctor", "customer"], "password": "correct horse"}
    first = await chat.call("POST", "/v1/users", json=body, status=201)
    assert first.json() == {"user_id": user, "name": "Alice", "roles": ["customer", "doctor"]}
    await chat.call("POST", "/v1/users", json=body, status=200)
    answer = await chat.http.post("/v1/auth/token", json={"user_id": user, "password": "correct horse"})
    assert answer.status_code == 200
    token = answer.json()
    assert token["token_type"] == "bearer"
    me = await chat.http.get("/v1/users/me", headers={"authorization": f"bearer {token['access_token']}"})
    assert me.json() == first.json()
    (without,) = await chat.users("nopassword")
    for credentials in (
        {"user_id": user, "password": "wrong"},
        {"user_id": without, "password": "anything"},
        {"user_id": "nobody-at-all", "password": "anything"},
    ):
        problem(await chat.http.post("/v1/auth/token", json=credentials), ErrorCode.WRONG_CREDENTIALS)
    changed = await chat.call("POST", "/v1/users", json=body | {"name": "Eve"}, status=409)
    problem(changed, ErrorCode.ALREADY_EXISTS)


async def test_me_without_registration(chat: Chat) -> None:
    """A token of the host application is enough to be somebody."""
    answer = await chat.call("GET", "/v1/users/me", "stranger")
    assert answer.json() == {"user_id": "stranger", "roles": ["customer"]}


async def test_a_conversation_s_life(chat: Chat) -> None:
    """Open, read, change, let in, take out: each answer is the conversation as the caller sees it."""
    alice, bob, carol = await chat.users("alice", "bob", "carol")
    created = (
        await chat.call(
            "POST",
            "/v1/conversations",
            alice,
            json={"title": "t", "participant_ids": [bob], "metadata": {"a": 1}},
            status=201,
        )
    ).json()
    c = created["id"]
    assert (created["owner_id"], created["last_seq"], created["unread_count"]) == (alice, 1, 0)
    assert {one["user_id"] for one in created["participants"]} == {alice, bob}
    changed = (await chat.call("PATCH", f"/v1/conversations/{c}", alice, json={"title": "t2"})).json()
    assert (changed["title"], changed["metadata"], changed["last_seq"]) == ("t2", {"a": 1}, 2)
    more = (
        await chat.call("POST", f"/v1/conversations/{c}/participants", alice, json={"user_ids": [carol, bob]})
    ).json()
    assert {one["user_id"] for one in more["participants"]} == {alice, bob, carol}
    await chat.call("DELETE", f"/v1/conversations/{c}/participants/{carol}", carol, status=204)
    problem(await chat.call("GET", f"/v1/conversations/{c}", carol, status=404), ErrorCode.NOT_FOUND)
    seen = (await chat.call("GET", f"/v1/conversations/{c}", "host")).json()
    assert "read_seq" not in seen
    events = (await chat.call("GET", f"/v1/conversations/{c}/events?after_seq=0", bob)).json()
    assert [event["seq"] for event in events["events"]] == [1, 2, 3, 4]
    assert events["last_seq"] == 4


async def test_messages(chat: Chat) -> None:
    """Send, repeat, edit, delete, read: the message is the same shape everywhere."""
    alice, bob = await chat.users("alice", "bob")
    c = await chat.conversation(alice, bob)
    body = {"client_msg_id": "m-1", "content": "你好 🙂", "is_important": True, "extra_metadata": {"k": [1, "ü"]}}
    path = f"/v1/conversations/{c}/messages"
    first = (await chat.call("POST", path, alice, json=body, status=201)).json()
    assert first["sender_name"] == alice
    assert first["sender_type"] == "chat"
    assert (await chat.call("POST", path, alice, json=body, status=200)).json() == first
    problem(
        await chat.call("POST", path, alice, json=body | {"content": "other"}, status=422),
        ErrorCode.IDEMPOTENCY_CONFLICT,
    )
    edited = (await chat.call("PATCH", f"/v1/messages/{first['id']}", alice, json={"content": "new"})).json()
    assert edited == first | {"content": "new", "edited_at": edited["edited_at"]}
    page = (await chat.call("GET", path, bob)).json()
    assert page == {"messages": [edited], "last_seq": 3}
    gone = (await chat.call("DELETE", f"/v1/messages/{first['id']}", alice)).json()
    assert gone["content"] == ""
    assert "extra_metadata" not in gone
    assert (await chat.call("DELETE", f"/v1/messages/{first['id']}", alice)).json() == gone
    assert (await chat.call("GET", path, bob)).json()["messages"] == [gone]


async def test_services_speak_for_users(chat: Chat) -> None:
    """A host application names sender and excluded users; a user may not, and never sees who was left out."""
    alice, bob = await chat.users("alice", "bob")
    c = await chat.conversation(alice, bob)
    sent = await chat.send(c, "host", sender_id=bob, exclude_user_ids=[alice])
    assert (sent["sender_id"], sent["sender_name"]) == (bob, bob)
    for forbidden in ({"sender_id": bob}, {"exclude_user_ids": [bob]}):
        body = {"client_msg_id": new_id(), "content": "x"} | forbidden
        answer = await chat.call("POST", f"/v1/conversations/{c}/messages", alice, json=body, status=403)
        problem(answer, ErrorCode.FORBIDDEN)
    for what in ("messages", "events"):
        assert "exclude" not in (await chat.call("GET", f"/v1/conversations/{c}/{what}", alice)).text


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_the_seed_s_own_path(chat: Chat, prefix: str) -> None:
    """`POST /chat/{id}/send` answers as it always did; its key makes a repeat harmless."""
    alice, bob = await chat.users("alice", "bob")
    c = await chat.conversation(alice, bob)
    path = f"{prefix}/chat/{c}/send"
    answer = (await chat.call("POST", path, bob, json={"content": "hi"})).json()
    assert set(answer) == {"status", "message_id"}
    assert answer["status"] == "sent"
    assert (await chat.call("POST", path, bob, json={"content": "hi"})).json() != answer
    key = {"idempotency-key": "key-1"}
    once = (await chat.call("POST", path, bob, json={"content": "hi"}, headers=key)).json()
    assert (await chat.call("POST", path, bob, json={"content": "hi"}, headers=key)).json() == once
    other = await chat.call("POST", path, bob, json={"content": "ho"}, headers=key, status=422)
    problem(other, ErrorCode.IDEMPOTENCY_CONFLICT)


@pytest.mark.parametrize("key", ["a/b", "k" * 65, "~" * 128])
async def test_a_key_that_is_no_client_msg_id_serves_on_the_seed_s_own_path(chat: Chat, key: str) -> None:
    """Whatever the document allows as Idempotency-Key makes a repeat harmless, and another body a conflict."""
    alice, bob = await chat.users("alice", "bob")
    path = f"/v1/chat/{await chat.conversation(alice, bob)}/send"
    headers = {"idempotency-key": key}
    once = (await chat.call("POST", path, bob, json={"content": "hi"}, headers=headers)).json()
    assert (await chat.call("POST", path, bob, json={"content": "hi"}, headers=headers)).json() == once
    other = await chat.call("POST", path, bob, json={"content": "ho"}, headers=headers, status=422)
    problem(other, ErrorCode.IDEMPOTENCY_CONFLICT)
    next_key = {"idempotency-key": key[:-1] + "!"}
    assert (await chat.call("POST", path, bob, json={"content": "hi"}, headers=next_key)).json() != once


async def test_reading(chat: Chat) -> None:
    """The cursor moves forward, counts down what is unread, and never passes the end."""
    alice, bob = await chat.users("alice", "bob")
    c = await chat.conversation(alice, bob)
    for n in range(3):
        await chat.send(c, alice, str(n))
    path = f"/v1/conversations/{c}"
    assert (await chat.call("GET", path, bob)).json()["unread_count"] == 3
    assert (await chat.call("PUT", f"{path}/read", bob, json={"seq": 3})).json() == {"seq": 3}
    assert (await chat.call("PUT", f"{path}/read", bob, json={"seq": 2})).json() == {"seq": 3}
    seen = (await chat.call("GET", path, bob)).json()
    assert (seen["unread_count"], seen["read_seq"]) == (1, 3)
    assert (await chat.call("GET", path, alice)).json()["unread_count"] == 0
    problem(await chat.call("PUT", f"{path}/read", bob, json={"seq": 5}, status=422), ErrorCode.SEQ_OUT_OF_RANGE)


async def test_history_pages(chat: Chat) -> None:
    """After, before and around a seq; without any of them the newest; always in order."""
    alice, bob = await chat.users("alice", "bob")
    c = await chat.conversation(alice, bob)
    for n in range(2, 12):
        assert (await chat.send(c, alice, str(n)))["seq"] == n
    path = f"/v1/conversations/{c}/messages"

    async def seqs(query: str) -> list[int]:
        return [message["seq"] for message in (await chat.call("GET", f"{path}?{query}", bob)).json()["messages"]]

    assert await seqs("limit=3") == [9, 10, 11]
    assert await seqs("after_seq=0&limit=3") == [2, 3, 4]
    assert await seqs("after_seq=4&limit=3") == [5, 6, 7]
    assert await seqs("after_seq=11") == []
    assert await seqs("before_seq=5&limit=2") == [3, 4]
    assert await seqs("before_seq=2") == []
    assert await seqs("around_seq=6&limit=5") == [4, 5, 6, 7, 8]
    assert await seqs("around_seq=2&limit=4") == [2, 3, 4, 5]
    assert await seqs("around_seq=11&limit=4") == [9, 10, 11]


async def test_lists_of_conversations(chat: Chat) -> None:
    """Newest activity first, in pages that neither skip nor repeat, also when a new message reorders them."""
    alice, bob = await chat.users("alice", "bob")
    ids = [await chat.conversation(alice, bob) for _ in range(5)]
    last = {c: await chat.send(c, bob, c) for c in (ids[3], ids[0])}
    order = [ids[0], ids[3], ids[4], ids[2], ids[1]]
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await chat.call("GET", f"/v1/conversations?limit=2{cursor}", alice)).json()
        found += page["conversations"]
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [one["id"] for one in found] == order
    assert [one["last_message"] for one in found[:2]] == [last[ids[0]], last[ids[3]]]
    assert [one["unread_count"] for one in found] == [1, 1, 0, 0, 0]
    assert all("last_message" not in one for one in found[2:])


async def test_idempotency_keys(chat: Chat) -> None:
    """A repeated POST with its key is the first one; with another body it is a mistake."""
    alice, bob = await chat.users("alice", "bob")
    key = {"idempotency-key": new_id()}
    path = "/v1/conversations"
    first = (await chat.call("POST", path, alice, json={"title": "t"}, headers=key, status=201)).json()
    again = (await chat.call("POST", path, alice, json={"title": "t"}, headers=key, status=201)).json()
    assert again == first
    other = await chat.call("POST", path, alice, json={"title": "u"}, headers=key, status=422)
    problem(other, ErrorCode.IDEMPOTENCY_CONFLICT)
    assert (await chat.call("POST", path, bob, json={"title": "t"}, headers=key, status=201)).json()["id"] != first[
        "id"
    ]


# --- what is refused --------------------------------------------------------------------------------------------------

SOME = "0198f3a0-1b2c-7000-8000-00000000dead"
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/v1/users/me", None),
    ("POST", "/v1/users", {"user_id": "x"}),
    ("POST", "/v1/auth/logout", {}),
    ("PUT", "/v1/auth/password", {"old_password": "x", "new_password": "xxxxxxxx"}),
    ("POST", "/v1/admin/users/x/block", None),
    ("POST", "/v1/admin/users/x/unblock", None),
    ("POST", "/v1/admin/users/x/revoke-sessions", None),
    ("POST", "/v1/conversations", {}),
    ("GET", "/v1/conversations", None),
    ("GET", "/v1/sync", None),
    ("GET", f"/v1/conversations/{SOME}", None),
    ("PATCH", f"/v1/conversations/{SOME}", {"title": "t"}),
    ("POST", f"/v1/conversations/{SOME}/participants", {"user_ids": ["x"]}),
    ("DELETE", f"/v1/conversations/{SOME}/participants/x", None),
    ("PUT", f"/v1/conversations/{SOME}/read", {"seq": 1}),
    ("POST", f"/v1/conversations/{SOME}/messages", {"client_msg_id": "1", "content": "x"}),
    ("GET", f"/v1/conversations/{SOME}/messages", None),
    ("GET", f"/v1/conversations/{SOME}/events", None),
    ("PATCH", f"/v1/messages/{SOME}", {"content": "x"}),
    ("DELETE", f"/v1/messages/{SOME}", None),
    ("POST", f"/v1/chat/{SOME}/send", {"content": "x"}),
    ("POST", f"/chat/{SOME}/send", {"content": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_nobody_gets_in_without_a_token(chat: Chat, method: str, path: str, body: Any) -> None:
    """Missing, malformed, forged and expired tokens are 401 on every route, with the challenge."""
    expired = chat.stack.token("alice", ttl_s=-60)
    for header, code in (
        (None, ErrorCode.UNAUTHENTICATED),
        ("Basic YTpi", ErrorCode.UNAUTHENTICATED),
        ("Bearer", ErrorCode.UNAUTHENTICATED),
        ("Bearer not.a.token", ErrorCode.UNAUTHENTICATED),
        (f"Bearer {expired[:-4]}AAAA", ErrorCode.UNAUTHENTICATED),
        (f"Bearer {expired}", ErrorCode.TOKEN_EXPIRED),
    ):
        headers = {} if header is None else {"authorization": header}
        answer = await chat.http.request(method, path, headers=headers, json=body)
        problem(answer, code)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "body"), [route for route in ROUTES if SOME in route[1]], ids=lambda value: str(value)[:60]
)
async def test_foreign_conversations_do_not_exist(chat: Chat, method: str, path: str, body: Any) -> None:
    """Whether it exists or not, a stranger hears the same: 404."""
    alice, bob = await chat.users("alice", "bob")
    c = await chat.conversation(alice)
    message = await chat.send(c, alice)
    existing = path.replace(SOME, message["id"] if "/v1/messages/" in path else c)
    answers = [await chat.call(method, one, bob, json=body, status=404) for one in (existing, path)]
    first, second = (problem(answer, ErrorCode.NOT_FOUND) for answer in answers)
    assert first["detail"] == second["detail"]


async def test_what_may_not_be_done(chat: Chat) -> None:
    """Members who may see but not do: 403."""
    alice, bob = await chat.users("alice", "bob")
    c = await chat.conversation(alice, bob)
    message = await chat.send(c, alice)
    for method, path, user, body in (
        ("POST", "/v1/users", alice, {"user_id": "x"}),
        ("POST", "/v1/conversations", bob, {"owner_id": alice}),
        ("PATCH", f"/v1/conversations/{c}", bob, {"title": "t"}),
        ("POST", f"/v1/conversations/{c}/participants", bob, {"user_ids": [bob]}),
        ("DELETE", f"/v1/conversations/{c}/participants/{alice}", alice, None),
        ("DELETE", f"/v1/conversations/{c}/participants/{alice}", bob, None),
        ("PATCH", f"/v1/messages/{message['id']}", bob, {"content": "x"}),
        ("DELETE", f"/v1/messages/{message['id']}", bob, None),
    ):
        problem(await chat.call(method, path, user, json=body, status=403), ErrorCode.FORBIDDEN)
    assert (await chat.call("GET", f"/v1/conversations/{c}", alice)).json()["last_seq"] == 2


async def test_paths_and_methods_that_are_not(chat: Chat) -> None:
    """404 and 405 are problems like all others; without a token nobody learns which paths there are."""
    (alice,) = await chat.users("alice")
    problem(await chat.call("GET", "/v1/nothing", alice, status=404), ErrorCode.NOT_FOUND)
    problem(await chat.http.get("/v1/nothing"), ErrorCode.UNAUTHENTICATED)
    answer = await chat.call("PUT", "/v1/users/me", alice, status=405)
    problem(answer, ErrorCode.METHOD_NOT_ALLOWED)
    assert answer.headers["allow"] == "GET"


async def test_a_token_is_asked_for_before_the_body_is_read(chat: Chat) -> None:
    """Malformed JSON of a stranger is 401: what is wrong with it is nobody's business."""
    answer = await chat.http.post("/v1/conversations", content=b"{", headers={"Content-Type": "application/json"})
    problem(answer, ErrorCode.UNAUTHENTICATED)


async def test_unknown_users_are_named(chat: Chat) -> None:
    """A conversation with somebody whom nobody registered is refused, with the name."""
    (alice,) = await chat.users("alice")
    body = problem(
        await chat.call("POST", "/v1/conversations", alice, json={"participant_ids": ["ghost-1"]}, status=422),
        ErrorCode.UNKNOWN_USER,
    )
    assert "ghost-1" in body["detail"]
    c = await chat.conversation(alice)
    answer = await chat.call(
        "POST", f"/v1/conversations/{c}/participants", alice, json={"user_ids": ["g2"]}, status=422
    )
    problem(answer, ErrorCode.UNKNOWN_USER)


DEEP = "[" * 5000
BAD_BODIES: list[tuple[bytes, ErrorCode]] = [
    (b"", ErrorCode.VALIDATION_FAILED),
    (b"{", ErrorCode.MALFORMED_JSON),
    (b"nonsense", ErrorCode.MALFORMED_JSON),
    (b'{"client_msg_id":"1","content":"\xff\xfe"}', ErrorCode.MALFORMED_JSON),
    (DEEP.encode(), ErrorCode.MALFORMED_JSON),
    (b'{"client_msg_id":"1","content":"x","extra_metadata":{"n":' + b"9" * 5000 + b"}}", ErrorCode.MALFORMED_JSON),
    (b"[]", ErrorCode.VALIDATION_FAILED),
    (b"null", ErrorCode.VALIDATION_FAILED),
    (b'{"client_msg_id":"1"}', ErrorCode.VALIDATION_FAILED),
    (b'{"client_msg_id":"1","content":"x","colour":"red"}', ErrorCode.VALIDATION_FAILED),
    (b'{"client_msg_id":"1","content":"a\\u0000b"}', ErrorCode.VALIDATION_FAILED),
    (b'{"client_msg_id":"1","content":"\\ud800"}', ErrorCode.VALIDATION_FAILED),
    (b'{"client_msg_id":"1","content":"x","extra_metadata":{"a":"\\ud800"}}', ErrorCode.VALIDATION_FAILED),
    (b'{"client_msg_id":"1","content":"x","extra_metadata":{"a":"\\u0000"}}', ErrorCode.VALIDATION_FAILED),
    (b'{"client_msg_id":"1","content":"x","extra_metadata":{"a":NaN}}', ErrorCode.VALIDATION_FAILED),
    (b'{"client_msg_id":"1","content":"x","extra_metadata":{"a":1e999}}', ErrorCode.VALIDATION_FAILED),
    (
        b'{"client_msg_id":"1","content":"x","extra_metadata":{"a":' + b"[" * 500 + b"]" * 500 + b"}}",
        ErrorCode.VALIDATION_FAILED,
    ),
    (b'{"client_msg_id":"1","content":"x","reply_to":"%s"}' % KNOWN.encode(), ErrorCode.VALIDATION_FAILED),
    (b'{"client_msg_id":"1","content":"x","message_type":"system"}', ErrorCode.VALIDATION_FAILED),
]


@pytest.mark.parametrize(("body", "code"), BAD_BODIES, ids=lambda value: str(value)[:60])
async def test_bad_bodies(chat: Chat, body: bytes, code: ErrorCode) -> None:
    """Each is refused with its code, and nothing is written."""
    (alice,) = await chat.users("alice")
    c = await chat.conversation(alice)
    answer = await chat.call(
        "POST",
        f"/v1/conversations/{c}/messages",
        alice,
        content=body,
        headers={"content-type": "application/json"},
        status=422,
    )
    problem(answer, code)
    assert (await chat.call("GET", f"/v1/conversations/{c}", alice)).json()["last_seq"] == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_that_are_too_large(chat: Chat, chunked: bool) -> None:
    """413, with a length and without one, before the service has read it all."""
    (alice,) = await chat.users("alice")
    c = await chat.conversation(alice)
    body = json.dumps({"client_msg_id": "1", "content": "x" * 30_000}).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    answer = await chat.call(
        "POST",
        f"/v1/conversations/{c}/messages",
        alice,
        content=pieces() if chunked else body,
        headers={"content-type": "application/json"},
        status=413,
    )
    problem(answer, ErrorCode.PAYLOAD_TOO_LARGE)


def _cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


AT = "2026-01-31T08:15:30+00:00"


@pytest.mark.parametrize(
    "query",
    [
        "cursor=abc",
        "cursor=",
        "cursor=%F0%9F%99%82",
        f"cursor={_cursor(AT)}",
        f"cursor={_cursor(1, 2)}",
        f"cursor={_cursor('2026-01-31T08:15:30', SOME)}",
        f"cursor={_cursor(AT, 'z' * 36)}",
        f"cursor={_cursor(AT, 'é' * 36)}",
        f"cursor={_cursor('0001-01-01T00:00:00+23:59', SOME)}",
        f"cursor={_cursor('9999-12-31T23:59:59-23:59', SOME)}",
        "cursor=" + "a" * 201,
        "limit=0",
        f"limit={PAGE_MAX + 1}",
        "limit=many",
    ],
)
async def test_bad_lists(chat: Chat, query: str) -> None:
    """A cursor that is not ours, or a limit out of bounds, is a mistake of the caller, never of ours."""
    answer = await chat.call("GET", f"/v1/conversations?{query}", "alice", status=422)
    problem(answer, ErrorCode.VALIDATION_FAILED)


@pytest.mark.parametrize("what", ["messages", "events"])
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("after_seq=2", ErrorCode.SEQ_OUT_OF_RANGE),
        ("around_seq=99", ErrorCode.SEQ_OUT_OF_RANGE),
        ("after_seq=-1", ErrorCode.VALIDATION_FAILED),
        (f"after_seq={2**63}", ErrorCode.VALIDATION_FAILED),
        ("after_seq=x", ErrorCode.VALIDATION_FAILED),
        ("after_seq=1&before_seq=1", ErrorCode.VALIDATION_FAILED),
        ("limit=201", ErrorCode.VALIDATION_FAILED),
    ],
)
async def test_bad_pages(chat: Chat, what: str, query: str, code: ErrorCode) -> None:
    """What lies beyond the conversation is told apart from what is no number."""
    (alice,) = await chat.users("alice")
    c = await chat.conversation(alice)
    problem(await chat.call("GET", f"/v1/conversations/{c}/{what}?{query}", alice, status=422), code)


@pytest.mark.parametrize("path", ["/v1/conversations/x", "/v1/conversations/X/messages", "/v1/messages/1%00"])
async def test_ids_that_are_none(chat: Chat, path: str) -> None:
    """An id in the path keeps to its shape."""
    method = "DELETE" if "/v1/messages" in path else "GET"
    problem(await chat.call(method, path, "alice", status=422), ErrorCode.VALIDATION_FAILED)


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "é".encode()])
async def test_bad_idempotency_keys(chat: Chat, key: str | bytes) -> None:
    """A key is short and printable."""
    answer = await chat.http.post(
        "/v1/conversations",
        json={},
        headers=[
            (b"authorization", f"Bearer {chat.stack.token('alice')}".encode()),
            (b"idempotency-key", key if isinstance(key, bytes) else key.encode()),
        ],
    )
    problem(answer, ErrorCode.VALIDATION_FAILED)


async def test_validation_names_the_field_and_not_its_value(chat: Chat) -> None:
    """Which field was wrong is told; what stood there may be private."""
    answer = await chat.call(
        "POST", "/v1/users", json={"user_id": "x", "password": "hunter", "roles": ["hunter"]}, status=422
    )
    body = problem(answer, ErrorCode.VALIDATION_FAILED)
    assert {error["field"] for error in body["errors"]} == {"body.password", "body.roles.0"}
    assert "hunter" not in answer.text


async def test_request_ids_come_back(chat: Chat) -> None:
    """A caller's id is answered, in good and in bad times."""
    for path in ("/v1/users/me", "/v1/nothing"):
        answer = await chat.http.get(path, headers=chat.auth("alice") | {"x-request-id": "my-id-1"})
        assert answer.headers["x-request-id"] == "my-id-1"


async def test_openapi_lists_each_route_s_errors(chat: Chat) -> None:
    """Whoever generates a client knows what can happen: 401 where a token is needed, 413 where a body is, 429, 503."""
    document = (await chat.http.get("/openapi.json")).json()
    operations = {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    expected = {(method, _template(path)) for method, path, _ in ROUTES if path.startswith("/v1")}
    # The whole document is held against the routes in tests/docs; here is what the running process says of these.
    assert expected | {("POST", "/v1/auth/token"), ("POST", "/v1/auth/refresh")} <= set(operations)
    for (method, path), operation in operations.items():
        statuses = set(operation["responses"])
        assert "503" in statuses
        # A key in the body stands for a token only where a device is unregistered by somebody who has logged out.
        assert "401" in statuses or operation.get("security") == [], (method, path)
        assert "429" in statuses
        if "requestBody" in operation:
            assert {"413", "422"} <= statuses, (method, path)
        if "{" in path and (method, path) in expected:
            assert {"404", "422"} <= statuses, (method, path)
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert response["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")
                assert "Problem, code: " in response["description"]
    assert set(document["components"]["schemas"]["ErrorCode"]["enum"]) == {code.value for code in ErrorCode}
    assert "HTTPValidationError" not in document["components"]["schemas"]


def _template(path: str) -> str:
    name = "{message_id}" if "/v1/messages/" in path else "{conversation_id}"
    path = path.replace("participants/x", "participants/{user_id}").replace("users/x/", "users/{user_id}/")
    return path.replace(SOME, name)


# --- faults -----------------------------------------------------------------------------------------------------------


async def test_postgres_away(api: Any, chat: Chat) -> None:
    """503 with Retry-After at once, not ready, and all well again when it is back; nothing is half written."""
    alice, bob = await chat.users("alice", "bob")
    c = await chat.conversation(alice, bob)
    postgres = api.stack.part("postgres")
    await api.do(postgres.kill())
    try:
        for method, path, body in (
            ("POST", f"/v1/conversations/{c}/messages", {"client_msg_id": "lost-1", "content": "x"}),
            ("POST", f"/v1/chat/{c}/send", {"content": "x"}),
            ("GET", f"/v1/conversations/{c}/messages", None),
            ("GET", "/v1/conversations", None),
            ("GET", "/v1/sync", None),
            ("POST", "/v1/conversations", {}),
            ("PUT", f"/v1/conversations/{c}/read", {"seq": 1}),
            ("DELETE", f"/v1/messages/{SOME}", None),
            ("GET", "/v1/users/me", None),
        ):
            started = time.monotonic()
            answer = await chat.call(method, path, alice, json=body, status=503)
            problem(answer, ErrorCode.UNAVAILABLE)
            assert int(answer.headers["retry-after"]) >= 1
            assert time.monotonic() - started < 5
        token = await chat.http.post("/v1/auth/token", json={"user_id": alice, "password": "x"})
        problem(token, ErrorCode.UNAVAILABLE)
        await _until(chat, "/healthz/ready", 503)
        assert (await chat.http.get("/healthz/live")).status_code == 200
    finally:
        await api.do(postgres.start())
    await _until(chat, "/healthz/ready", 200)
    body = {"client_msg_id": "lost-1", "content": "x"}
    await chat.call("POST", f"/v1/conversations/{c}/messages", alice, json=body, status=201)
    page = (await chat.call("GET", f"/v1/conversations/{c}/messages", bob)).json()
    assert [message["client_msg_id"] for message in page["messages"]] == ["lost-1"]


async def _until(chat: Chat, path: str, status: int) -> None:
    give_up = time.monotonic() + 30
    while (await chat.http.get(path)).status_code != status:
        assert time.monotonic() < give_up, f"{path} did not become {status}"
        await asyncio.sleep(0.05)


async def test_servers_away_at_start(api: Any, chat: Chat) -> None:
    """Without Postgres and NATS the process says so and refuses, waits, and becomes ready when they come."""
    alice, bob = await chat.users("alice", "bob")
    c = await chat.conversation(alice, bob)
    parts = {name: api.stack.part(name) for name in ("chat-api", "postgres", "nats")}
    await api.do(parts["chat-api"].terminate())
    await api.do(parts["postgres"].terminate())
    await api.do(parts["nats"].terminate())
    starting = asyncio.create_task(api.do(parts["chat-api"].start()))
    try:
        await _until_answers(chat)
        reasons = (await chat.http.get("/healthz/ready")).json()["missing"]
        assert set(reasons) == {"postgres", "nats"}
        for path, body in (
            (f"/v1/conversations/{c}/messages", {"client_msg_id": "early", "content": "x"}),
            ("/v1/conversations", {}),
        ):
            answer = await chat.call("POST", path, alice, json=body, status=503)
            problem(answer, ErrorCode.UNAVAILABLE)
    finally:
        await api.do(parts["postgres"].start())
        # Messages are accepted without NATS: the record is enough.
        await chat_accepts(chat, c, alice)
        assert (await chat.http.get("/healthz/ready")).status_code == 503
        await api.do(parts["nats"].start())
        await starting
    assert (await chat.http.get("/healthz/ready")).status_code == 200


async def _until_answers(chat: Chat) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            await chat.http.get("/healthz/live")
            return
        except httpx.TransportError:
            assert time.monotonic() < give_up, "the process did not answer"
            await asyncio.sleep(0.05)


async def chat_accepts(chat: Chat, c: str, user: str) -> None:
    """Wait until a send is accepted."""
    give_up = time.monotonic() + 30
    while True:
        answer = await chat.http.post(
            f"/v1/conversations/{c}/messages",
            json={"client_msg_id": "early", "content": "x"},
            headers=chat.auth(user),
        )
        if answer.status_code == 201:
            return
        assert answer.status_code == 503
        assert time.monotonic() < give_up, "was not accepted"
        await asyncio.sleep(0.05)
