"""Signatures for browsers' push services: kept for hours, made anew in time, and never more than there is room for."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta

import jwt

from notifier.providers.webpush.client import WebPushProvider
from notifier.providers.webpush.settings import WebPushSettings
from notifier.providers.webpush.vapid import AUDIENCES_MAX, Vapid

from .pushes import AT

SETTINGS = WebPushSettings.model_validate(
    {
        "webpush_private_key": "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94",
        "webpush_subject": "https://example.com/contact",
    }
)


class Clock:
    """The time of day, as a test sets it."""

    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> datetime:
        return self.now


def ends(authorization: str) -> float:
    token = authorization.removeprefix("vapid t=").split(",")[0]
    return float(jwt.decode(token, options={"verify_signature": False})["exp"])


def test_a_signature_is_used_again_and_never_at_its_end() -> None:
    """For 12 hours, of which the last is not used; the limit is a day."""
    clock = Clock()
    vapid = Vapid(SETTINGS, clock)
    first = vapid.authorization("https://a")
    for hours in range(48):
        clock.now = AT + timedelta(hours=hours)
        left_s = ends(vapid.authorization("https://a")) - clock.now.timestamp()
        assert 3_600 <= left_s <= 12 * 3_600
        if hours < 11:
            assert vapid.authorization("https://a") == first


def test_signatures_are_kept_for_the_services_in_use() -> None:
    """Many hosts do not fill the memory; the longest unused goes first."""
    vapid = Vapid(SETTINGS, Clock())
    kept = vapid.authorization("https://kept")
    for number in range(AUDIENCES_MAX + 10):
        vapid.authorization(f"https://{number}")
        assert vapid.authorization("https://kept") == kept
    assert len(vapid._signed) == AUDIENCES_MAX


def test_a_new_pair_can_be_used_at_once() -> None:
    """`python -m notifier.providers.webpush` prints a key that the provider takes, and its public half."""
    printed = subprocess.run(
        [sys.executable, "-m", "notifier.providers.webpush"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assignment, comment = printed.splitlines()
    name, _, private = assignment.partition("=")
    assert name == "NATTER_WEBPUSH_PRIVATE_KEY"
    fields = {"webpush_private_key": private, "webpush_subject": "mailto:push@example.com"}
    provider = WebPushProvider(WebPushSettings.model_validate(fields))
    assert comment.endswith(provider.public_key)
