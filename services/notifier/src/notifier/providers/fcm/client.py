"""Pushes to Firebase Cloud Messaging over HTTP v1."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

from google.auth import exceptions
from google.oauth2.service_account import Credentials

from contracts import times
from contracts.devices import PushService
from notifier.errors import ConfigError
from notifier.providers.base import PermanentPushError
from notifier.providers.fcm import errors, payload
from notifier.providers.fcm.settings import FcmSettings
from notifier.providers.fcm.tokens import AccessTokens
from notifier.providers.shared import http
from notifier.providers.shared.standing import Standing
from notifier.push import Push

BASE_URL = "https://fcm.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


class FcmProvider:
    """One Firebase project. Sends to registration tokens, one request per push."""

    name = "fcm"
    services = frozenset({PushService.FCM})
    can_retract = True
    retractions_per_hour: int | None = None

    def __init__(
        self, settings: FcmSettings, *, base_url: str = BASE_URL, now: Callable[[], datetime] = times.now
    ) -> None:
        """Reads the service account's file; raises `ConfigError`. `base_url` and `now` are for tests."""
        http.keep_quiet()
        credentials = _credentials(settings)
        self._settings = settings
        self._now = now
        self._url = f"{base_url}/v1/projects/{quote(credentials.project_id or '', safe='')}/messages:send"
        self._tokens = AccessTokens(credentials, now=now)
        self._client = http.client()
        self._standing = Standing()

    async def send(self, push: Push) -> str | None:
        """Hand it over; returns the message's name at FCM. Raises `PushError`."""
        if push.target is None:
            raise PermanentPushError("FCM needs a device")
        token = push.target.token
        body = payload.body(
            push,
            token,
            channel=self._settings.fcm_channel,
            channel_important=self._settings.fcm_channel_important,
        )
        access = await self._tokens.get()
        headers = {"authorization": f"Bearer {access}", "content-type": "application/json"}
        answer = await http.post(self._client, "FCM", self._url, body, headers)
        if answer.status_code == 200:
            self._standing.accepted(errors.SERVER)
            return _name(answer.content)
        if answer.status_code == 401:
            self._tokens.forget(access)
        raise errors.error(
            answer.status_code,
            answer.content,
            retry_after_s=http.retry_after_s(answer.headers.get("retry-after"), self._now()),
            token=token,
            standing=self._standing,
        )

    async def close(self) -> None:
        """End the connections."""
        await self._tokens.close()
        await self._client.aclose()


def from_environment() -> FcmProvider:
    """The provider as the environment describes it; raises `ConfigError`."""
    return FcmProvider(FcmSettings())


def _credentials(settings: FcmSettings) -> Credentials:
    path = settings.firebase_credentials_path
    if path is None:
        raise ConfigError("NOTIFICATION_PROVIDER=fcm needs FIREBASE_CREDENTIALS_PATH: a service account's file")
    try:
        credentials: Credentials = Credentials.from_service_account_file(str(path), scopes=[SCOPE])  # type: ignore[no-untyped-call]
    except OSError as unread:
        raise ConfigError(f"FIREBASE_CREDENTIALS_PATH: the file cannot be read: {type(unread).__name__}") from None
    except (ValueError, AttributeError, TypeError, exceptions.GoogleAuthError):
        # JSON of another shape fails in many ways; the error's text may quote the file.
        raise ConfigError("FIREBASE_CREDENTIALS_PATH: the file is no service account in JSON") from None
    if not credentials.project_id:
        raise ConfigError("FIREBASE_CREDENTIALS_PATH: the file names no project_id")
    return credentials


def _name(body: bytes) -> str | None:
    """`projects/…/messages/…`; an answer without it is still an acceptance."""
    try:
        name = json.loads(body)["name"]
    except (ValueError, TypeError, KeyError):
        return None
    return name if isinstance(name, str) else None
