"""Umeng over real HTTP: a server that checks signatures and gives the answers of Umeng's documentation."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncIterator
from datetime import datetime
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
from notifier.providers.shared.fitting import PayloadTooLarge, dump
from notifier.providers.umeng import errors
from notifier.providers.umeng.client import UmengProvider, from_environment
from notifier.providers.umeng.settings import UmengSettings
from notifier.push import Priority, Push

from .http_peer import Answer, Asked, HttpPeer, http_peer
from .pushes import AT, SECRET, push, retraction, target

TOKEN = (SECRET + "A" * 44)[:44]
ACCEPTED = Answer.of(200, {"ret": "SUCCESS", "data": {"msg_id": "uu07343141897754408310"}})
SECRETS = {"key-android": SECRET + "android", "key-ios": SECRET + "ios"}


def failure(code: int, **headers: str) -> Answer:
    """An error as Umeng words it."""
    return Answer.of(400, {"ret": "FAIL", "data": {"error_code": str(code), "error_msg": "no"}}, **headers)


class Umeng:
    """`/api/send`, which believes nobody without the signature of the application that is named."""

    def __init__(self, peer: HttpPeer) -> None:
        peer.answers = self.__call__
        self.peer = peer
        self.answer = ACCEPTED

    def __call__(self, asked: Asked) -> Answer:
        path, _, query = asked.target.partition("?")
        told = f"POST{self.peer.url}{path}{asked.body.decode()}{SECRETS[asked.json['appkey']]}"
        if query != f"sign={hashlib.md5(told.encode()).hexdigest()}":
            return failure(2027)
        return self.answer


def settings(**changes: Any) -> UmengSettings:
    fields: dict[str, Any] = {
        "umeng_android_app_key": "key-android",
        "umeng_android_master_secret": SecretStr(SECRETS["key-android"]),
        "umeng_ios_app_key": "key-ios",
        "umeng_ios_master_secret": SecretStr(SECRETS["key-ios"]),
    }
    return UmengSettings.model_validate(fields | changes)


@pytest.fixture
async def umeng() -> AsyncIterator[Umeng]:
    """Umeng, as far as pushes need it."""
    async with http_peer() as peer:
        yield Umeng(peer)


def at() -> datetime:
    return AT


@pytest.fixture
async def provider(umeng: Umeng) -> AsyncIterator[UmengProvider]:
    """A provider for it."""
    found = UmengProvider(settings(), base_url=umeng.peer.url, now=at)
    yield found
    await found.close()


def to_android(**changes: Any) -> Push:
    return push(target(PushService.UMENG, TOKEN, platform=Platform.ANDROID), **changes)


def to_iphone(**changes: Any) -> Push:
    return push(target(PushService.UMENG, TOKEN, platform=Platform.IOS, sandbox=True), **changes)


async def test_a_push_as_umeng_wants_it_for_android(umeng: Umeng, provider: UmengProvider) -> None:
    """Signed with Android's secret; its end by the clock of China, at least a minute and at most a week away."""
    asked = to_android()
    assert await provider.send(asked) == "uu07343141897754408310"
    await provider.send(to_android(ttl_s=0))
    await provider.send(to_android(ttl_s=10_000_000))
    first, *others = (sent.json for sent in umeng.peer.asked)
    assert first == {
        "appkey": "key-android",
        "timestamp": str(int(AT.timestamp())),
        "type": "unicast",
        "device_tokens": TOKEN,
        "production_mode": "true",
        "policy": {"expire_time": "2026-02-01 16:15:30"},
        "category": 1,
        "description": "alert",
        "thirdparty_id": asked.id,
        "payload": {
            "display_type": "notification",
            "body": {"ticker": "Bob", "title": "Bob", "text": "你好, hello", "after_open": "go_app", "set_badge": 3},
            "extra": {**asked.data, "badge": "3"},
        },
    }
    assert [one["policy"]["expire_time"] for one in others] == ["2026-01-31 16:16:30", "2026-02-07 15:15:30"]


async def test_a_number_on_the_icon_that_umeng_takes(umeng: Umeng, provider: UmengProvider) -> None:
    """From 1 to 99 on Android, and none if there is nothing to count."""
    for badge in (0, 1, 120, None):
        await provider.send(to_android(badge=badge))
    assert [sent.json["payload"]["body"].get("set_badge") for sent in umeng.peer.asked] == [None, 1, 99, None]


async def test_keys_that_are_taken_stay_out(umeng: Umeng, provider: UmengProvider) -> None:
    """Beside `aps` Umeng refuses `d` and `p`, and what Apple reads is not the data's to say."""
    await provider.send(to_iphone(data={"d": "1", "p": "2", "aps": "3", "action": "open"}))
    payload = umeng.peer.asked[0].json["payload"]
    assert payload.keys() == {"aps", "action", "badge"}
    assert payload["aps"]["alert"]["title"] == "Bob"


async def test_a_push_as_umeng_wants_it_for_iphones(umeng: Umeng, provider: UmengProvider) -> None:
    """Signed with the other application's secret, in Apple's form, to the service that the build belongs to."""
    asked = to_iphone(priority=Priority.HIGH)
    await provider.send(asked)
    sent = umeng.peer.asked[0].json
    assert (sent["appkey"], sent["production_mode"]) == ("key-ios", "false")
    assert sent["policy"]["apns_collapse_id"] == asked.message_id
    assert sent["payload"] == {
        **asked.data,
        "badge": "3",
        "aps": {
            "alert": {"title": "Bob", "body": "你好, hello"},
            "sound": "default",
            "mutable-content": 1,
            "badge": 3,
            "thread-id": "c1",
            "interruption-level": "time-sensitive",
        },
    }


async def test_makers_of_phones_bring_what_opens_the_named_activity(umeng: Umeng) -> None:
    """Only if it is set, on Android, and only what is shown."""
    found = UmengProvider(settings(umeng_mi_activity="com.example.Open"), base_url=umeng.peer.url, now=at)
    await found.send(to_android())
    await found.send(to_iphone())
    await found.send(retraction(target(PushService.UMENG, TOKEN, platform=Platform.ANDROID), "c1"))
    await found.close()
    android, iphone, back = (sent.json for sent in umeng.peer.asked)
    assert (android["mipush"], android["mi_activity"]) == ("true", "com.example.Open")
    assert android["channel_properties"] == {"channel_activity": "com.example.Open"}
    assert not {"channel_properties", "mi_activity"} & (iphone.keys() | back.keys())
    assert "mipush" not in iphone
    assert "mipush" not in back


async def test_a_retraction_shows_nothing(umeng: Umeng, provider: UmengProvider) -> None:
    """Android's app gets a message of its own, an iPhone's is woken up."""
    await provider.send(retraction(target(PushService.UMENG, TOKEN, platform=Platform.ANDROID), "c1"))
    await provider.send(retraction(target(PushService.UMENG, TOKEN, platform=Platform.IOS), "c1", "c2"))
    android, iphone = (sent.json["payload"] for sent in umeng.peer.asked)
    assert android["display_type"] == "message"
    assert android["body"]["custom"]["retract"] == '["c1"]'
    assert iphone["aps"] == {"content-available": 1}
    assert iphone["retract"] == '["c1","c2"]'


async def test_a_long_text_is_shortened_to_what_umeng_takes(umeng: Umeng, provider: UmengProvider) -> None:
    """The part that is limited is filled, and not one byte more; ids that are too long alone are no push at all."""
    for asked in (
        to_android(content='"你\n' * 4_000),
        to_iphone(content='"你\n' * 4_000),
        to_android(title="名" * 900),
    ):
        await provider.send(asked)
    bodies = [sent.json["payload"] for sent in umeng.peer.asked]
    assert all(1_825 < len(dump(payload)) <= 1_840 for payload in bodies)
    assert bodies[0]["body"]["text"].endswith("…")
    assert len(bodies[2]["body"]["ticker"].encode()) <= 60
    with pytest.raises(PayloadTooLarge):
        await provider.send(to_android(data={"conversation_id": "x" * 1_840}))


# Umeng's table of codes, as far as pushes to one device can meet it: what the notifier does after each.
PERMANENT_CODES = [1000, 1001, 1002, 1003, 1004, 1005, 1007, 1008, 1009, 1010, 1015, 1016, 1019, 1022, 1024, 1026]
PERMANENT_CODES += [1027, 2003, 2008, 2022, 2025, 2036, 2039, 2040, 2048, 2052, 5002, 9999]
REFUSED_CODES = [1020, 2000, 2004, 2006, 2007, 2021, 2027, 2028, 2054]
REFUSED_CODES += [2032, 2033, 2034, 2035, 5001, 5007, 5008, 5009, 5010, 6002]
GOLDEN: dict[int, tuple[type[PushError], float | None]] = {
    **dict.fromkeys(PERMANENT_CODES, (PermanentPushError, None)),
    **dict.fromkeys(REFUSED_CODES, (ProviderRefusedError, None)),
    2050: (TransientPushError, 60.0),
    6003: (TransientPushError, None),
    6004: (TransientPushError, None),
}


def test_the_golden_table_is_whole() -> None:
    """Each entry of the provider's own table is checked below."""
    assert errors.ANSWERS.keys() <= GOLDEN.keys()


@pytest.mark.parametrize("code", list(GOLDEN))
async def test_what_umeng_answers(code: int, umeng: Umeng, provider: UmengProvider) -> None:
    """Exactly that class of error, and the wait; a `Retry-After` asks for more, never for less."""
    wanted, wait_s = GOLDEN[code]
    umeng.answer = failure(code)
    with pytest.raises(PushError) as caught:
        await provider.send(to_android())
    assert type(caught.value) is wanted
    assert str(caught.value) == f"Umeng: 400, code {code}"
    if isinstance(caught.value, TransientPushError):
        assert caught.value.retry_after_s == wait_s
        umeng.answer = failure(code, retry_after="120")
        with pytest.raises(TransientPushError) as later:
            await provider.send(to_android())
        assert later.value.retry_after_s == 120.0


@pytest.mark.parametrize(
    ("status", "wanted", "wait_s"),
    [
        (307, PermanentPushError, None),
        (401, ProviderRefusedError, None),
        (403, ProviderRefusedError, None),
        (404, PermanentPushError, None),
        (429, TransientPushError, 60.0),
        (502, TransientPushError, None),
    ],
)
async def test_what_another_server_answers(
    status: int, wanted: type[PushError], wait_s: float | None, umeng: Umeng, provider: UmengProvider
) -> None:
    """Without a code of Umeng's: a front door or a proxy, which removes no device."""
    umeng.answer = Answer(status, b"<html>")
    with pytest.raises(PushError) as caught:
        await provider.send(to_android())
    assert type(caught.value) is wanted
    assert getattr(caught.value, "retry_after_s", None) == wait_s


@pytest.mark.parametrize("code", [2000, 2021, 2027, 2054])
async def test_the_only_application_stops_the_provider_at_once(code: int, umeng: Umeng) -> None:
    """Although it was good a moment ago: the queue waits, and uses up no attempts. With a second one it goes on."""
    one = settings(umeng_ios_app_key="", umeng_ios_master_secret="")
    for fields, wanted in ((one, ProviderRefusedError), (settings(), TransientPushError)):
        umeng.answer = ACCEPTED
        found = UmengProvider(fields, base_url=umeng.peer.url, now=at)
        await found.send(to_android())
        umeng.answer = failure(code)
        with pytest.raises(wanted):
            await found.send(to_android())
        await found.close()


async def test_a_wrong_secret_stops_the_provider(umeng: Umeng) -> None:
    """Umeng checks what was signed: another secret is another signature."""
    wrong = settings(umeng_android_master_secret=SecretStr("another"), umeng_ios_app_key="", umeng_ios_master_secret="")
    found = UmengProvider(wrong, base_url=umeng.peer.url, now=at)
    with pytest.raises(ProviderRefusedError, match="code 2027"):
        await found.send(to_android())
    await found.close()


async def test_what_is_wrong_with_one_application_does_not_stop_the_other(
    umeng: Umeng, provider: UmengProvider
) -> None:
    """Apple's certificate has run out: once Android's push was taken, iPhones' pushes alone wait."""
    await provider.send(to_android())
    umeng.answer = failure(2034)
    with pytest.raises(TransientPushError) as caught:
        await provider.send(to_iphone())
    assert caught.value.retry_after_s == 300.0


@pytest.mark.parametrize("token", ["", "short", TOKEN + "," + TOKEN, "x" * 129, "y" * 43 + '"'])
async def test_what_is_no_token_is_not_sent(token: str, umeng: Umeng, provider: UmengProvider) -> None:
    """Two tokens with a comma would be two devices."""
    with pytest.raises(TokenGoneError):
        await provider.send(push(target(PushService.UMENG, token, platform=Platform.ANDROID)))
    assert umeng.peer.asked == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"ret": "FAIL"}', b'{"data": 5}', b"\xff"])
async def test_an_answer_that_is_no_json_is_no_acceptance(body: bytes, umeng: Umeng, provider: UmengProvider) -> None:
    """A proxy's page with 200 has pushed nothing."""
    umeng.answer = Answer(200, body)
    with pytest.raises(TransientPushError):
        await provider.send(to_android())
    umeng.answer = Answer(502, body)
    with pytest.raises(TransientPushError):
        await provider.send(to_android())
    umeng.answer = Answer(200, json.dumps({"ret": "SUCCESS"}).encode())
    assert await provider.send(to_android()) is None


async def test_no_secret_is_in_a_log_or_an_error(
    umeng: Umeng, provider: UmengProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Device tokens, secrets and signatures stay out of both, even when everything is logged."""
    caplog.set_level(logging.DEBUG)
    await provider.send(to_android())
    umeng.answer = failure(2027)
    with pytest.raises(PushError) as caught:
        await provider.send(to_android())
    said = caplog.text + repr(caught.value) + str(caught.value) + repr(vars(provider)) + repr(settings())
    assert SECRET not in said
    assert "sign=" not in said


async def test_only_what_has_an_application_is_sent(umeng: Umeng) -> None:
    """Devices of the other kind fail by themselves, and keep their token; so do users without a device."""
    only_android = settings(umeng_ios_app_key="", umeng_ios_master_secret="")
    found = UmengProvider(only_android, base_url=umeng.peer.url, now=at)
    checked: Provider = found
    with pytest.raises(PermanentPushError, match="no application for ios") as caught:
        await checked.send(to_iphone())
    assert not isinstance(caught.value, TokenGoneError)
    with pytest.raises(PermanentPushError):
        await checked.send(push(None))
    assert await checked.send(to_android()) == "uu07343141897754408310"
    await found.close()


async def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, by the variable's name: a key without its secret, a secret without its key, or nothing at all."""
    for platform in ("ANDROID", "IOS"):
        monkeypatch.delenv(f"NATTER_UMENG_{platform}_APP_KEY", raising=False)
        monkeypatch.delenv(f"NATTER_UMENG_{platform}_MASTER_SECRET", raising=False)
    with pytest.raises(ConfigError, match="NATTER_UMENG_ANDROID_APP_KEY or NATTER_UMENG_IOS_APP_KEY"):
        from_environment()
    monkeypatch.setenv("NATTER_UMENG_IOS_APP_KEY", "key")
    with pytest.raises(ConfigError, match="needs NATTER_UMENG_IOS_MASTER_SECRET"):
        from_environment()
    monkeypatch.setenv("NATTER_UMENG_IOS_MASTER_SECRET", SECRET)
    await from_environment().close()
    monkeypatch.setenv("NATTER_UMENG_ANDROID_MASTER_SECRET", SECRET)
    with pytest.raises(ConfigError, match="needs NATTER_UMENG_ANDROID_APP_KEY"):
        from_environment()
