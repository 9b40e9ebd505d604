"""FCM over real HTTP: a token endpoint and HTTP v1 that give Google's documented answers."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from contracts.devices import Platform, PushService
from notifier.errors import ConfigError
from notifier.providers.base import (
    PermanentPushError,
    Provider,
    ProviderRefusedError,
    PushError,
    TokenGoneError,
    TransientPushError,
)
from notifier.providers.fcm import errors
from notifier.providers.fcm.client import SCOPE, FcmProvider, from_environment
from notifier.providers.fcm.settings import FcmSettings
from notifier.push import Priority, Push

from .http_peer import Answer, Asked, HttpPeer, http_peer
from .pushes import SECRET, pem, push, retraction, target

KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
ACCEPTED = Answer.of(200, {"name": "projects/natter-test/messages/0:1"})
TOKEN = SECRET + "fcm:APA91b"
AUDIENCE = "https://oauth2.googleapis.com/token"


class Google:
    """The token endpoint and FCM on one address."""

    def __init__(self, peer: HttpPeer) -> None:
        peer.answers = self.__call__
        self.peer = peer
        self.token_answer: Answer | None = None
        self.push_answer = ACCEPTED
        self.expires_in_s = 3_600
        self.tokens = 0

    def __call__(self, asked: Asked) -> Answer:
        if asked.target == "/token":
            self.tokens += 1
            said = {
                "access_token": f"{SECRET}ya29.{self.tokens}",
                "expires_in": self.expires_in_s,
                "token_type": "Bearer",
            }
            return self.token_answer or Answer.of(200, said)
        return self.push_answer

    @property
    def pushes(self) -> list[Asked]:
        """What came for FCM."""
        return [asked for asked in self.peer.asked if asked.target != "/token"]


class Clock:
    """The time of day, which a test can put forward."""

    ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def account(folder: Path, url: str, **changes: Any) -> Path:
    """A service account's file."""
    fields = {
        "type": "service_account",
        "project_id": "natter-test",
        "private_key_id": "k1",
        "private_key": pem(KEY).decode(),
        "client_email": "push@natter-test.example",
        "token_uri": f"{url}/token",
    } | changes
    path = folder / "account.json"
    path.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))
    return path


def settings(path: Path | None, **changes: Any) -> FcmSettings:
    return FcmSettings.model_validate({"firebase_credentials_path": path} | changes)


@pytest.fixture
async def google() -> AsyncIterator[Google]:
    """Google, as far as pushes need it."""
    async with http_peer() as peer:
        yield Google(peer)


@asynccontextmanager
async def provider(
    google: Google, folder: Path, *, clock: Clock | None = None, **changes: Any
) -> AsyncIterator[FcmProvider]:
    """A provider for it."""
    found = FcmProvider(
        settings(account(folder, google.peer.url), **changes), base_url=google.peer.url, now=clock or Clock()
    )
    try:
        yield found
    finally:
        await found.close()


def to_android(**changes: Any) -> Push:
    return push(target(PushService.FCM, TOKEN, platform=Platform.ANDROID), **changes)


def failure(status: int, code: str, message: str = "no", **more: Any) -> Answer:
    """An error as FCM words it."""
    details = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}] if code else []
    details += more.pop("details", [])
    return Answer.of(status, {"error": {"code": status, "message": message, "status": "X", "details": details}}, **more)


async def test_a_push_as_fcm_wants_it(google: Google, tmp_path: Path) -> None:
    """Project, signature and every field of the message; the answer's name is the push's id there."""
    async with provider(google, tmp_path, fcm_channel="chat", fcm_channel_important="urgent") as fcm:
        ordinary, important = to_android(), to_android(priority=Priority.HIGH, ttl_s=10_000_000)
        assert await fcm.send(ordinary) == "projects/natter-test/messages/0:1"
        await fcm.send(important)
    first, second = google.pushes
    assert (first.method, first.target) == ("POST", "/v1/projects/natter-test/messages:send")
    assert first.headers["authorization"] == f"Bearer {SECRET}ya29.1"
    assert first.json["message"] == {
        "token": TOKEN,
        "notification": {"title": "Bob", "body": "你好, hello"},
        "data": {**ordinary.data, "badge": "3"},
        "android": {
            "priority": "NORMAL",
            "ttl": "86400s",
            "collapse_key": "c1",
            "notification": {"tag": ordinary.message_id, "channel_id": "chat", "notification_count": 3},
        },
    }
    android = second.json["message"]["android"]
    assert (android["priority"], android["ttl"]) == ("HIGH", "2419200s")
    assert android["notification"]["channel_id"] == "urgent"


async def test_the_service_account_asks_for_a_token_with_its_signature(google: Google, tmp_path: Path) -> None:
    """RFC 7523: an assertion that Google can check, for the scope of messaging alone."""
    async with provider(google, tmp_path) as fcm:
        await fcm.send(to_android())
    form = urllib.parse.parse_qs(google.peer.asked[0].body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(form["assertion"][0], KEY.public_key(), ["RS256"], audience=AUDIENCE)
    assert (claims["iss"], claims["scope"]) == ("push@natter-test.example", SCOPE)


async def test_a_long_text_is_shortened_to_what_fcm_takes(google: Google, tmp_path: Path) -> None:
    """Without the token no more than 4,096 bytes, however it is written."""
    async with provider(google, tmp_path) as fcm:
        await fcm.send(to_android(content='"你\n' * 4_000))
    sent = google.pushes[0]
    assert len(sent.body) - len(TOKEN) <= 4_096 + 2
    assert len(sent.body) - len(TOKEN) > 4_080
    assert sent.json["message"]["notification"]["body"].endswith("…")


async def test_a_retraction_shows_nothing(google: Google, tmp_path: Path) -> None:
    """Data alone; of one conversation, it takes the place of what the device has not had yet."""
    async with provider(google, tmp_path) as fcm:
        to = target(PushService.FCM, TOKEN)
        await fcm.send(retraction(to, "c1"))
        await fcm.send(retraction(to, "c1", "c2"))
        await fcm.send(to_android(retract=("c9",)))
    one, two, beside = (asked.json["message"] for asked in google.pushes)
    assert "notification" not in one
    assert "notification" not in one["android"]
    assert one["android"]["collapse_key"] == "c1"
    assert one["data"]["retract"] == '["c1"]'
    assert one["data"]["badge"] == "0"
    assert "collapse_key" not in two["android"]
    assert two["data"]["retract"] == '["c1","c2"]'
    assert beside["data"]["retract"] == '["c9"]'
    assert all(isinstance(value, str) for message in (one, two, beside) for value in message["data"].values())


# The error codes' page of HTTP v1, line by line: what the notifier does after each.
GOLDEN: dict[tuple[int, str], tuple[type[PushError], float | None]] = {
    (400, "INVALID_ARGUMENT"): (PermanentPushError, None),
    (401, "THIRD_PARTY_AUTH_ERROR"): (ProviderRefusedError, None),
    (403, "SENDER_ID_MISMATCH"): (TokenGoneError, None),
    (404, "UNREGISTERED"): (TokenGoneError, None),
    (429, "QUOTA_EXCEEDED"): (TransientPushError, 60.0),
    (500, "INTERNAL"): (TransientPushError, None),
    (503, "UNAVAILABLE"): (TransientPushError, None),
    # Before FCM itself: wrong credentials, no right to the project, no such project, a proxy's page.
    (400, ""): (PermanentPushError, None),
    (401, ""): (ProviderRefusedError, None),
    (403, ""): (ProviderRefusedError, None),
    (404, ""): (ProviderRefusedError, None),
    (429, ""): (TransientPushError, 60.0),
    (502, ""): (TransientPushError, None),
    (307, ""): (PermanentPushError, None),
}


def test_the_golden_table_is_whole() -> None:
    """Each entry of the provider's own table is checked below."""
    assert errors.ANSWERS.keys() <= GOLDEN.keys()
    assert {(status, "") for status in errors.CANONICAL} <= GOLDEN.keys()


@pytest.mark.parametrize(("status", "code"), list(GOLDEN))
async def test_what_fcm_answers(status: int, code: str, google: Google, tmp_path: Path) -> None:
    """Exactly that class of error, and the wait; a `Retry-After` asks for more, never for less."""
    wanted, wait_s = GOLDEN[status, code]
    async with provider(google, tmp_path) as fcm:
        if wanted is TokenGoneError:
            await fcm.send(to_android())
        google.push_answer = failure(status, code)
        with pytest.raises(PushError) as caught:
            await fcm.send(to_android())
        assert type(caught.value) is wanted
        if isinstance(caught.value, TransientPushError):
            assert caught.value.retry_after_s == wait_s
            google.push_answer = failure(status, code, retry_after="120")
            with pytest.raises(TransientPushError) as later:
                await fcm.send(to_android())
            assert later.value.retry_after_s == 120.0


@pytest.mark.parametrize(
    "answer",
    [
        failure(400, "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token"),
        failure(
            400,
            "INVALID_ARGUMENT",
            details=[
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{"field": "message.token", "description": "Invalid registration token"}],
                }
            ],
        ),
    ],
    ids=["by its message", "by its field"],
)
async def test_an_invalid_token_is_gone(answer: Answer, google: Google, tmp_path: Path) -> None:
    """INVALID_ARGUMENT is about the token only if it says so."""
    async with provider(google, tmp_path) as fcm:
        google.push_answer = answer
        with pytest.raises(TokenGoneError):
            await fcm.send(to_android())


async def test_another_invalid_field_is_not_the_tokens_fault(google: Google, tmp_path: Path) -> None:
    """A mistake of ours must not delete good tokens."""
    violation = {"field": "message.data[0].value", "description": "Invalid value"}
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]
    async with provider(google, tmp_path) as fcm:
        google.push_answer = failure(400, "", details=details)
        with pytest.raises(PermanentPushError) as caught:
            await fcm.send(to_android())
    assert not isinstance(caught.value, TokenGoneError)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "no"}', b'{"error": {"details": 5}}', b"\xff"])
async def test_an_answer_that_is_no_json_deletes_nothing(body: bytes, google: Google, tmp_path: Path) -> None:
    """A proxy's page with 404 says nothing about a token."""
    async with provider(google, tmp_path) as fcm:
        google.push_answer = Answer(404, body)
        with pytest.raises(ProviderRefusedError):
            await fcm.send(to_android())
        google.push_answer = Answer(200, body)
        assert await fcm.send(to_android()) is None


async def test_the_missing_key_of_another_platform_does_not_stop_android(google: Google, tmp_path: Path) -> None:
    """Apple's key is missing at Firebase: once something was accepted, only iOS tokens there wait."""
    async with provider(google, tmp_path) as fcm:
        await fcm.send(to_android())
        google.push_answer = failure(401, "THIRD_PARTY_AUTH_ERROR")
        with pytest.raises(TransientPushError) as caught:
            await fcm.send(to_android())
        assert caught.value.retry_after_s == 300.0


async def test_credentials_of_another_project_delete_nothing(google: Google, tmp_path: Path) -> None:
    """Every token is of another sender then: nothing is removed until FCM has taken a push of ours."""
    async with provider(google, tmp_path) as fcm:
        google.push_answer = failure(403, "SENDER_ID_MISMATCH")
        with pytest.raises(ProviderRefusedError):
            await fcm.send(to_android())
        google.push_answer = Answer(200, b'{"name": "projects/p/messages/1"}')
        await fcm.send(to_android())
        google.push_answer = failure(403, "SENDER_ID_MISMATCH")
        with pytest.raises(TokenGoneError):
            await fcm.send(to_android())


async def test_one_token_for_all_and_renewed_before_its_end(google: Google, tmp_path: Path) -> None:
    """All pushes that come at once fetch one; shortly before its end pushes go on with it while the next one comes."""
    clock = Clock()
    async with provider(google, tmp_path, clock=clock) as fcm:
        await asyncio.gather(*(fcm.send(to_android()) for _ in range(20)))
        assert google.tokens == 1
        # Google's clock does not go ahead with ours.
        google.expires_in_s = 2 * 3_600
        clock.ahead = timedelta(seconds=3_400)
        await asyncio.gather(*(fcm.send(to_android()) for _ in range(20)))
        async with asyncio.timeout(60):
            while google.pushes[-1].headers["authorization"] != f"Bearer {SECRET}ya29.2":
                await fcm.send(to_android())
        assert google.tokens == 2


async def test_a_failed_renewal_leaves_the_old_token_in_use(google: Google, tmp_path: Path) -> None:
    """Google's token endpoint refuses for a while: as long as the old token lives, pushes go out with it, and the
    endpoint is not asked again with each of them."""
    clock = Clock()
    async with provider(google, tmp_path, clock=clock) as fcm:
        await fcm.send(to_android())
        google.token_answer = Answer.of(400, {"error": "invalid_grant"})
        clock.ahead = timedelta(seconds=3_400)
        for _ in range(50):
            await fcm.send(to_android())
        assert google.tokens == 2
        assert {asked.headers["authorization"] for asked in google.pushes} == {f"Bearer {SECRET}ya29.1"}


async def test_a_refused_account_stops_the_provider(google: Google, tmp_path: Path) -> None:
    """Each push says so, and Google is asked once, not once for each push."""
    google.token_answer = Answer.of(400, {"error": "invalid_grant", "error_description": f"{SECRET}sub"})
    async with provider(google, tmp_path) as fcm:
        for _ in range(3):
            with pytest.raises(ProviderRefusedError, match="invalid_grant") as caught:
                await fcm.send(to_android())
            assert SECRET not in str(caught.value)
    assert google.tokens == 1
    assert google.pushes == []


async def test_an_overloaded_token_endpoint_is_transient(google: Google, tmp_path: Path) -> None:
    """Nothing is refused: the same push may go out later."""
    google.token_answer = Answer.of(503, {"error": "unavailable"})
    async with provider(google, tmp_path) as fcm:
        with pytest.raises(TransientPushError):
            await fcm.send(to_android())


async def test_a_refused_token_is_fetched_anew(google: Google, tmp_path: Path) -> None:
    """401: whatever becomes of that push, the next one comes with another token; an answer about the old one that
    comes late does not throw the new one away."""
    late = asyncio.Event()
    async with provider(google, tmp_path) as fcm:
        google.push_answer = failure(401, "")
        google.push_answer.after = late
        waiting = asyncio.create_task(fcm.send(to_android()))
        await google.peer.until_asked(2)
        google.push_answer = failure(401, "")
        with pytest.raises(ProviderRefusedError):
            await fcm.send(to_android())
        google.push_answer = ACCEPTED
        await fcm.send(to_android())
        late.set()
        with pytest.raises(ProviderRefusedError):
            await waiting
        await fcm.send(to_android())
        assert google.pushes[-1].headers["authorization"] == f"Bearer {SECRET}ya29.2"
        assert google.tokens == 2


async def test_a_push_that_is_given_up_takes_the_token_from_nobody(google: Google, tmp_path: Path) -> None:
    """The first one is cancelled while it fetches the token; the others get it."""
    async with provider(google, tmp_path) as fcm:
        first = asyncio.create_task(fcm.send(to_android()))
        others = [asyncio.create_task(fcm.send(to_android())) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        assert await asyncio.gather(*others) == ["projects/natter-test/messages/0:1"] * 5
        assert first.cancelled()
        assert google.tokens == 1


async def test_no_secret_is_in_a_log_or_an_error(
    google: Google, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Device tokens, access tokens and the key stay out of both, even when everything is logged."""
    caplog.set_level(logging.DEBUG)
    async with provider(google, tmp_path) as fcm:
        await fcm.send(to_android())
        google.push_answer = failure(400, "INVALID_ARGUMENT", f"bad: {TOKEN}")
        with pytest.raises(PushError) as caught:
            await fcm.send(to_android())
        said = caplog.text + repr(caught.value) + str(caught.value) + repr(fcm)
    assert SECRET not in said
    assert "PRIVATE KEY" not in said


async def test_without_a_device_there_is_nothing_to_send(google: Google, tmp_path: Path) -> None:
    """It pushes to tokens; users it does not know."""
    async with provider(google, tmp_path) as fcm:
        checked: Provider = fcm
        with pytest.raises(PermanentPushError):
            await checked.send(push(None))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """At the start, by the variable's name; the file is not quoted."""
    with pytest.raises(ConfigError, match="FIREBASE_CREDENTIALS_PATH"):
        FcmProvider(settings(None))
    with pytest.raises(ConfigError, match=r"FIREBASE_CREDENTIALS_PATH.*cannot be read"):
        FcmProvider(settings(tmp_path / "none.json"))
    broken = tmp_path / "broken.json"
    for text in ("", "[]", "{}", json.dumps({"private_key": SECRET}), "\x00"):
        broken.write_text(text)
        with pytest.raises(ConfigError, match="FIREBASE_CREDENTIALS_PATH") as caught:
            FcmProvider(settings(broken))
        assert SECRET not in str(caught.value)
    with pytest.raises(ConfigError, match="project_id"):
        FcmProvider(settings(account(tmp_path, "http://127.0.0.1:1", project_id=None)))


async def test_the_variable_of_the_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """FIREBASE_CREDENTIALS_PATH names the file; without it the process does not begin."""
    monkeypatch.delenv("FIREBASE_CREDENTIALS_PATH", raising=False)
    with pytest.raises(ConfigError, match="FIREBASE_CREDENTIALS_PATH"):
        from_environment()
    monkeypatch.setenv("FIREBASE_CREDENTIALS_PATH", str(account(tmp_path, "http://127.0.0.1:1")))
    await from_environment().close()
