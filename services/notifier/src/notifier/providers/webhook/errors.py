"""What an answer to a webhook means; pure.

Standard Webhooks, "Considerations for webhook senders": 2xx is success; 410 means that the endpoint wants no more; 429
and 502 to 504 are signs of overload. What is redirected is not followed.
"""

from __future__ import annotations

from notifier.providers.base import PermanentPushError, ProviderRefusedError, PushError, TransientPushError

TOLD_TO_STOP = 410
BUSY = frozenset({408, 409, 425, 429})
WRONG_SIGNATURE = frozenset({401, 403})


def error(status: int, *, retry_after_s: float | None) -> PushError:
    """The error of an answer that is no 2xx."""
    said = f"webhook: {status}"
    if status == TOLD_TO_STOP:
        return ProviderRefusedError(f"{said}: the address wants no more")
    if status in WRONG_SIGNATURE:
        return ProviderRefusedError(f"{said}: the address does not accept our signature")
    if status in BUSY or status >= 500 or 300 <= status < 400:
        return TransientPushError(said, retry_after_s=retry_after_s)
    return PermanentPushError(said)
