"""JPush over real HTTP: a server that gives the answers of JPush's documentation."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
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
from notifier.providers.jpush import errors
from notifier.providers.jpush.cids import Cids
from notifier.providers.jpush.client import JPushProvider, from_environment
from notifier.providers.jpush.settings import JPushSettings
from notifier.providers.shared.fitting import PayloadTooLarge, dump
from notifier.push import Priority, Push

from .http_peer import Answer, Asked, HttpPeer, http_peer
from .pushes import SECRET, push, retraction, target

TOKEN = SECRET + "160a3797c853"
ACCEPTED = Answer.of(200, {"sendno": "0", "msg_id": "1828256757"})


class JPush:
    """`/v3/push` and `/v3/push/cid` on one address."""

    def __init__(self, peer: HttpPeer) -> None:
        peer.answers = self.__call__
        self.peer = peer
        self.push_answer = ACCEPTED
        self.cid_answer: Answer | None = None
        self.cids = 0

    def __call__(self, asked: Asked) -> Answer:
        if not asked.target.startswith("/v3/push/cid?"):
            return self.push_answer
        if self.cid_answer is not None:
            return self.cid_answer
        count = int(asked.target.partition("count=")[2])
        self.cids += count
        return Answer.of(200, {"cidlist": [f"key-{number}" for number in range(self.cids - count, self.cids)]})

    @property
    def pushes(self) -> list[Asked]:
        """What came to be pushed."""
        return [asked for asked in self.peer.asked if asked.target == "/v3/push"]


def settings(**changes: Any) -> JPushSettings:
    fields: dict[str, Any] = {"jpush_app_key": "key", "jpush_master_secret": SecretStr(SECRET + "master")}
    return JPushSettings.model_validate(fields | changes)


@pytest.fixture
async def jpush() -> AsyncIterator[JPush]:
    """JPush, as far as pushes need it."""
    async with http_peer() as peer:
        yield JPush(peer)


@pytest.fixture
async def provider(jpush: JPush) -> AsyncIterator[JPushProvider]:
    """A provider for it."""
    found = JPushProvider(
        settings(jpush_channel="chat", jpush_channel_important="urgent"), base_url=jpush.peer.url, cids_timeout_s=30
    )
    yield found
    await found.close()


def to_android(**changes: Any) -> Push:
    return push(target(PushService.JPUSH, TOKEN, platform=Platform.ANDROID), **changes)


def to_iphone(**changes: Any) -> Push:
    return push(target(PushService.JPUSH, TOKEN, platform=Platform.IOS, sandbox=True), **changes)


def failure(status: int, code: int, message: str = "no", **headers: str) -> Answer:
    """An error as JPush words it."""
    return Answer.of(status, {"msg_id": 1, "error": {"code": code, "message": message}}, **headers)


async def test_a_push_as_jpush_wants_it_for_android(jpush: JPush, provider: JPushProvider) -> None:
    """Signature, one device, channel, number on the icon and data; what is important comes on its own channel."""
    ordinary, important = to_android(), to_android(priority=Priority.HIGH, badge=120, ttl_s=10_000_000)
    assert await provider.send(ordinary) == "1828256757"
    await provider.send(important)
    first, second = jpush.pushes
    assert first.headers["authorization"] == "Basic " + base64.b64encode(f"key:{SECRET}master".encode()).decode()
    assert first.json == {
        "cid": "key-0",
        "platform": ["android"],
        "audience": {"registration_id": [TOKEN]},
        "notification": {
            "android": {
                "title": "Bob",
                "alert": "你好, hello",
                "extras": {**ordinary.data, "badge": "3"},
                "channel_id": "chat",
                "badge_set_num": 3,
            }
        },
        "options": {"time_to_live": 86_400},
    }
    android = second.json["notification"]["android"]
    assert (android["channel_id"], android["priority"], android["badge_set_num"]) == ("urgent", 2, 99)
    assert second.json["options"]["time_to_live"] == 864_000


async def test_a_push_as_jpush_wants_it_for_iphones(jpush: JPush, provider: JPushProvider) -> None:
    """Through Apple: which of its two services, one picture for a push that arrives twice, grouped by conversation."""
    asked = to_iphone(priority=Priority.HIGH)
    await provider.send(asked)
    [sent] = jpush.pushes
    assert sent.json["platform"] == ["ios"]
    assert sent.json["notification"]["ios"] == {
        "alert": {"title": "Bob", "body": "你好, hello"},
        "sound": "default",
        "mutable-content": True,
        "extras": {**asked.data, "badge": "3"},
        "badge": 3,
        "thread-id": "c1",
        "interruption-level": "time-sensitive",
    }
    assert sent.json["options"] == {
        "time_to_live": 86_400,
        "apns_production": False,
        "apns_collapse_id": asked.message_id,
    }


async def test_a_retraction_shows_nothing(jpush: JPush, provider: JPushProvider) -> None:
    """Android's app gets a message of its own, an iPhone's is woken up without an alert."""
    await provider.send(retraction(target(PushService.JPUSH, TOKEN, platform=Platform.ANDROID), "c1"))
    await provider.send(retraction(target(PushService.JPUSH, TOKEN, platform=Platform.IOS), "c1", "c2"))
    android, iphone = (asked.json for asked in jpush.pushes)
    assert "notification" not in android
    assert android["message"]["extras"]["retract"] == '["c1"]'
    assert (iphone["notification"]["ios"]["alert"], iphone["notification"]["ios"]["content-available"]) == ("", True)
    assert iphone["notification"]["ios"]["extras"]["retract"] == '["c1","c2"]'
    assert iphone["notification"]["ios"]["extras"]["badge"] == "0"


async def test_a_long_text_is_shortened_to_what_jpush_takes(jpush: JPush, provider: JPushProvider) -> None:
    """The part that is limited is filled, and not one byte more; ids that are too long alone are no push at all."""
    await provider.send(to_iphone(content='"你\n' * 4_000))
    await provider.send(to_android(content='"你\n' * 4_000))
    ios, android = (asked.json["notification"] for asked in jpush.pushes)
    assert 1_990 < len(dump(ios["ios"])) <= 2_000
    assert 3_980 < len(dump(android)) <= 4_000
    assert ios["ios"]["alert"]["body"].endswith("…")
    with pytest.raises(PayloadTooLarge):
        await provider.send(to_iphone(data={"conversation_id": "x" * 2_000}))


# JPush's table of codes, line by line: what the notifier does after each.
GOLDEN: dict[tuple[int, int], tuple[type[PushError], float | None]] = {
    (500, 1000): (TransientPushError, None),
    (405, 1001): (PermanentPushError, None),
    (400, 1002): (PermanentPushError, None),
    (400, 1003): (PermanentPushError, None),
    (401, 1004): (ProviderRefusedError, None),
    (400, 1005): (PermanentPushError, None),
    (400, 1008): (ProviderRefusedError, None),
    (400, 1009): (PermanentPushError, None),
    (400, 1011): (TokenGoneError, None),
    (400, 1012): (TransientPushError, 60.0),
    (404, 1020): (PermanentPushError, None),
    (503, 1030): (TransientPushError, None),
    (429, 2002): (TransientPushError, 60.0),
    (403, 2003): (ProviderRefusedError, None),
    (403, 2004): (ProviderRefusedError, None),
    (403, 2005): (TransientPushError, 600.0),
    (403, 2006): (ProviderRefusedError, None),
    (403, 2007): (ProviderRefusedError, None),
    # Newer than the table, or another server's on the way.
    (400, 9999): (PermanentPushError, None),
    (401, 9999): (ProviderRefusedError, None),
    (403, 9999): (ProviderRefusedError, None),
    (429, 9999): (TransientPushError, 60.0),
    (502, 9999): (TransientPushError, None),
    (307, 9999): (PermanentPushError, None),
}


def test_the_golden_table_is_whole() -> None:
    """Each entry of the provider's own table is checked below."""
    assert errors.ANSWERS.keys() <= GOLDEN.keys()
    assert {(status, 9999) for status in errors.STATUSES} <= GOLDEN.keys()


@pytest.mark.parametrize(("status", "code"), list(GOLDEN))
async def test_what_jpush_answers(status: int, code: int, jpush: JPush, provider: JPushProvider) -> None:
    """Exactly that class of error, and the wait; a `Retry-After` asks for more, never for less."""
    wanted, wait_s = GOLDEN[status, code]
    await provider.send(to_android())
    jpush.push_answer = failure(status, code)
    with pytest.raises(PushError) as caught:
        await provider.send(to_android())
    assert type(caught.value) is wanted
    if isinstance(caught.value, TransientPushError):
        assert caught.value.retry_after_s == wait_s
        jpush.push_answer = failure(status, code, retry_after="700")
        with pytest.raises(TransientPushError) as later:
            await provider.send(to_android())
        assert later.value.retry_after_s == 700.0


async def test_jpush_says_when_calls_are_counted_anew(jpush: JPush, provider: JPushProvider) -> None:
    """`X-Rate-Limit-Reset` in place of `Retry-After`."""
    jpush.push_answer = failure(429, 2002, x_rate_limit_reset="95")
    with pytest.raises(TransientPushError) as caught:
        await provider.send(to_android())
    assert caught.value.retry_after_s == 95.0


async def test_a_token_that_jpush_blames_is_gone_once_another_was_good(jpush: JPush, provider: JPushProvider) -> None:
    """With the AppKey of another application all of them look like that: then none is removed."""
    blamed = (
        failure(400, 1011, "cannot find user by this audience"),
        failure(400, 1003, f"The registration_id {TOKEN} is invalid!"),
    )
    for jpush.push_answer in blamed:
        with pytest.raises(PermanentPushError) as caught:
            await provider.send(to_android())
        assert not isinstance(caught.value, TokenGoneError)
    jpush.push_answer = ACCEPTED
    await provider.send(to_android())
    for jpush.push_answer in blamed:
        with pytest.raises(TokenGoneError) as gone:
            await provider.send(to_android())
        assert TOKEN not in str(gone.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "no"}', b'{"error": {"code": []}}', b"\xff"])
async def test_an_answer_that_is_no_json_removes_nothing(body: bytes, jpush: JPush, provider: JPushProvider) -> None:
    """A proxy's page says nothing about a token."""
    await provider.send(to_android())
    jpush.push_answer = Answer(404, body)
    with pytest.raises(PermanentPushError) as caught:
        await provider.send(to_android())
    assert not isinstance(caught.value, TokenGoneError)
    jpush.push_answer = Answer(200, body)
    assert await provider.send(to_android()) is None


async def test_a_second_attempt_is_the_same_request_to_jpush(jpush: JPush, provider: JPushProvider) -> None:
    """Its answer was lost, or it failed: JPush knows it by its cid, and pushes it once. Another push has another."""
    again = to_android()
    jpush.push_answer = failure(500, 1000)
    with pytest.raises(TransientPushError):
        await provider.send(again)
    jpush.push_answer = ACCEPTED
    await provider.send(again)
    await provider.send(to_android())
    await asyncio.gather(*(provider.send(to_android()) for _ in range(20)))
    cids = [asked.json["cid"] for asked in jpush.pushes]
    assert cids[0] == cids[1]
    assert len(set(cids)) == len(cids) - 1
    assert jpush.cids == 30


async def test_pushes_go_out_without_an_id_if_jpush_gives_none(jpush: JPush, provider: JPushProvider) -> None:
    """And it is not asked again with each of them."""
    jpush.cid_answer = failure(403, 2007)
    for _ in range(3):
        assert await provider.send(to_android()) == "1828256757"
    assert ["cid" in asked.json for asked in jpush.pushes] == [False] * 3
    assert len(jpush.peer.asked) == 4


async def test_an_id_that_does_not_come_keeps_no_push_waiting(jpush: JPush) -> None:
    """JPush takes pushes, and is silent when it is asked for ids."""
    jpush.cid_answer = Answer(hang=True)
    impatient = JPushProvider(settings(), base_url=jpush.peer.url, cids_timeout_s=0.05)
    assert await asyncio.gather(*(impatient.send(to_android()) for _ in range(3))) == ["1828256757"] * 3
    assert ["cid" in asked.json for asked in jpush.pushes] == [False] * 3
    await impatient.close()


async def test_an_old_id_is_not_used() -> None:
    """JPush would not know it any more; and what nobody asks for again is forgotten."""
    now, fetched = 0.0, 0

    async def fetch(count: int) -> list[str]:
        nonlocal fetched
        fetched += count
        return [f"{fetched}-{number}" for number in range(count)]

    cids = Cids(fetch, clock=lambda: now)
    assert await cids.of("p1") == "10-0"
    now += 43_200.0
    assert await cids.of("p1") == "10-0"
    assert await cids.of("p2") == "20-0"
    cids.done("p1")
    assert await cids.of("p1") == "20-1"


async def test_no_secret_is_in_a_log_or_an_error(
    jpush: JPush, provider: JPushProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Device tokens and the master secret stay out of both, even when everything is logged."""
    caplog.set_level(logging.DEBUG)
    await provider.send(to_android())
    jpush.push_answer = failure(400, 1003, f"The registration_id {TOKEN} is invalid!")
    with pytest.raises(PushError) as caught:
        await provider.send(to_android())
    assert SECRET not in caplog.text + repr(caught.value) + str(caught.value) + repr(provider) + repr(settings())


async def test_without_a_device_there_is_nothing_to_send(provider: JPushProvider) -> None:
    """It pushes to registration ids; users it does not know."""
    checked: Provider = provider
    with pytest.raises(PermanentPushError):
        await checked.send(push(None))


async def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, by the variable's name."""
    monkeypatch.delenv("NATTER_JPUSH_APP_KEY", raising=False)
    monkeypatch.delenv("NATTER_JPUSH_MASTER_SECRET", raising=False)
    with pytest.raises(ConfigError, match="NATTER_JPUSH_APP_KEY"):
        from_environment()
    monkeypatch.setenv("NATTER_JPUSH_APP_KEY", "key")
    with pytest.raises(ConfigError, match="NATTER_JPUSH_MASTER_SECRET"):
        from_environment()
    monkeypatch.setenv("NATTER_JPUSH_MASTER_SECRET", SECRET)
    await from_environment().close()
