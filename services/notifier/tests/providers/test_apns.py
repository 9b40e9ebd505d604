"""APNs over a real HTTP/2 server with TLS that gives Apple's documented answers."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from contracts.devices import Platform, PushService
from notifier.errors import ConfigError
from notifier.providers.apns import errors
from notifier.providers.apns.client import ApnsProvider, from_environment
from notifier.providers.apns.settings import ApnsSettings
from notifier.providers.base import (
    PermanentPushError,
    Provider,
    ProviderRefusedError,
    PushError,
    TokenGoneError,
    TransientPushError,
)
from notifier.push import Priority, Push

from .apns_peer import ApnsPeer, apns_peer
from .http_peer import Answer
from .pushes import AT, key_file, pem, push, retraction, target

TOKEN = "c0ffee" * 10 + "0123"


class Clock:
    """The time of day, as a test sets it."""

    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Apple:
    """Production, sandbox, and a provider for both."""

    production: ApnsPeer
    sandbox: ApnsPeer
    provider: ApnsProvider
    public_key: ec.EllipticCurvePublicKey
    clock: Clock


def settings(path: Path | None, **changes: Any) -> ApnsSettings:
    fields = {"apns_key_path": path, "apns_key_id": "KEY1234567", "apns_team_id": "TEAM123456"}
    return ApnsSettings.model_validate(fields | changes)


@asynccontextmanager
async def both(folder: Path, **changes: Any) -> AsyncIterator[Apple]:
    """The two environments of APNs; each has a certificate of its own, and the provider believes both."""
    (folder / "sandbox").mkdir()
    path, key = key_file(folder)
    clock = Clock()
    async with apns_peer(folder) as (production, trust), apns_peer(folder / "sandbox") as (sandbox, _):
        trust.load_verify_locations(folder / "sandbox" / "peer.pem")
        provider = ApnsProvider(
            settings(path, **changes),
            production_url=production.url,
            sandbox_url=sandbox.url,
            verify=trust,
            now=clock,
        )
        try:
            yield Apple(production, sandbox, provider, key.public_key(), clock)
        finally:
            await provider.close()


@pytest.fixture
async def apple(tmp_path: Path) -> AsyncIterator[Apple]:
    """APNs with a topic for apps that did not say what they are called."""
    async with both(tmp_path, apns_topic="com.example.default") as found:
        yield found


def to_iphone(token: str = TOKEN, **changes: Any) -> Push:
    of_target = {name: changes.pop(name) for name in ("app_id", "sandbox") if name in changes}
    return push(target(PushService.APNS, token, platform=Platform.IOS, **of_target), **changes)


async def test_a_push_as_apple_wants_it(apple: Apple) -> None:
    """Path, headers and every field of the body, over HTTP/2; the answer's apns-id is the push's."""
    one = to_iphone(priority=Priority.HIGH, retract=("c9",))
    assert await apple.provider.send(one) == one.id
    [asked] = apple.production.asked
    assert (asked.method, asked.target) == ("POST", f"/3/device/{TOKEN}")
    wanted = {
        "apns-id": one.id,
        "apns-topic": "com.example.chat",
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(int(AT.timestamp()) + 86_400),
        "apns-collapse-id": one.message_id,
    }
    assert {name: asked.headers[name] for name in wanted} == wanted
    assert len(asked.headers["apns-collapse-id"].encode()) <= 64
    assert asked.json == {
        **one.data,
        "retract": ["c9"],
        "aps": {
            "alert": {"title": "Bob", "body": "你好, hello"},
            "sound": "default",
            "mutable-content": 1,
            "badge": 3,
            "thread-id": "c1",
            "interruption-level": "time-sensitive",
        },
    }


async def test_an_ordinary_push_does_not_press(apple: Apple) -> None:
    """Priority 5, no claim to be time-sensitive; without a known badge none is set; ttl 0 is now or never."""
    await apple.provider.send(to_iphone(badge=None, group=None, ttl_s=0))
    [asked] = apple.production.asked
    assert (asked.headers["apns-priority"], asked.headers["apns-expiration"]) == ("5", "0")
    assert set(asked.json["aps"]) == {"alert", "sound", "mutable-content"}


async def test_a_badge_of_zero_takes_it_away(apple: Apple) -> None:
    """Nothing unread is said, and not left out."""
    await apple.provider.send(to_iphone(badge=0))
    assert apple.production.asked[0].json["aps"]["badge"] == 0


async def test_a_retraction_is_a_background_push(apple: Apple) -> None:
    """As Apple's rules for them are: priority 5, and nothing in `aps` that could be seen or heard."""
    await apple.provider.send(retraction(target(PushService.APNS, TOKEN), "c1", "c2", priority=Priority.HIGH))
    [asked] = apple.production.asked
    assert (asked.headers["apns-push-type"], asked.headers["apns-priority"]) == ("background", "5")
    assert asked.json["aps"] == {"content-available": 1}
    assert (asked.json["retract"], asked.json["badge"]) == (["c1", "c2"], 0)
    assert apple.provider.retractions_per_hour == 2


async def test_sandbox_and_production(apple: Apple) -> None:
    """A token of a development build goes to the sandbox."""
    await apple.provider.send(to_iphone(sandbox=True))
    assert (len(apple.sandbox.asked), len(apple.production.asked)) == (1, 0)


async def test_several_apps_and_one_without_a_name(apple: Apple, tmp_path: Path) -> None:
    """The topic is the app's id; NATTER_APNS_TOPIC is for devices that were registered without one."""
    for app_id in ("com.example.chat", "com.example.doctor", "default"):
        await apple.provider.send(to_iphone(app_id=app_id))
    topics = [asked.headers["apns-topic"] for asked in apple.production.asked]
    assert topics == ["com.example.chat", "com.example.doctor", "com.example.default"]
    (tmp_path / "other").mkdir()
    async with both(tmp_path / "other") as without:
        with pytest.raises(PermanentPushError, match="NATTER_APNS_TOPIC") as caught:
            await without.provider.send(to_iphone(app_id="default"))
        assert not isinstance(caught.value, TokenGoneError)


async def test_a_long_text_is_shortened_to_what_apple_takes(apple: Apple) -> None:
    """4,096 bytes, as they are written."""
    await apple.provider.send(to_iphone(content='"👨‍👩‍👧‍👦\n' * 2_000))
    [asked] = apple.production.asked
    assert 4_040 < len(asked.body) <= 4_096
    assert asked.json["aps"]["alert"]["body"].endswith("…")


async def test_the_signature(apple: Apple) -> None:
    """ES256 with the key's id and the team's; one for all pushes."""
    await asyncio.gather(*(apple.provider.send(to_iphone()) for _ in range(20)))
    [authorization] = {asked.headers["authorization"] for asked in apple.production.asked}
    scheme, token = authorization.split(" ")
    assert scheme == "bearer"
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "KEY1234567", "typ": "JWT"}
    claims = jwt.decode(token, apple.public_key, ["ES256"], options={"verify_iat": False})
    assert claims == {"iss": "TEAM123456", "iat": int(AT.timestamp())}


async def test_it_is_signed_anew_after_50_minutes(apple: Apple) -> None:
    """Not before, and in time for Apple's hour."""
    seen = []
    for minutes in (0, 49, 51, 99, 102):
        apple.clock.now = AT + timedelta(minutes=minutes)
        await apple.provider.send(to_iphone())
        seen.append(apple.production.asked[-1].headers["authorization"])
    assert seen[0] == seen[1] != seen[2] == seen[3] != seen[4]


async def test_an_expired_signature_is_made_anew_but_not_at_once(apple: Apple) -> None:
    """Apple refuses whoever signs more often than every 20 minutes."""
    seen = []
    apple.production.answer = Answer.of(403, {"reason": "ExpiredProviderToken"})
    for minutes in (0, 1, 19, 21, 22):
        apple.clock.now = AT + timedelta(minutes=minutes)
        with pytest.raises(ProviderRefusedError):
            await apple.provider.send(to_iphone())
        seen.append(apple.production.asked[-1].headers["authorization"])
    assert seen[0] == seen[1] == seen[2] == seen[3] != seen[4]


# "Handling notification responses from APNs", line by line: what the notifier does after each.
GOLDEN: dict[tuple[int, str], tuple[type[PushError], float | None]] = {
    (400, "BadCollapseId"): (PermanentPushError, None),
    (400, "BadDeviceToken"): (TokenGoneError, None),
    (400, "BadExpirationDate"): (PermanentPushError, None),
    (400, "BadMessageId"): (PermanentPushError, None),
    (400, "BadPriority"): (PermanentPushError, None),
    (400, "BadTopic"): (PermanentPushError, None),
    (400, "DeviceTokenNotForTopic"): (PermanentPushError, None),
    (400, "DuplicateHeaders"): (PermanentPushError, None),
    (400, "IdleTimeout"): (TransientPushError, None),
    (400, "InvalidPushType"): (PermanentPushError, None),
    (400, "MissingDeviceToken"): (PermanentPushError, None),
    (400, "MissingTopic"): (PermanentPushError, None),
    (400, "PayloadEmpty"): (PermanentPushError, None),
    (400, "TopicDisallowed"): (PermanentPushError, None),
    (403, "BadCertificate"): (ProviderRefusedError, None),
    (403, "BadCertificateEnvironment"): (ProviderRefusedError, None),
    (403, "BadEnvironmentKeyIdInToken"): (PermanentPushError, None),
    (403, "ExpiredProviderToken"): (ProviderRefusedError, None),
    (403, "Forbidden"): (ProviderRefusedError, None),
    (403, "InvalidProviderToken"): (ProviderRefusedError, None),
    (403, "MissingProviderToken"): (ProviderRefusedError, None),
    (403, "UnrelatedKeyIdInToken"): (ProviderRefusedError, None),
    (404, "BadPath"): (PermanentPushError, None),
    (405, "MethodNotAllowed"): (PermanentPushError, None),
    (410, "ExpiredToken"): (TokenGoneError, None),
    (410, "Unregistered"): (TokenGoneError, None),
    (413, "PayloadTooLarge"): (PermanentPushError, None),
    (429, "TooManyProviderTokenUpdates"): (ProviderRefusedError, None),
    (429, "TooManyRequests"): (TransientPushError, 60.0),
    (500, "InternalServerError"): (TransientPushError, None),
    (503, "ServiceUnavailable"): (TransientPushError, None),
    (503, "Shutdown"): (TransientPushError, None),
    # Reasons that are newer than the table.
    (400, "NewReason"): (PermanentPushError, None),
    (403, "NewReason"): (ProviderRefusedError, None),
    (410, "NewReason"): (TokenGoneError, None),
    (429, "NewReason"): (TransientPushError, 60.0),
    (502, "NewReason"): (TransientPushError, None),
}


def test_the_golden_table_is_whole() -> None:
    """Each entry of the provider's own table is checked below."""
    assert errors.ANSWERS.keys() <= GOLDEN.keys()
    assert {(status, "NewReason") for status in errors.STATUSES} <= GOLDEN.keys()


async def test_what_apple_answers(apple: Apple) -> None:
    """Exactly that class of error, and the wait; a `Retry-After` asks for more, never for less."""
    for (status, reason), (wanted, wait_s) in GOLDEN.items():
        apple.production.answer = Answer.of(status, {"reason": reason})
        with pytest.raises(PushError) as caught:
            await apple.provider.send(to_iphone())
        assert type(caught.value) is wanted, (status, reason)
        if isinstance(caught.value, TransientPushError):
            assert caught.value.retry_after_s == wait_s, (status, reason)
            apple.production.answer = Answer.of(status, {"reason": reason}, retry_after="120")
            with pytest.raises(TransientPushError) as later:
                await apple.provider.send(to_iphone())
            assert later.value.retry_after_s == 120.0


async def test_since_when_a_token_is_gone(apple: Apple) -> None:
    """410 says it in milliseconds: a token that was registered later stays. Nonsense is no instant."""
    gone = datetime(2026, 1, 30, 12, 0, 0, 250_000, tzinfo=UTC)
    wanted: dict[Any, datetime | None] = {
        int(gone.timestamp() * 1000): gone,
        None: None,
        "yesterday": None,
        10**30: None,
    }
    for timestamp, since in wanted.items():
        apple.production.answer = Answer.of(410, {"reason": "Unregistered", "timestamp": timestamp})
        with pytest.raises(TokenGoneError) as caught:
            await apple.provider.send(to_iphone())
        assert caught.value.since == since


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"BadDeviceToken"', b'{"reason": 5}', b"\xff"])
async def test_an_answer_that_is_no_json_deletes_nothing(body: bytes, apple: Apple) -> None:
    """400 alone says nothing about the token."""
    apple.production.answer = Answer(400, body)
    with pytest.raises(PermanentPushError) as caught:
        await apple.provider.send(to_iphone())
    assert not isinstance(caught.value, TokenGoneError)


@pytest.mark.parametrize(
    "token", ["../../admin", "c0ffee" * 10 + "?x=1", "c0ffee" * 10 + "#", "c0ff", "ż" * 64, TOKEN + "/.."]
)
async def test_what_is_no_token_never_becomes_an_address(token: str, apple: Apple) -> None:
    """Clients register what they like; only hexadecimal digits are sent anywhere."""
    with pytest.raises(TokenGoneError):
        await apple.provider.send(to_iphone(token))
    assert apple.production.asked == []


async def test_pushes_share_one_connection(apple: Apple) -> None:
    """HTTP/2: two hundred at the same time, on one connection, and the next ones, too."""
    for _ in range(2):
        await asyncio.gather(*(apple.provider.send(to_iphone()) for _ in range(100)))
    assert len(apple.production.asked) == 200
    assert len(apple.production.connections) == 1


async def test_after_goodbye_there_is_a_new_connection(apple: Apple) -> None:
    """APNs closes connections now and then (GOAWAY): what was under way is tried again later, the rest goes on."""
    await apple.provider.send(to_iphone())
    apple.production.answer = Answer(hang=True)
    waiting = asyncio.create_task(apple.provider.send(to_iphone()))
    await apple.production.until_asked(2)
    apple.production.goodbye()
    with pytest.raises(TransientPushError):
        await waiting
    apple.production.answer = Answer()
    await apple.provider.send(to_iphone())
    assert len(apple.production.connections) == 2


async def test_pushes_that_are_given_up_do_not_harm_the_others(apple: Apple) -> None:
    """Half of them are cancelled at every possible moment; the others arrive, and so do those that come later."""
    for turns in range(12):
        sends = [asyncio.create_task(apple.provider.send(to_iphone())) for _ in range(40)]
        for _ in range(turns * 3):
            await asyncio.sleep(0)
        for one in sends[::2]:
            one.cancel()
        results = await asyncio.gather(*sends[1::2], return_exceptions=True)
        lost = [one for one in results if not isinstance(one, (str, TransientPushError))]
        assert lost == []
    assert await apple.provider.send(to_iphone())


async def test_closing_does_not_wait_for_an_answer_that_never_comes(apple: Apple) -> None:
    """A push that was given up still has its request; the end of the process ends it."""
    apple.production.answer = Answer(hang=True)
    given_up = asyncio.create_task(apple.provider.send(to_iphone()))
    await apple.production.until_asked(1)
    given_up.cancel()
    async with asyncio.timeout(10):
        await apple.provider.close()
    assert given_up.cancelled()
    assert not any(task.get_name() == "push request" for task in asyncio.all_tasks())


async def test_a_certificate_that_nobody_knows_is_no_apns(tmp_path: Path) -> None:
    """TLS is checked: whoever stands in the way gets no token."""
    path, _ = key_file(tmp_path)
    async with apns_peer(tmp_path) as (peer, _trust):
        provider = ApnsProvider(settings(path), production_url=peer.url, verify=ssl.create_default_context())
        with pytest.raises(TransientPushError):
            await provider.send(to_iphone())
        assert peer.asked == []
        await provider.close()


async def test_no_secret_is_in_a_log_or_an_error(apple: Apple, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the device's token nor the signature, even when everything is logged."""
    caplog.set_level(logging.DEBUG)
    apple.production.answer = Answer.of(400, {"reason": f"BadDeviceToken {TOKEN}"})
    with pytest.raises(PushError) as caught:
        await apple.provider.send(to_iphone())
    signature = apple.production.asked[0].headers["authorization"].split(" ")[1]
    said = caplog.text + repr(caught.value) + repr(apple.provider)
    assert TOKEN not in said
    assert signature not in said


async def test_without_a_device_there_is_nothing_to_send(apple: Apple) -> None:
    """It pushes to tokens; users it does not know."""
    checked: Provider = apple.provider
    with pytest.raises(PermanentPushError):
        await checked.send(push(None))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """At the start, by the variable's name; the key is not quoted."""
    path, key = key_file(tmp_path)
    for variable, changes in (
        ("NATTER_APNS_KEY_PATH", {"apns_key_path": None}),
        ("NATTER_APNS_KEY_ID", {"apns_key_id": ""}),
        ("NATTER_APNS_TEAM_ID", {"apns_team_id": ""}),
        ("NATTER_APNS_KEY_PATH.*cannot be read", {"apns_key_path": tmp_path / "none.p8"}),
    ):
        with pytest.raises(ConfigError, match=variable):
            ApnsProvider(settings(path, **changes))
    wrong = tmp_path / "wrong.p8"
    contents = [
        b"",
        json.dumps({"key": 1}).encode(),
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(public_exponent=65_537, key_size=2_048)),
        pem(key)[:100],
    ]
    for content in contents:
        wrong.write_bytes(content)
        with pytest.raises(ConfigError, match="NATTER_APNS_KEY_PATH") as caught:
            ApnsProvider(settings(wrong))
        assert "BEGIN" not in str(caught.value)


async def test_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variables that the configuration page names."""
    path, _ = key_file(tmp_path)
    monkeypatch.setenv("NATTER_APNS_KEY_PATH", str(path))
    monkeypatch.setenv("NATTER_APNS_KEY_ID", "KEY1234567")
    monkeypatch.delenv("NATTER_APNS_TEAM_ID", raising=False)
    with pytest.raises(ConfigError, match="NATTER_APNS_TEAM_ID"):
        from_environment()
    monkeypatch.setenv("NATTER_APNS_TEAM_ID", "TEAM123456")
    await from_environment().close()
