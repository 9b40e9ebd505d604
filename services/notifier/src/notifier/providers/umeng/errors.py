"""What Umeng's answers mean; pure.

From "U-Push API 集成文档", the table of codes: every failure has the status 400, and a code. None of them says that a
token is good no more: devices go when their app says so, or has another token.
"""

from __future__ import annotations

from notifier.providers.base import PushError
from notifier.providers.shared import verdicts
from notifier.providers.shared.answers import child, json_object, number
from notifier.providers.shared.standing import Standing
from notifier.providers.shared.verdicts import PERMANENT, REFUSED, TRANSIENT, Meaning, Verdict

SERVER = "umeng"
SUCCESS = "SUCCESS"
TOO_MANY = Verdict(Meaning.TRANSIENT, wait_s=60.0)

APPLE = frozenset({2032, 2033, 2034, 2035, 5001, 5007, 5008, 5009, 5010, 6002})
"""Apple's certificate or key, which Umeng has or should have: one for the sandbox and one for everybody."""

ANSWERS: dict[int, Verdict] = {
    # What we send is not in order.
    **dict.fromkeys((1000, 1001, 1002, 1003, 1004, 1005, 1007, 1008, 1009, 1010, 1015, 1016, 1019), PERMANENT),
    **dict.fromkeys((1022, 1024, 1026, 1027, 2003, 2008, 2022, 2025, 2036, 2039, 2040, 2048, 2052, 5002), PERMANENT),
    # The account: no such application, switched off, address of our server, signature, clock.
    **dict.fromkeys((1020, 2000, 2004, 2006, 2007, 2021, 2027, 2028, 2054), REFUSED),
    **dict.fromkeys(APPLE, REFUSED),
    2050: TOO_MANY,
    **dict.fromkeys((6003, 6004), TRANSIENT),
}
"""By code. Those of files, tags, filters and tasks are left out: we send to one device."""

STATUSES: dict[int, Verdict] = {200: TRANSIENT, 401: REFUSED, 403: REFUSED, 429: TOO_MANY}
"""By status, without such a code: before Umeng looks at the push, or another server's answer, on the way."""


def error(
    status: int, body: bytes, *, retry_after_s: float | None, token: str, alone: bool, standing: Standing
) -> PushError:
    """The error of an answer that is no success. `alone`: this provider has one application."""
    code = number(child(json_object(body), "data").get("error_code"))
    verdict = ANSWERS.get(-1 if code is None else code) or STATUSES.get(status) or verdicts.usual(status)
    if verdict is REFUSED and (code in APPLE or not alone):
        # It is about one application of two, or about the sandbox: the others' pushes go on.
        verdict = standing.refused(token)
    text = f"Umeng: {status}" if code is None else f"Umeng: {status}, code {code}"
    return verdicts.error(verdict, text, retry_after_s=retry_after_s)
