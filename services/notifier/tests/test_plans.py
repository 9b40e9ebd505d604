"""What becomes of deliveries that one push tells of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.pushes import DevicePushState, PushState, SkipReason
from notifier.deliveries import Delivery, DeviceRow, Outcome, PushOutcome
from notifier.plans import given_back, outcomes_of

from .support import delivery

PENDING_ROW = DeviceRow("p1", "d1", None, "fcm")
SENT_ROW = DeviceRow("p2", "d2", None, "fcm", DevicePushState.ACCEPTED)
FAILED_ROW = DeviceRow("p3", "d3", None, "fcm", DevicePushState.FAILED)
NEWEST = replace(delivery(), id=9, held=True)
SENT = Outcome(PushState.SENT, pushes=(PushOutcome(SENT_ROW, DevicePushState.ACCEPTED, attempted=True),))
WAITS = Outcome(PushState.PENDING, held=True, pushes=(PushOutcome(PENDING_ROW, DevicePushState.PENDING, wait_s=5.0),))
DIED = Outcome(PushState.DEAD, error="no", pushes=(PushOutcome(FAILED_ROW, DevicePushState.FAILED, error="no"),))


def ended(row: DeviceRow) -> PushOutcome:
    """A push that is no push of its own any more."""
    return PushOutcome(row, DevicePushState.SKIPPED, skip_reason=SkipReason.DIGESTED)


def other(*rows: DeviceRow) -> Delivery:
    """An older one that was held, too; it was a digest's newest once if it has pushes."""
    return replace(delivery(), id=3, held=True, pushes=rows)


@pytest.mark.parametrize(
    ("outcome", "older", "expected"),
    [
        (SENT, other(), Outcome(PushState.SKIPPED, SkipReason.DIGESTED)),
        (SENT, other(PENDING_ROW), Outcome(PushState.SKIPPED, SkipReason.DIGESTED, pushes=(ended(PENDING_ROW),))),
        (SENT, other(PENDING_ROW, SENT_ROW), Outcome(PushState.SENT, pushes=(ended(PENDING_ROW),))),
        (WAITS, other(), Outcome(PushState.PENDING, held=True, follows=9)),
        (WAITS, other(PENDING_ROW), Outcome(PushState.PENDING, held=True, follows=9)),
        (DIED, other(), Outcome(PushState.DEAD, error="no", held=True)),
        (DIED, other(PENDING_ROW), Outcome(PushState.DEAD, error="no", held=True, pushes=(ended(PENDING_ROW),))),
        (DIED, other(SENT_ROW), Outcome(PushState.SENT)),
        (Outcome(PushState.SKIPPED, SkipReason.NO_DEVICE), other(), Outcome(PushState.SKIPPED, SkipReason.NO_DEVICE)),
        (
            Outcome(PushState.PENDING, wait_s=2.0, held=True),
            other(),
            Outcome(PushState.PENDING, wait_s=2.0, held=True),
        ),
        (given_back(NEWEST), other(), Outcome(PushState.PENDING, held=True, given_back=True)),
    ],
)
def test_a_digests_others_end_with_its_newest(outcome: Outcome, older: Delivery, expected: Outcome) -> None:
    """They wait as long as it waits; no push of theirs is left over, and what had been sent stays sent."""
    assert outcomes_of((older, NEWEST), outcome) == {3: expected, 9: outcome}
