"""What APNs' answers mean; pure.

From Apple's "Handling notification responses from APNs": the tables of status codes and of error strings (`reason`).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from notifier.providers.base import PushError
from notifier.providers.shared import verdicts
from notifier.providers.shared.verdicts import GONE, PERMANENT, REFUSED, TRANSIENT, Meaning, Verdict

TOO_MANY = Verdict(Meaning.TRANSIENT, wait_s=60.0)

ANSWERS: dict[tuple[int, str], Verdict] = {
    (400, "BadCollapseId"): PERMANENT,
    (400, "BadDeviceToken"): GONE,
    (400, "BadExpirationDate"): PERMANENT,
    (400, "BadMessageId"): PERMANENT,
    (400, "BadPriority"): PERMANENT,
    # The three about topics blame a setting of ours, or what one app says of itself: tokens stay.
    (400, "BadTopic"): PERMANENT,
    (400, "DeviceTokenNotForTopic"): PERMANENT,
    (400, "DuplicateHeaders"): PERMANENT,
    (400, "IdleTimeout"): TRANSIENT,
    (400, "InvalidPushType"): PERMANENT,
    (400, "MissingDeviceToken"): PERMANENT,
    (400, "MissingTopic"): PERMANENT,
    (400, "PayloadEmpty"): PERMANENT,
    (400, "TopicDisallowed"): PERMANENT,
    (403, "BadCertificate"): REFUSED,
    (403, "BadCertificateEnvironment"): REFUSED,
    # The key may be limited to one environment; in which one a device is, its app says.
    (403, "BadEnvironmentKeyIdInToken"): PERMANENT,
    (403, "ExpiredProviderToken"): REFUSED,
    (403, "Forbidden"): REFUSED,
    (403, "InvalidProviderToken"): REFUSED,
    (403, "MissingProviderToken"): REFUSED,
    (403, "UnrelatedKeyIdInToken"): REFUSED,
    (404, "BadPath"): PERMANENT,
    (405, "MethodNotAllowed"): PERMANENT,
    (410, "ExpiredToken"): GONE,
    (410, "Unregistered"): GONE,
    (413, "PayloadTooLarge"): PERMANENT,
    # It is about all our connections: others would only make it worse.
    (429, "TooManyProviderTokenUpdates"): REFUSED,
    (429, "TooManyRequests"): TOO_MANY,
    (500, "InternalServerError"): TRANSIENT,
    (503, "ServiceUnavailable"): TRANSIENT,
    (503, "Shutdown"): TRANSIENT,
}
"""By status and reason."""

STATUSES: dict[int, Verdict] = {403: REFUSED, 410: GONE, 429: TOO_MANY}
"""By status, for a reason that is newer than this table."""

EXPIRED = "ExpiredProviderToken"


def error(status: int, body: bytes, *, retry_after_s: float | None) -> PushError:
    """The error of an answer other than 200; of 410 with the moment since when the token is not good any more."""
    answer = _answer(body)
    reason = reason_of(status, body)
    verdict = ANSWERS.get((status, reason)) or STATUSES.get(status) or verdicts.usual(status)
    since = _instant(answer.get("timestamp")) if status == 410 else None
    return verdicts.error(verdict, f"APNs: {status} {reason}".rstrip(), retry_after_s=retry_after_s, since=since)


def reason_of(status: int, body: bytes) -> str:
    """The reason, if it is one of those that the table knows for this status; empty otherwise."""
    reason = _answer(body).get("reason")
    return reason if isinstance(reason, str) and (status, reason) in ANSWERS else ""


def _answer(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _instant(milliseconds: object) -> datetime | None:
    """An instant from milliseconds since 1970."""
    if not isinstance(milliseconds, int):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
