"""What kinds of device there are, and how an app registers one for pushes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from contracts.codec import Contract, Flag
from contracts.ids import Uuid
from contracts.times import Instant

DEVICES_PER_USER_MAX = 25
"""Registrations of one user; one more is refused, so that an app's bug is noticed and not paid for."""

PUSH_TOKEN_CHARS_MAX = 4_096
"""Longest token; the longest known ones (FCM, subscriptions of browsers) have a few hundred characters."""


class DeviceType(StrEnum):
    """What kind of device a socket belongs to."""

    MOBILE = "mobile"
    DESKTOP = "desktop"
    TABLET = "tablet"


class Platform(StrEnum):
    """What a device runs."""

    IOS = "ios"
    ANDROID = "android"
    WEB = "web"
    OTHER = "other"


class PushService(StrEnum):
    """Whose push service a token belongs to."""

    FCM = "fcm"
    APNS = "apns"
    WEBPUSH = "webpush"
    JPUSH = "jpush"
    GETUI = "getui"
    UMENG = "umeng"
    STUB = "stub"
    """No service at all: for tests of whoever integrates Natter."""


_USUAL_SERVICE = {
    Platform.IOS: PushService.APNS,
    Platform.ANDROID: PushService.FCM,
    Platform.WEB: PushService.WEBPUSH,
}

DeviceId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
"""The app's own name for an installation on a device; it stays the same when the token changes."""

AppId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
"""Which app of the host application: a bundle id, a package name."""

Locale = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", max_length=35)]
"""A language tag (BCP 47) such as `en`, `zh-CN` or `zh-Hans-CN`."""

PushToken = Annotated[str, StringConstraints(pattern=r"^[!-~]+$", min_length=1, max_length=PUSH_TOKEN_CHARS_MAX)]
"""What a push service calls the device. Whoever knows it can push to it: it is in no log and in no answer."""

_KEY = r"^[A-Za-z0-9_-]{%d}={0,2}$"


class SubscriptionKeys(Contract):
    """The keys of a browser's subscription, base64url."""

    p256dh: Annotated[str, StringConstraints(pattern=_KEY % 87)]
    """Uncompressed P-256 public key: 65 bytes."""
    auth: Annotated[str, StringConstraints(pattern=_KEY % 22)]
    """Secret of 16 bytes."""


class DeviceDraft(Contract):
    """Body of `POST /v1/devices`. The same (app_id, device_id) again replaces what was registered before.

    `token` for every service but `webpush`; there it is the subscription's endpoint, and `keys` are needed, too.
    """

    device_id: DeviceId
    app_id: AppId = "default"
    platform: Platform
    push_service: PushService | None = None
    """By default that of the platform: ios apns, android fcm, web webpush."""
    token: PushToken
    keys: SubscriptionKeys | None = None
    device_type: DeviceType = DeviceType.MOBILE
    locale: Locale | None = None
    app_version: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")] | None = None
    sandbox: Flag = False
    """A build that gets its pushes from Apple's sandbox."""

    @property
    def service(self) -> PushService:
        """Whose token it is."""
        return self.push_service or _USUAL_SERVICE[self.platform]

    @model_validator(mode="after")
    def _token_fits_service(self) -> Self:
        if self.push_service is None and self.platform not in _USUAL_SERVICE:
            raise ValueError("push_service is needed for this platform")
        if (self.service is PushService.WEBPUSH) != (self.keys is not None):
            raise ValueError("keys belong to a webpush subscription, and to nothing else")
        if self.service is PushService.WEBPUSH and not self.token.startswith("https://"):
            raise ValueError("the token of a webpush subscription is its endpoint, an https address")
        return self


class Device(Contract):
    """A registered device, without its token: an entry of `GET /v1/devices`."""

    id: Uuid
    device_id: DeviceId
    app_id: AppId
    platform: Platform
    push_service: PushService
    device_type: DeviceType
    locale: Locale | None = None
    app_version: str | None = None
    sandbox: bool = False
    registered_at: Instant
    """When this token was registered."""
    last_seen_at: Instant


class RegisteredDevice(Device):
    """Answer of `POST /v1/devices`."""

    unregister_key: str
    """Good for `POST /v1/devices/{id}/unregister` without signing in: an app that logged out while it had no
    network keeps it, and uses it when there is one again."""


class UnregisterKey(Contract):
    """Body of `POST /v1/devices/{id}/unregister`."""

    unregister_key: Annotated[str, Field(min_length=1, max_length=128)]


class PushDevice(Contract):
    """A registered device as the notifier needs it; never leaves the services."""

    id: Uuid
    app_id: AppId
    platform: Platform
    push_service: PushService
    device_type: DeviceType
    token: str
    keys: SubscriptionKeys | None = None
    locale: Locale | None = None
    sandbox: bool = False
    registered_at: Instant
