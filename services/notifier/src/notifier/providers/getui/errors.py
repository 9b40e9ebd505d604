"""What Getui's answers mean; pure.

From "RestAPI V2", "返回码说明": the status says what it is about (400 parameters, 401 rights, 403 the contract), the
code what exactly; some failures come with status 200.
"""

from __future__ import annotations

from notifier.providers.base import PushError
from notifier.providers.shared import verdicts
from notifier.providers.shared.answers import json_object, number
from notifier.providers.shared.standing import Standing
from notifier.providers.shared.verdicts import GONE, PERMANENT, REFUSED, TRANSIENT, Meaning, Verdict

SERVER = "getui"
OK = 0
TOKEN_INVALID = 10001
IGNORED = "successed_ignore"
"""In the place of an acceptance: the app was not opened for 90 days, and gets nothing."""
TOO_MANY = Verdict(Meaning.TRANSIENT, wait_s=60.0)
"""Calls are counted by the minute."""

ANSWERS: dict[tuple[int, int], Verdict] = {
    (200, 1): PERMANENT,
    (200, 2): TRANSIENT,
    (200, 301): REFUSED,
    (404, 404): PERMANENT,
    (405, 405): PERMANENT,
    (401, 10001): TRANSIENT,
    (401, 10002): REFUSED,
    (401, 10003): TOO_MANY,
    (401, 10004): PERMANENT,
    (401, 10005): TOO_MANY,
    (400, 20001): PERMANENT,
}
"""By status and code."""

STATUSES: dict[int, Verdict] = {200: TRANSIENT, 401: REFUSED, 403: REFUSED}
"""By status, for a code that is newer than this table. 403 is what the contract does not allow, such as more pushes a
day."""

_PARAMETERS = 20001
_INVALID_TARGET = "target user is invalid"


def error(status: int, body: bytes, *, retry_after_s: float | None, standing: Standing) -> PushError:
    """The error of an answer whose code is not 0."""
    answer = json_object(body)
    code = number(answer.get("code"))
    verdict = ANSWERS.get((status, -1 if code is None else code)) or STATUSES.get(status) or verdicts.usual(status)
    if code == _PARAMETERS and _INVALID_TARGET in str(answer.get("msg")).lower():
        # "The cid is invalid, or another application's": of ours, if our own tokens are good.
        verdict = GONE if standing.takes_ours(SERVER) else PERMANENT
    return verdicts.error(verdict, _text("Getui", status, code), retry_after_s=retry_after_s)


def refused_token(status: int, body: bytes, *, retry_after_s: float | None) -> PushError:
    """The error of a request for an access token."""
    code = number(json_object(body).get("code"))
    verdict = TRANSIENT
    if code in (10003, 10005):
        verdict = TOO_MANY
    elif 400 <= status < 500 and status not in (408, 425, 429):
        # Key, secret or application are wrong, or our clock is.
        verdict = REFUSED
    return verdicts.error(verdict, _text("Getui's access tokens", status, code), retry_after_s=retry_after_s)


def _text(what: str, status: int, code: int | None) -> str:
    return f"{what}: {status}" if code is None else f"{what}: {status}, code {code}"
