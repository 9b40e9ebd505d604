"""Web Push over real HTTP: what is sent is read by an implementation of browsers' encryption in node."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from contracts.devices import SubscriptionKeys
from notifier.errors import ConfigError
from notifier.providers.base import (
    PermanentPushError,
    Provider,
    ProviderRefusedError,
    PushError,
    TokenGoneError,
    TransientPushError,
)
from notifier.providers.webpush import errors
from notifier.providers.webpush.client import ANSWER_BYTES_MAX, WebPushProvider, from_environment
from notifier.providers.webpush.endpoints import EndpointForbidden
from notifier.providers.webpush.settings import WebPushSettings
from notifier.push import Priority, Push

from .browser import Browser, browser, install
from .http_peer import Answer, HttpPeer, http_peer
from .pushes import SECRET, browser_target, key_file, push, retraction

PRIVATE_KEY = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
PUBLIC_KEY = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
"""A pair from RFC 8291, appendix A: published, so that nobody uses it."""


def settings(**changes: Any) -> WebPushSettings:
    fields = {"webpush_private_key": PRIVATE_KEY, "webpush_subject": "mailto:push@example.com"}
    return WebPushSettings.model_validate(fields | changes)


@pytest.fixture(scope="session")
def peer_folder(pytestconfig: pytest.Config) -> Path:
    """Where the npm package of the browser is, installed once for each version of its lock file."""
    return install(Path(pytestconfig.cache.mkdir("webpush_peer")))


@pytest.fixture
async def chrome(peer_folder: Path) -> AsyncIterator[Browser]:
    """A browser."""
    async with browser(peer_folder) as found:
        yield found


@pytest.fixture
async def service() -> AsyncIterator[HttpPeer]:
    """A browser's push service; it accepts everything, as RFC 8030 has it, with 201."""
    async with http_peer() as peer:
        peer.answer = Answer(201, headers={"location": f"{peer.url}/m/{SECRET}"})
        yield peer


@pytest.fixture
async def webpush() -> AsyncIterator[WebPushProvider]:
    """A provider that also pushes to this machine."""
    provider = WebPushProvider(settings(), anywhere=True)
    yield provider
    await provider.close()


@pytest.fixture
def keys() -> SubscriptionKeys:
    """Keys of a subscription that nobody will read; RFC 8291, appendix A."""
    return SubscriptionKeys(p256dh=PUBLIC_KEY, auth="BTBZMqHH6r4Tts7J_aSIgg")


def to_page(service: HttpPeer, keys: SubscriptionKeys, path: str = f"/push/{SECRET}1", **changes: Any) -> Push:
    return push(browser_target(service.url + path, keys), **changes)


async def test_the_browser_reads_the_text(webpush: WebPushProvider, service: HttpPeer, chrome: Browser) -> None:
    """Encrypted for this subscription alone; every field is there."""
    one = to_page(service, await chrome.subscribe("a"), priority=Priority.HIGH, retract=("c9",))
    assert await webpush.send(one) is None
    [asked] = service.asked
    assert (asked.method, asked.target) == ("POST", f"/push/{SECRET}1")
    assert await chrome.read("a", asked.body) == {
        "kind": "alert",
        "push_id": one.id,
        "title": "Bob",
        "content": "你好, hello",
        "tag": one.message_id,
        "group": "c1",
        "priority": "high",
        "badge": 3,
        "data": one.data,
        "retract": ["c9"],
    }
    assert b"hello" not in asked.body
    wanted = {"content-encoding": "aes128gcm", "ttl": "86400", "urgency": "high"}
    assert {name: asked.headers[name] for name in wanted} == wanted


async def test_another_subscription_cannot_read_it(
    webpush: WebPushProvider, service: HttpPeer, chrome: Browser
) -> None:
    """Nor is the same text encrypted twice in the same way."""
    keys = await chrome.subscribe("a")
    await chrome.subscribe("b")
    one = to_page(service, keys)
    await webpush.send(one)
    await webpush.send(one)
    first, second = (asked.body for asked in service.asked)
    assert first != second
    # Salt and the sender's public key are new each time.
    assert (first[:16], first[21:86]) != (second[:16], second[21:86])
    assert await chrome.read("a", first) == await chrome.read("a", second)
    with pytest.raises(AssertionError):
        await chrome.read("b", first)


async def test_the_service_sees_who_we_are(webpush: WebPushProvider, service: HttpPeer, chrome: Browser) -> None:
    """VAPID: a signature that node checks with the page's key, for this service, for less than a day."""
    await webpush.send(to_page(service, await chrome.subscribe("a")))
    authorization = service.asked[0].headers["authorization"]
    found = await chrome.verify(authorization)
    assert found["good"]
    assert found["bytes"] == 65
    assert found["header"]["alg"] == "ES256"
    assert found["claims"]["aud"] == service.url
    assert found["claims"]["sub"] == "mailto:push@example.com"
    assert authorization.endswith(f"k={webpush.public_key}")


async def test_two_services_get_claims_of_their_own(webpush: WebPushProvider, chrome: Browser) -> None:
    """The second audience is not the first one's, in whatever order pushes go; each is signed once."""
    keys = await chrome.subscribe("a")
    async with http_peer() as one, http_peer() as two:
        for service in (one, two, one, two):
            await webpush.send(to_page(service, keys))
        for service in (one, two):
            [authorization] = {asked.headers["authorization"] for asked in service.asked}
            found = await chrome.verify(authorization)
            assert (found["good"], found["claims"]["aud"]) == (True, service.url)


async def test_a_long_text_is_shortened_to_one_record(
    webpush: WebPushProvider, service: HttpPeer, chrome: Browser
) -> None:
    """4,096 bytes on the wire, which every service takes, and 3,993 of them are text."""
    await webpush.send(to_page(service, await chrome.subscribe("a"), content='"你\n' * 4_000))
    body = service.asked[0].body
    plain = await chrome.text("a", body)
    assert 3_980 < len(plain.encode()) <= 3_993
    assert len(body) <= 4_096
    assert json.loads(plain)["content"].endswith("…")


async def test_a_retraction(webpush: WebPushProvider, service: HttpPeer, chrome: Browser) -> None:
    """Ids and a badge; under the conversation's topic it takes the place of what a browser has not had yet."""
    keys = await chrome.subscribe("a")
    await webpush.send(to_page(service, keys))
    to = browser_target(f"{service.url}/push/1", keys)
    await webpush.send(retraction(to, "c1"))
    await webpush.send(retraction(to, "c1", "c2"))
    alert, one, two = service.asked
    said = await chrome.read("a", one.body)
    assert (said["kind"], said["retract"], said["badge"]) == ("retraction", ["c1"], 0)
    assert "title" not in said
    assert one.headers["topic"] == alert.headers["topic"]
    assert "topic" not in two.headers


async def test_the_topic_tells_the_service_nothing(
    webpush: WebPushProvider, service: HttpPeer, keys: SubscriptionKeys
) -> None:
    """32 characters of base64url, another for each conversation, and not its id; without one none."""
    for group in ("c1", "c2", None):
        await webpush.send(to_page(service, keys, group=group))
    one, two, none = service.asked
    assert one.headers["topic"] != two.headers["topic"]
    assert len(one.headers["topic"]) == 32
    assert one.headers["topic"].replace("-", "").replace("_", "").isalnum()
    assert "topic" not in none.headers


async def test_safari_gets_no_push_that_shows_nothing(webpush: WebPushProvider, keys: SubscriptionKeys) -> None:
    """It would take the permission away from the page; nothing is sent, and the token stays."""
    with pytest.raises(PermanentPushError, match="Safari") as caught:
        await webpush.send(retraction(browser_target("https://web.push.apple.com/x", keys), "c1"))
    assert not isinstance(caught.value, TokenGoneError)


# RFC 8030, Mozilla, Apple and Microsoft, status by status: what the notifier does after each.
GOLDEN: dict[int, tuple[type[PushError], float | None]] = {
    400: (PermanentPushError, None),
    401: (ProviderRefusedError, None),
    403: (ProviderRefusedError, None),
    404: (TokenGoneError, None),
    405: (PermanentPushError, None),
    406: (TransientPushError, 60.0),
    410: (TokenGoneError, None),
    413: (PermanentPushError, None),
    429: (TransientPushError, 60.0),
    500: (TransientPushError, None),
    502: (TransientPushError, None),
    503: (TransientPushError, None),
    504: (TransientPushError, None),
    # Not documented by anybody.
    301: (PermanentPushError, None),
    307: (PermanentPushError, None),
    408: (TransientPushError, None),
    418: (PermanentPushError, None),
    599: (TransientPushError, None),
}


def test_the_golden_table_is_whole() -> None:
    """Each entry of the provider's own table is checked below."""
    assert errors.ANSWERS.keys() <= GOLDEN.keys()


@pytest.mark.parametrize("status", list(GOLDEN))
async def test_what_services_answer(
    status: int, webpush: WebPushProvider, service: HttpPeer, keys: SubscriptionKeys
) -> None:
    """Exactly that class of error, and the wait; a `Retry-After` asks for more, never for less."""
    wanted, wait_s = GOLDEN[status]
    service.answer = Answer.of(status, {"reason": "Unregistered"}, location=f"{service.url}/elsewhere")
    with pytest.raises(PushError) as caught:
        await webpush.send(to_page(service, keys))
    assert type(caught.value) is wanted
    assert len(service.asked) == 1
    if isinstance(caught.value, TransientPushError):
        assert caught.value.retry_after_s == wait_s
        service.answer = Answer(status, headers={"retry-after": "120"})
        with pytest.raises(TransientPushError) as later:
            await webpush.send(to_page(service, keys))
        assert later.value.retry_after_s == 120.0


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_what_counts_as_accepted(
    status: int, webpush: WebPushProvider, service: HttpPeer, keys: SubscriptionKeys
) -> None:
    """201 by the standard, 200 and 202 by others; the address with which it could be taken back is not kept."""
    service.answer = Answer(status, headers={"location": f"{service.url}/m/{SECRET}"})
    assert await webpush.send(to_page(service, keys)) is None


MISMATCHES = [
    (403, b"the VAPID credentials in the authorization header do not correspond to the credentials used to create "
          b"the subscriptions.\n"),
    (401, b'{"code":401,"errno":109,"error":"Unauthorized","message":"VAPID public key mismatch"}'),
    (400, b'{"reason":"VapidPkHashMismatch"}'),
    (400, b"<HTML><TITLE>UnauthorizedRegistration</TITLE></HTML>"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), MISMATCHES, ids=["google", "mozilla", "apple", "google before"])
async def test_a_subscription_made_for_another_key(
    status: int, body: bytes, webpush: WebPushProvider, service: HttpPeer, keys: SubscriptionKeys
) -> None:
    """Gone, if the service takes our key from others. If it takes it from nobody, the key is wrong, and no token is
    deleted for that."""
    service.answer = Answer(status, body)
    with pytest.raises(ProviderRefusedError):
        await webpush.send(to_page(service, keys, "/wrong"))
    service.answer = Answer(201)
    await webpush.send(to_page(service, keys, "/right"))
    service.answer = Answer(status, body)
    with pytest.raises(TokenGoneError):
        await webpush.send(to_page(service, keys, "/wrong"))


async def test_one_service_that_refuses_us_does_not_stop_the_others(
    webpush: WebPushProvider, service: HttpPeer, keys: SubscriptionKeys
) -> None:
    """While another one takes pushes, a refusal waits by itself."""
    async with http_peer() as refusing:
        refusing.answer = Answer.of(403, {"reason": "BadJwtToken"})
        with pytest.raises(ProviderRefusedError, match="BadJwtToken"):
            await webpush.send(to_page(refusing, keys, "/1"))
        await webpush.send(to_page(service, keys))
        with pytest.raises(TransientPushError) as caught:
            await webpush.send(to_page(refusing, keys, "/2"))
        assert caught.value.retry_after_s == 300.0


async def test_one_subscription_does_not_stop_everybody_again_and_again(
    webpush: WebPushProvider, service: HttpPeer, keys: SubscriptionKeys
) -> None:
    """Whatever is tried after the pause: the second time it is that subscription's own matter."""
    service.answer = Answer(403)
    with pytest.raises(ProviderRefusedError):
        await webpush.send(to_page(service, keys, "/1"))
    with pytest.raises(TransientPushError):
        await webpush.send(to_page(service, keys, "/1"))
    with pytest.raises(ProviderRefusedError):
        await webpush.send(to_page(service, keys, "/2"))


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [("B" + "A" * 86, "BTBZMqHH6r4Tts7J_aSIgg"), ("A" * 87, "BTBZMqHH6r4Tts7J_aSIgg")],
    ids=["not on the curve", "no point"],
)
async def test_keys_that_are_none(p256dh: str, auth: str, webpush: WebPushProvider, service: HttpPeer) -> None:
    """Clients register what they like: nobody could ever read a push to it."""
    with pytest.raises(TokenGoneError) as caught:
        await webpush.send(to_page(service, SubscriptionKeys(p256dh=p256dh, auth=auth)))
    assert p256dh not in repr(caught.value)
    assert service.asked == []


async def test_an_endless_answer_is_not_read_to_its_end(
    webpush: WebPushProvider, service: HttpPeer, keys: SubscriptionKeys
) -> None:
    """The endpoint is not ours."""
    service.answer = Answer(500, b"x" * ANSWER_BYTES_MAX, endless=True)
    async with asyncio.timeout(60):
        for _ in range(3):
            with pytest.raises(TransientPushError):
                await webpush.send(to_page(service, keys))


async def test_nobody_there_is_transient(webpush: WebPushProvider, keys: SubscriptionKeys) -> None:
    """Hanging up, or no such port: the token stays, and the error does not name the subscription."""
    async with http_peer() as service:
        pass
    with pytest.raises(TransientPushError) as caught:
        await webpush.send(to_page(service, keys))
    assert SECRET not in str(caught.value)


async def test_pushes_that_are_given_up_do_not_harm_the_others(
    webpush: WebPushProvider, service: HttpPeer, keys: SubscriptionKeys
) -> None:
    """Half of them are cancelled at many moments; the others arrive, and connections are not lost."""
    for turns in range(10):
        sends = [asyncio.create_task(webpush.send(to_page(service, keys))) for _ in range(40)]
        for _ in range(turns * 3):
            await asyncio.sleep(0)
        for one in sends[::2]:
            one.cancel()
        assert await asyncio.gather(*sends[1::2]) == [None] * 20


async def test_without_the_tests_option_nothing_goes_to_this_machine(service: HttpPeer, keys: SubscriptionKeys) -> None:
    """Neither by address nor by a name that leads here, even if the list allows everything."""
    provider = WebPushProvider(settings(webpush_allowed_hosts="*"))
    with pytest.raises(EndpointForbidden):
        await provider.send(to_page(service, keys))
    for host in ("localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"):
        with pytest.raises(EndpointForbidden, match="open internet") as caught:
            await provider.send(push(browser_target(f"https://{host}/{SECRET}", keys)))
        assert SECRET not in str(caught.value)
    assert service.connections == 0
    await provider.close()


async def test_no_secret_is_in_a_log_or_an_error(
    webpush: WebPushProvider, service: HttpPeer, keys: SubscriptionKeys, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither endpoint nor signature nor keys, even when everything is logged."""
    caplog.set_level(logging.DEBUG)
    service.answer = Answer.of(400, {"reason": f"{SECRET}", "message": service.url + SECRET})
    with pytest.raises(PushError) as caught:
        await webpush.send(to_page(service, keys))
    signature = service.asked[0].headers["authorization"].split("t=")[1].split(",")[0]
    said = caplog.text + repr(caught.value) + repr(webpush) + repr(settings())
    for secret in (SECRET, signature, PRIVATE_KEY, keys.auth):
        assert secret not in said


async def test_without_a_device_there_is_nothing_to_send(
    webpush: WebPushProvider, service: HttpPeer, keys: SubscriptionKeys
) -> None:
    """It pushes to subscriptions; users it does not know, nor subscriptions without keys."""
    checked: Provider = webpush
    with pytest.raises(PermanentPushError):
        await checked.send(push(None))
    with pytest.raises(TokenGoneError):
        await checked.send(push(browser_target(service.url, keys=None)))  # type: ignore[arg-type]


async def test_a_key_from_a_file_or_as_it_is(tmp_path: Path) -> None:
    """32 bytes in base64url, with or without padding, or a PEM file."""
    path, _ = key_file(tmp_path)
    raw = WebPushProvider(settings())
    assert raw.public_key == PUBLIC_KEY
    padded = WebPushProvider(settings(webpush_private_key=PRIVATE_KEY + "="))
    assert padded.public_key == raw.public_key
    from_file = WebPushProvider(settings(webpush_private_key=str(path)))
    assert from_file.public_key != raw.public_key
    assert len(from_file.public_key) == 87
    for one in (raw, padded, from_file):
        await one.close()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"webpush_private_key": ""}, "NATTER_WEBPUSH_PRIVATE_KEY"),
        ({"webpush_private_key": SECRET}, "NATTER_WEBPUSH_PRIVATE_KEY"),
        ({"webpush_private_key": "A" * 43}, "NATTER_WEBPUSH_PRIVATE_KEY"),
        ({"webpush_private_key": "_" * 43}, "NATTER_WEBPUSH_PRIVATE_KEY"),
        ({"webpush_private_key": "\x00"}, "NATTER_WEBPUSH_PRIVATE_KEY"),
        ({"webpush_subject": ""}, "NATTER_WEBPUSH_SUBJECT"),
        ({"webpush_subject": "push@example.com"}, "NATTER_WEBPUSH_SUBJECT"),
        ({"webpush_subject": "mailto: push@example.com"}, "NATTER_WEBPUSH_SUBJECT"),
        ({"webpush_subject": "mailto:root@localhost"}, "NATTER_WEBPUSH_SUBJECT"),
        ({"webpush_subject": "https://"}, "NATTER_WEBPUSH_SUBJECT"),
        ({"webpush_allowed_hosts": " , "}, "NATTER_WEBPUSH_ALLOWED_HOSTS"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, str], named: str) -> None:
    """At the start, by the variable's name; the key is not quoted."""
    with pytest.raises(ConfigError, match=named) as caught:
        WebPushProvider(settings(**changes))
    assert SECRET not in str(caught.value)


def test_the_key_is_no_text_that_could_be_printed() -> None:
    """Settings show stars."""
    assert isinstance(settings().webpush_private_key, SecretStr)
    assert PRIVATE_KEY not in str(settings())


async def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that the configuration page names."""
    monkeypatch.setenv("NATTER_WEBPUSH_PRIVATE_KEY", PRIVATE_KEY)
    monkeypatch.delenv("NATTER_WEBPUSH_SUBJECT", raising=False)
    with pytest.raises(ConfigError, match="NATTER_WEBPUSH_SUBJECT"):
        from_environment()
    monkeypatch.setenv("NATTER_WEBPUSH_SUBJECT", "mailto:push@example.com")
    provider = from_environment()
    assert provider.public_key == PUBLIC_KEY
    await provider.close()
