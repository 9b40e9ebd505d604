"""What FCM's answers mean; pure.

From the reference of HTTP v1, "ErrorCode", and the guide "FCM Error Codes": the code stands in the answer's details,
in the entry of type `google.firebase.fcm.v1.FcmError`; "Scale with FCM" says how to wait.
"""

from __future__ import annotations

import json
from typing import Any

from notifier.providers.base import PushError
from notifier.providers.shared import verdicts
from notifier.providers.shared.standing import Standing
from notifier.providers.shared.verdicts import GONE, PERMANENT, REFUSED, TRANSIENT, Meaning, Verdict

SERVER = "fcm"
QUOTA = Verdict(Meaning.TRANSIENT, wait_s=60.0)
""""Retry after the time of Retry-After; if there is none, after 60 seconds"."""

ANSWERS: dict[tuple[int, str], Verdict] = {
    (400, "INVALID_ARGUMENT"): PERMANENT,
    (401, "THIRD_PARTY_AUTH_ERROR"): REFUSED,
    (403, "SENDER_ID_MISMATCH"): GONE,
    (404, "UNREGISTERED"): GONE,
    (429, "QUOTA_EXCEEDED"): QUOTA,
    (500, "INTERNAL"): TRANSIENT,
    (503, "UNAVAILABLE"): TRANSIENT,
}
"""By status and FcmError's code."""

CANONICAL: dict[int, Verdict] = {
    400: PERMANENT,
    401: REFUSED,
    403: REFUSED,
    # Without FcmError's code it is not the token that was not found, but the project or the address.
    404: REFUSED,
    429: QUOTA,
}
"""By status, for answers without such a code: Google's own front door, before FCM looks at the message."""


def error(status: int, body: bytes, *, retry_after_s: float | None, token: str, standing: Standing) -> PushError:
    """The error of an answer other than 200."""
    answer = _answer(body)
    code = _code(answer)
    verdict = ANSWERS.get((status, code)) or CANONICAL.get(status) or verdicts.usual(status)
    if status == 400 and _is_about_the_token(answer):
        verdict = GONE
    if code == "THIRD_PARTY_AUTH_ERROR":
        # It is about one platform's key: Apple's for an iOS app, or a browser's. Android's pushes go on.
        verdict = standing.refused(token)
    if code == "SENDER_ID_MISMATCH" and not standing.takes_ours(SERVER):
        # With another project's credentials it is said of every token: then none of them is at fault.
        verdict = standing.refused(token)
    return verdicts.error(verdict, f"FCM: {status} {code or _status(answer)}".rstrip(), retry_after_s=retry_after_s)


def _answer(body: bytes) -> dict[str, Any]:
    """The object `error`; empty if the body is anything else, such as a page in HTML."""
    try:
        answer = json.loads(body)["error"]
    except (ValueError, TypeError, KeyError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _details(answer: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    details = answer.get("details")
    found = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    return [one for one in found if str(one.get("@type", "")).endswith(kind)]


def _code(answer: dict[str, Any]) -> str:
    # Only what the table knows is repeated: the rest of an answer may quote the token.
    codes = {str(one.get("errorCode")) for one in _details(answer, "fcm.v1.FcmError")}
    return next((known for _, known in ANSWERS if known in codes), "")


def _status(answer: dict[str, Any]) -> str:
    status = answer.get("status")
    return status if isinstance(status, str) and status.isascii() and status.replace("_", "").isalpha() else ""


def _is_about_the_token(answer: dict[str, Any]) -> bool:
    """Whether `INVALID_ARGUMENT` blames the token, in one of the two ways that the guide shows."""
    for details in _details(answer, "rpc.BadRequest"):
        violations = details.get("fieldViolations")
        for one in violations if isinstance(violations, list) else ():
            if isinstance(one, dict) and one.get("field") == "message.token":
                return True
    return answer.get("message") == "The registration token is not a valid FCM registration token"
