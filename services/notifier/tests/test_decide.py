"""Every rule of the decision, with the reason it gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import ConversationUpdated, MessageDeleted, MessageEdited
from contracts.pushes import SkipReason
from notifier.decide import Decision, Later, Send, Skip, decide
from notifier.deliveries import Delivery

from .support import AT, delivery, envelope, message, notification_event, notified

PLAIN = message()
NOTIFIED = notified()
OTHER_EVENTS = (
    ConversationUpdated(conversation_id=PLAIN.conversation_id, updated_by="bob", updated_at=AT),
    MessageEdited(**PLAIN.model_dump(exclude={"exclude_user_ids"})),
    MessageDeleted(**PLAIN.model_dump(exclude={"exclude_user_ids"})),
)


@pytest.mark.parametrize(
    ("given_delivery", "expected"),
    [
        (delivery(PLAIN), Send(PLAIN)),
        (delivery(NOTIFIED, event=notification_event(NOTIFIED)), Send(NOTIFIED)),
        (delivery(NOTIFIED, user_id="bob", event=notification_event(NOTIFIED)), Skip(SkipReason.EXCLUDED)),
        *((delivery(event, event=envelope(type=event.type)), Skip(SkipReason.NOT_A_MESSAGE)) for event in OTHER_EVENTS),
        (delivery(PLAIN, user_id="bob"), Skip(SkipReason.OWN_MESSAGE)),
        (delivery(message(exclude_user_ids=("alice",))), Skip(SkipReason.EXCLUDED)),
        (delivery(message(exclude_user_ids=("carol",)), user_id="carol"), Skip(SkipReason.EXCLUDED)),
        (delivery(message(deleted_at=AT, content="")), Skip(SkipReason.DELETED)),
        (delivery(message(sender_id="alice", deleted_at=AT)), Skip(SkipReason.OWN_MESSAGE)),
    ],
)
def test_each_rule_gives_its_reason(given_delivery: Delivery, expected: Decision) -> None:
    """The first rule that applies gives the reason; none applies: send."""
    assert decide(given_delivery, AT) == expected


@pytest.mark.parametrize(
    ("event_type", "reason"),
    [
        ("message.created", SkipReason.UNKNOWN_VERSION),
        ("user.notified", SkipReason.UNKNOWN_VERSION),
        ("message.reacted", SkipReason.NOT_A_MESSAGE),
    ],
)
def test_an_event_of_a_later_release_is_skipped_with_its_own_reason(event_type: str, reason: SkipReason) -> None:
    """A message event of a newer version is told apart from an event that is no message."""
    unknown = Delivery(1, "alice", delivery().reason, envelope(type=event_type, dataversion=9), None, AT, 0)
    assert decide(unknown, AT) == Skip(reason)


@given(
    sender=st.sampled_from(["alice", "bob"]), excluded=st.sets(st.sampled_from(["alice", "bob"])), gone=st.booleans()
)
def test_only_a_living_message_of_somebody_else_is_sent(sender: str, excluded: set[str], gone: bool) -> None:
    """Whatever the combination, a push implies: not own, not excluded, not deleted; and the answer never changes."""
    asked = delivery(message(sender_id=sender, exclude_user_ids=tuple(excluded), deleted_at=AT if gone else None))
    decision = decide(asked, AT)
    assert isinstance(decision, Send) == (sender != "alice" and "alice" not in excluded and not gone)
    assert not isinstance(decision, Later)
    assert decide(asked, AT) == decision
