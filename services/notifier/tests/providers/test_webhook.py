"""The webhook, posted to a real server and verified by an independent implementation of Standard Webhooks."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from contracts.devices import PushService
from notifier.errors import ConfigError
from notifier.providers.base import PermanentPushError, ProviderRefusedError, TransientPushError
from notifier.providers.webhook.client import WebhookProvider
from notifier.providers.webhook.settings import WebhookSettings

from .http_peer import Answer, http_peer
from .pushes import push, retraction, target

SECRET = "whsec_" + base64.b64encode(b"canary-secret-of-thirty-two-byte").decode()
OTHER = "whsec_" + base64.b64encode(b"another-secret-of-thirty-two-byt").decode()


def provider(url: str, secret: str = SECRET, **changes: Any) -> WebhookProvider:
    """One that posts to this address."""
    return WebhookProvider(WebhookSettings(webhook_url=url, webhook_secret=SecretStr(secret), **changes))


async def test_what_is_posted_can_be_verified() -> None:
    """Id, time and signature as the standard says; title, text, data and device, and no token."""
    async with http_peer() as peer:
        sender = provider(f"{peer.url}/hook")
        asked = push(target(PushService.FCM, "canary-secret-token"))
        assert await sender.send(asked) is None
        await sender.send(asked)
        await sender.close()
    first, second = peer.asked
    told = Webhook(SECRET).verify(first.body.decode(), first.headers)
    assert told["type"] == "push.alert"
    data = told["data"]
    assert (data["user_id"], data["title"], data["content"], data["badge"]) == ("alice", "Bob", "你好, hello", 3)
    assert data["device"]["push_service"] == "fcm"
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == asked.id
    assert b"canary-secret-token" not in first.body
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(first.body.decode().replace("Bob", "Eve"), first.headers)


async def test_two_secrets_are_both_good_while_one_replaces_the_other() -> None:
    """A receiver that knows either of them can verify."""
    async with http_peer() as peer:
        sender = provider(f"{peer.url}/hook", f"{SECRET} {OTHER}")
        await sender.send(push(None))
        await sender.close()
    [asked] = peer.asked
    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify(asked.body.decode(), asked.headers)["data"]["device"] is None


async def test_tokens_are_posted_only_if_asked_for() -> None:
    """And a retraction says which conversations."""
    async with http_peer() as peer:
        sender = provider(f"{peer.url}/hook", webhook_tokens=True)
        await sender.send(retraction(target(PushService.FCM, "t-1"), "c1", "c2"))
        await sender.close()
    told = json.loads(peer.asked[0].body)
    assert (told["type"], told["data"]["retract"], told["data"]["device"]["token"]) == (
        "push.retraction",
        ["c1", "c2"],
        "t-1",
    )


@pytest.mark.parametrize(
    ("answer", "error", "retry_after_s"),
    [
        (Answer(200), None, None),
        (Answer(204), None, None),
        (Answer(301, headers={"location": "/elsewhere"}), TransientPushError, None),
        (Answer(400), PermanentPushError, None),
        (Answer(401), ProviderRefusedError, None),
        (Answer(404), PermanentPushError, None),
        (Answer(408), TransientPushError, None),
        (Answer(410), ProviderRefusedError, None),
        (Answer(422), PermanentPushError, None),
        (Answer(429, headers={"retry-after": "7"}), TransientPushError, 7.0),
        (Answer(500), TransientPushError, None),
        (Answer(503, headers={"retry-after": "30"}), TransientPushError, 30.0),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else None,
)
async def test_what_an_answer_means(answer: Answer, error: type[Exception] | None, retry_after_s: float | None) -> None:
    """The whole table, over HTTP; a redirection is not followed."""
    async with http_peer() as peer:
        peer.answer = answer
        sender = provider(f"{peer.url}/hook")
        try:
            if error is None:
                await sender.send(push(None))
            else:
                with pytest.raises(error) as failed:
                    await sender.send(push(None))
                assert "canary" not in str(failed.value)
                if isinstance(failed.value, TransientPushError):
                    assert failed.value.retry_after_s == retry_after_s
        finally:
            await sender.close()
    assert len(peer.asked) == 1


@pytest.mark.parametrize(
    ("url", "secret", "says"),
    [
        ("", SECRET, "NATTER_WEBHOOK_URL"),
        ("http://example.com/hook", SECRET, "NATTER_WEBHOOK_URL"),
        ("https://user:canary-secret@example.com/", SECRET, "NATTER_WEBHOOK_URL"),
        ("https://example.com/hook", "", "NATTER_WEBHOOK_SECRET: a secret is needed"),
        ("https://example.com/hook", "canary-secret", "begins with whsec_"),
        ("https://example.com/hook", "whsec_" + base64.b64encode(b"short").decode(), "at least 24 bytes"),
    ],
)
def test_wrong_settings_are_told_without_repeating_them(url: str, secret: str, says: str) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError, match=says) as wrong:
        provider(url, secret)
    assert "canary" not in str(wrong.value)


def test_nothing_secret_is_in_its_representation() -> None:
    """Objects end up in logs."""
    sender = provider("https://example.com/hook")
    assert "canary" not in repr(sender) + repr(WebhookSettings(webhook_secret=SecretStr(SECRET)))
