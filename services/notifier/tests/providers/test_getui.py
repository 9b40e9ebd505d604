"""Getui over real HTTP: a server that gives the answers of Getui's documentation."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

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
from notifier.providers.getui import errors
from notifier.providers.getui.client import GetuiProvider, from_environment
from notifier.providers.getui.payload import notify_id
from notifier.providers.getui.settings import GetuiSettings
from notifier.providers.shared.fitting import PayloadTooLarge
from notifier.push import Priority, Push

from .http_peer import Answer, Asked, HttpPeer, http_peer
from .pushes import SECRET, push, retraction, target

TOKEN = SECRET + "b4c5d6e7f8"


def accepted(outcome: str = "successed_online") -> Answer:
    """What became of a push, as Getui says it."""
    return Answer.of(200, {"code": 0, "msg": "success", "data": {"RASS_0131_1": {TOKEN: outcome}}})


def failure(status: int, code: int, message: str = "no", **headers: str) -> Answer:
    """An error as Getui words it."""
    return Answer.of(status, {"code": code, "msg": message, "data": {}}, **headers)


class Clock:
    """The time of day, which a test can put forward."""

    ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Getui:
    """`/auth` and `/push/single/cid` of an application."""

    def __init__(self, peer: HttpPeer) -> None:
        peer.answers = self.__call__
        self.peer = peer
        self.clock = Clock()
        self.push_answer = accepted()
        self.token_answer: Answer | None = None
        self.only: str | None = None
        """The access token that is good; None: each."""
        self.tokens = 0

    def __call__(self, asked: Asked) -> Answer:
        if asked.target == "/v2/app-1/auth":
            self.tokens += 1
            ends = str(int((self.clock() + timedelta(days=1)).timestamp() * 1_000))
            data = {"token": f"{SECRET}access-{self.tokens}", "expire_time": ends}
            return self.token_answer or Answer.of(200, {"code": 0, "msg": "success", "data": data})
        if self.only is not None and asked.headers["token"] != self.only:
            return failure(401, 10001, "token is invalid")
        return self.push_answer

    @property
    def pushes(self) -> list[Asked]:
        """What came to be pushed."""
        return [asked for asked in self.peer.asked if asked.target == "/v2/app-1/push/single/cid"]


def settings(**changes: Any) -> GetuiSettings:
    fields = {"getui_app_id": "app-1", "getui_app_key": "key", "getui_master_secret": SecretStr(SECRET + "master")}
    return GetuiSettings.model_validate(fields | changes)


@pytest.fixture
async def getui() -> AsyncIterator[Getui]:
    """Getui, as far as pushes need it."""
    async with http_peer() as peer:
        yield Getui(peer)


@pytest.fixture
async def provider(getui: Getui) -> AsyncIterator[GetuiProvider]:
    """A provider for it."""
    found = GetuiProvider(
        settings(getui_channel="chat", getui_channel_important="urgent"), base_url=getui.peer.url, now=getui.clock
    )
    yield found
    await found.close()


def to_android(**changes: Any) -> Push:
    return push(target(PushService.GETUI, TOKEN, platform=Platform.ANDROID), **changes)


def to_iphone(**changes: Any) -> Push:
    return push(target(PushService.GETUI, TOKEN, platform=Platform.IOS), **changes)


async def test_a_push_as_getui_wants_it_for_android(getui: Getui, provider: GetuiProvider) -> None:
    """For an app that runs and for one that does not; the same push again has the same number and the same id."""
    asked = to_android()
    assert await provider.send(asked) == "RASS_0131_1"
    await provider.send(to_android(priority=Priority.HIGH, ttl_s=10_000_000))
    first, second = getui.pushes
    notification = {
        "title": "Bob",
        "body": "你好, hello",
        "click_type": "payload",
        "payload": json.dumps({**asked.data, "badge": "3"}, separators=(",", ":"), ensure_ascii=False),
        "notify_id": notify_id(asked.message_id),
    }
    assert first.json == {
        "request_id": asked.id.replace("-", ""),
        "settings": {"ttl": 86_400_000, "strategy": {"default": 1, "ios": 4}},
        "audience": {"cid": [TOKEN]},
        "push_message": {"notification": {**notification, "channel_id": "chat", "thread_id": "c1"}},
        "push_channel": {"android": {"ups": {"notification": notification}}},
    }
    assert len(first.json["request_id"]) == 32
    assert second.json["settings"]["ttl"] == 259_200_000
    assert second.json["push_message"]["notification"]["channel_id"] == "urgent"
    assert 0 <= notify_id(asked.message_id) == notify_id(asked.message_id) < 2**31 != notify_id("another")


async def test_a_push_as_getui_wants_it_for_iphones(getui: Getui, provider: GetuiProvider) -> None:
    """Through Apple: badge as it is now, grouped by conversation; an app that runs gets the data."""
    asked = to_iphone(ttl_s=0)
    await provider.send(asked)
    [sent] = getui.pushes
    payload = json.dumps({**asked.data, "badge": "3"}, separators=(",", ":"), ensure_ascii=False)
    assert sent.json["settings"]["ttl"] == -1
    assert sent.json["push_message"] == {"transmission": payload}
    assert sent.json["push_channel"] == {
        "ios": {
            "type": "notify",
            "payload": payload,
            "aps": {
                "alert": {"title": "Bob", "body": "你好, hello"},
                "content-available": 0,
                "sound": "default",
                "thread-id": "c1",
            },
            "apns-collapse-id": asked.message_id,
            "auto_badge": "3",
        }
    }


async def test_a_retraction_shows_nothing(getui: Getui, provider: GetuiProvider) -> None:
    """Android's app gets data alone, an iPhone's is woken up."""
    await provider.send(retraction(target(PushService.GETUI, TOKEN, platform=Platform.ANDROID), "c1"))
    await provider.send(retraction(target(PushService.GETUI, TOKEN, platform=Platform.IOS), "c1", "c2"))
    android, iphone = (asked.json for asked in getui.pushes)
    assert json.loads(android["push_message"]["transmission"])["retract"] == '["c1"]'
    assert "push_channel" not in android
    assert iphone["push_channel"]["ios"]["aps"] == {"content-available": 1}
    assert json.loads(iphone["push_channel"]["ios"]["payload"])["retract"] == '["c1","c2"]'


async def test_a_long_text_is_shortened_to_what_getui_takes(getui: Getui, provider: GetuiProvider) -> None:
    """50 characters of title, 256 of text; ids that are too long alone are no push at all."""
    await provider.send(to_android(title="名" * 60, content="👍" * 200))
    sent = getui.pushes[0].json["push_message"]["notification"]
    assert sent["title"] == "名" * 49 + "…"
    assert sent["body"] == "👍" * 127 + "…"
    with pytest.raises(PayloadTooLarge):
        await provider.send(to_android(data={"conversation_id": "x" * 3_072}))


async def test_the_access_token_is_asked_for_with_a_signature(getui: Getui, provider: GetuiProvider) -> None:
    """SHA-256 of key, time and secret; the secret itself stays here. All pushes that come at once fetch one token."""
    await asyncio.gather(*(provider.send(to_android()) for _ in range(20)))
    assert getui.tokens == 1
    asked = getui.peer.asked[0].json
    signed = hashlib.sha256(f"key{asked['timestamp']}{SECRET}master".encode()).hexdigest()
    assert (asked["appkey"], asked["sign"]) == ("key", signed)
    assert abs(int(asked["timestamp"]) / 1_000 - datetime.now(UTC).timestamp()) < 60
    assert {push.headers["token"] for push in getui.pushes} == {f"{SECRET}access-1"}
    assert all(SECRET not in asked.body.decode().replace(TOKEN, "") for asked in getui.peer.asked)


async def test_the_access_token_is_renewed_before_its_end(getui: Getui, provider: GetuiProvider) -> None:
    """Shortly before, pushes go on with the old one while the next one comes; if that fails, with the old one."""
    await provider.send(to_android())
    getui.token_answer = failure(401, 10003)
    getui.clock.ahead = timedelta(hours=23, minutes=30)
    for _ in range(20):
        await provider.send(to_android())
    assert getui.tokens == 2
    assert {push.headers["token"] for push in getui.pushes} == {f"{SECRET}access-1"}


async def test_a_token_that_ended_early_is_fetched_anew_at_once(getui: Getui, provider: GetuiProvider) -> None:
    """10001: the same push goes out with the next one; and when that is no good either, it is tried later."""
    await provider.send(to_android())
    getui.only = f"{SECRET}access-2"
    assert await provider.send(to_android()) == "RASS_0131_1"
    assert getui.tokens == 2
    getui.only = "nothing"
    with pytest.raises(TransientPushError):
        await provider.send(to_android())
    assert getui.tokens == 3


@pytest.mark.parametrize(
    ("answer", "wanted", "wait_s"),
    [
        (failure(400, 20001, "sign is invalid"), ProviderRefusedError, None),
        (failure(401, 10002), ProviderRefusedError, None),
        (failure(404, 404), ProviderRefusedError, None),
        (failure(401, 10003), TransientPushError, 60.0),
        (failure(429, 1, retry_after="90"), TransientPushError, 90.0),
        (failure(503, 1), TransientPushError, None),
        (failure(200, 2), TransientPushError, None),
        (Answer(200, b"<html>"), TransientPushError, None),
        (Answer.of(200, {"code": 0, "data": {"token": "t", "expire_time": "soon"}}), TransientPushError, None),
    ],
)
async def test_without_an_access_token_nothing_goes_out(
    answer: Answer, wanted: type[PushError], wait_s: float | None, getui: Getui, provider: GetuiProvider
) -> None:
    """Wrong credentials stop the provider; each push says so, and Getui is asked once, not once for each of them."""
    getui.token_answer = answer
    for _ in range(3):
        with pytest.raises(wanted) as caught:
            await provider.send(to_android())
        assert type(caught.value) is wanted
        if isinstance(caught.value, TransientPushError):
            assert caught.value.retry_after_s == wait_s
    assert getui.tokens == 1
    assert getui.pushes == []


async def test_a_push_that_is_given_up_takes_the_token_from_nobody(getui: Getui, provider: GetuiProvider) -> None:
    """The first one is cancelled while it fetches the token; the others get it."""
    first = asyncio.create_task(provider.send(to_android()))
    others = [asyncio.create_task(provider.send(to_android())) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    assert await asyncio.gather(*others) == ["RASS_0131_1"] * 5
    assert first.cancelled()
    assert getui.tokens == 1


# Getui's table of codes, line by line: what the notifier does after each.
GOLDEN: dict[tuple[int, int], tuple[type[PushError], float | None]] = {
    (200, 1): (PermanentPushError, None),
    (200, 2): (TransientPushError, None),
    (200, 301): (ProviderRefusedError, None),
    (404, 404): (PermanentPushError, None),
    (405, 405): (PermanentPushError, None),
    (401, 10001): (TransientPushError, None),
    (401, 10002): (ProviderRefusedError, None),
    (401, 10003): (TransientPushError, 60.0),
    (401, 10004): (PermanentPushError, None),
    (401, 10005): (TransientPushError, 60.0),
    (400, 20001): (PermanentPushError, None),
    # Newer than the table, or another server's on the way.
    (200, 9999): (TransientPushError, None),
    (400, 9999): (PermanentPushError, None),
    (401, 9999): (ProviderRefusedError, None),
    (403, 9999): (ProviderRefusedError, None),
    (502, 9999): (TransientPushError, None),
    (307, 9999): (PermanentPushError, None),
}


def test_the_golden_table_is_whole() -> None:
    """Each entry of the provider's own table is checked below."""
    assert errors.ANSWERS.keys() <= GOLDEN.keys()
    assert {(status, 9999) for status in errors.STATUSES} <= GOLDEN.keys()


@pytest.mark.parametrize(("status", "code"), list(GOLDEN))
async def test_what_getui_answers(status: int, code: int, getui: Getui, provider: GetuiProvider) -> None:
    """Exactly that class of error, and the wait; a `Retry-After` asks for more, never for less."""
    wanted, wait_s = GOLDEN[status, code]
    await provider.send(to_android())
    getui.push_answer = failure(status, code)
    with pytest.raises(PushError) as caught:
        await provider.send(to_android())
    assert type(caught.value) is wanted
    if isinstance(caught.value, TransientPushError):
        assert caught.value.retry_after_s == wait_s
        getui.push_answer = failure(status, code, retry_after="120")
        with pytest.raises(TransientPushError) as later:
            await provider.send(to_android())
        assert later.value.retry_after_s == 120.0


async def test_a_cid_that_getui_does_not_know_is_gone_once_another_was_good(
    getui: Getui, provider: GetuiProvider
) -> None:
    """With another application's key all of them look like that: then none is removed."""
    getui.push_answer = failure(400, 20001, "target user is invalid")
    with pytest.raises(PermanentPushError) as caught:
        await provider.send(to_android())
    assert not isinstance(caught.value, TokenGoneError)
    getui.push_answer = accepted()
    await provider.send(to_android())
    getui.push_answer = failure(400, 20001, "target user is invalid")
    with pytest.raises(TokenGoneError):
        await provider.send(to_android())


async def test_an_app_that_nobody_opens_gets_nothing_and_keeps_its_token(getui: Getui, provider: GetuiProvider) -> None:
    """`successed_ignore` is no acceptance, whatever its status says."""
    getui.push_answer = accepted("successed_ignore")
    with pytest.raises(PermanentPushError, match="90 days") as caught:
        await provider.send(to_android())
    assert not isinstance(caught.value, TokenGoneError)
    getui.push_answer = accepted("successed_offline")
    assert await provider.send(to_android()) == "RASS_0131_1"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"code": "no"}', b'{"code": []}', b"\xff"])
async def test_an_answer_that_is_no_json_is_no_acceptance(body: bytes, getui: Getui, provider: GetuiProvider) -> None:
    """A proxy's page with 200 has pushed nothing, and says nothing about a token."""
    getui.push_answer = Answer(200, body)
    with pytest.raises(TransientPushError):
        await provider.send(to_android())
    getui.push_answer = Answer(404, body)
    with pytest.raises(PermanentPushError) as caught:
        await provider.send(to_android())
    assert not isinstance(caught.value, TokenGoneError)
    getui.push_answer = Answer.of(200, {"code": 0, "data": {"task": []}})
    assert await provider.send(to_android()) == "task"


async def test_no_secret_is_in_a_log_or_an_error(
    getui: Getui, provider: GetuiProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Device tokens, access tokens and the master secret stay out of both, even when everything is logged."""
    caplog.set_level(logging.DEBUG)
    await provider.send(to_android())
    getui.push_answer = failure(400, 20001, f"target user is invalid: {TOKEN}")
    with pytest.raises(PushError) as caught:
        await provider.send(to_android())
    assert SECRET not in caplog.text + repr(caught.value) + str(caught.value) + repr(provider) + repr(settings())


async def test_without_a_device_there_is_nothing_to_send(provider: GetuiProvider) -> None:
    """It pushes to cids; users it does not know."""
    checked: Provider = provider
    with pytest.raises(PermanentPushError):
        await checked.send(push(None))


async def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, by the variable's name."""
    names = ("NATTER_GETUI_APP_ID", "NATTER_GETUI_APP_KEY", "NATTER_GETUI_MASTER_SECRET")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name in names:
        with pytest.raises(ConfigError, match=name):
            from_environment()
        monkeypatch.setenv(name, SECRET)
    await from_environment().close()
