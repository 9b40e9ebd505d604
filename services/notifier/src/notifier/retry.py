"""How long to wait before a failed push is tried again; pure, the randomness is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter: attempt n waits between 0 and `min(cap_s, base_s * 2**(n-1))` seconds.

    By the defaults a push's own time ends first (24 hours): longer than a provider's usual outage.
    """

    base_s: float = 1.0
    cap_s: float = 3600.0
    attempts_max: int = 100


def wait_before_retry(
    policy: RetryPolicy, attempts: int, *, fraction: float, retry_after_s: float | None = None
) -> float | None:
    """Seconds until the next attempt after `attempts` failed ones (≥ 1); None when there shall be none.

    `fraction` in [0, 1] is the jitter. What the provider asked for (`retry_after_s`) is a lower bound: coming back
    earlier is what gets a sender blocked.
    """
    if attempts >= policy.attempts_max:
        return None
    # The exponent is bounded because 2.0**1024 overflows; every cap is reached long before.
    ceiling = min(policy.cap_s, policy.base_s * 2.0 ** min(attempts - 1, 64))
    return max(fraction * ceiling, retry_after_s or 0.0)
