"""What JPush's answers mean; pure.

From "Push API v3", the table of codes in the section on answers, and "HTTP 状态码": 200 is always success.
"""

from __future__ import annotations

from notifier.providers.base import PushError
from notifier.providers.shared import verdicts
from notifier.providers.shared.answers import child, json_object, number
from notifier.providers.shared.standing import Standing
from notifier.providers.shared.verdicts import GONE, PERMANENT, REFUSED, TRANSIENT, Meaning, Verdict

SERVER = "jpush"
TOO_MANY = Verdict(Meaning.TRANSIENT, wait_s=60.0)
"""Calls are counted by the minute."""
TOO_MUCH = Verdict(Meaning.TRANSIENT, wait_s=600.0)
"""This user got more than JPush finds reasonable."""

ANSWERS: dict[tuple[int, int], Verdict] = {
    (500, 1000): TRANSIENT,
    (405, 1001): PERMANENT,
    (400, 1002): PERMANENT,
    (400, 1003): PERMANENT,
    (401, 1004): REFUSED,
    (400, 1005): PERMANENT,
    (400, 1008): REFUSED,
    (400, 1009): PERMANENT,
    (400, 1011): GONE,
    (400, 1012): TOO_MANY,
    (404, 1020): PERMANENT,
    (503, 1030): TRANSIENT,
    (429, 2002): TOO_MANY,
    (403, 2003): REFUSED,
    (403, 2004): REFUSED,
    (403, 2005): TOO_MUCH,
    (403, 2006): REFUSED,
    (403, 2007): REFUSED,
}
"""By status and code."""

STATUSES: dict[int, Verdict] = {401: REFUSED, 403: REFUSED, 429: TOO_MANY}
"""By status, for a code that is newer than this table."""

_INVALID_VALUE = 1003
_ABOUT_THE_TOKEN = "registration_id"  # noqa: S105 - the word with which JPush blames it


def error(status: int, body: bytes, *, retry_after_s: float | None, standing: Standing) -> PushError:
    """The error of an answer other than 200."""
    said = child(json_object(body), "error")
    code = number(said.get("code"))
    verdict = ANSWERS.get((status, code or 0)) or STATUSES.get(status) or verdicts.usual(status)
    if code == _INVALID_VALUE and _ABOUT_THE_TOKEN in str(said.get("message")):
        verdict = GONE
    if verdict is GONE and not standing.takes_ours(SERVER):
        # With the AppKey of another application every token looks like that: none is removed before one was good.
        verdict = PERMANENT
    text = f"JPush: {status}" if code is None else f"JPush: {status}, code {code}"
    return verdicts.error(verdict, text, retry_after_s=retry_after_s)
