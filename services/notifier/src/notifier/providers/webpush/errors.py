"""What browsers' push services answer, and what it means; pure.

From RFC 8030 (sections 5 to 8) and RFC 8292 (section 4.2); Mozilla's "Autopush, Error Codes"; Apple's "Sending web push
notifications in web apps and browsers"; Microsoft's "Push notification service request and response headers".
"""

from __future__ import annotations

import json

from notifier.providers.base import PushError
from notifier.providers.shared import verdicts
from notifier.providers.shared.standing import Standing
from notifier.providers.shared.verdicts import GONE, PERMANENT, REFUSED, TRANSIENT, Meaning, Verdict

TOO_MANY = Verdict(Meaning.TRANSIENT, wait_s=60.0)

ANSWERS: dict[int, Verdict] = {
    400: PERMANENT,
    401: REFUSED,
    403: REFUSED,
    404: GONE,
    405: PERMANENT,
    # Microsoft's way to say 429.
    406: TOO_MANY,
    410: GONE,
    413: PERMANENT,
    429: TOO_MANY,
    500: TRANSIENT,
    502: TRANSIENT,
    503: TRANSIENT,
    504: TRANSIENT,
}
"""By status, whoever answers."""

MISMATCHES = (
    "do not correspond to the credentials used to create the subscription",
    "VAPID public key mismatch",
    "VapidPkHashMismatch",
    "UnauthorizedRegistration",
)
"""How Google, Mozilla, Apple and once again Google say that a subscription was made for another key than ours."""

REASONS = ("BadJwtToken", "VapidPkHashMismatch", "Unregistered", "TooManyRequests", "PayloadTooLarge")
"""Apple's, as far as they help somebody who reads a log."""


def error(
    status: int, body: bytes, *, retry_after_s: float | None, token: str, origin: str, standing: Standing
) -> PushError:
    """The error of an answer that is not 2xx."""
    verdict = ANSWERS.get(status) or verdicts.usual(status)
    mismatch = status in (400, 401, 403) and any(one.encode() in body for one in MISMATCHES)
    if mismatch and standing.takes_ours(origin):
        # Our key is right there, so the subscription is another's and always will be.
        verdict = GONE
    elif mismatch or verdict is REFUSED:
        # Of one browser's service, or of one subscription; or really of us: then everybody is refused.
        verdict = standing.refused(token)
    about = f"Web Push at {origin}: {status} {'made for another key' if mismatch else _reason(body)}"
    return verdicts.error(verdict, about.rstrip(), retry_after_s=retry_after_s)


def _reason(body: bytes) -> str:
    """Apple's reason or Mozilla's number; nothing that could quote the request."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    reason, number = answer.get("reason"), answer.get("errno")
    if isinstance(number, int):
        return f"errno {number}"
    return reason if reason in REASONS else ""
