"""Which typing is news."""

from __future__ import annotations

from ws_edge.signals import CONVERSATIONS_MAX, TypingSignals


def test_the_same_again_is_no_news_for_two_seconds() -> None:
    """Per socket and conversation; the end of it always is."""
    signals = TypingSignals()
    assert signals.is_news("s", "c", True, 0)
    assert not signals.is_news("s", "c", True, 1.9)
    assert signals.is_news("s", "d", True, 1.9)
    assert signals.is_news("t", "c", True, 1.9)
    assert signals.is_news("s", "c", True, 2.0)
    assert signals.is_news("s", "c", False, 2.1)
    assert signals.is_news("s", "c", True, 2.2)


def test_who_leaves_while_typing_has_stopped() -> None:
    """Only where they were typing until now, and once."""
    signals = TypingSignals()
    signals.is_news("s", "old", True, 0)
    signals.is_news("s", "c", True, 5)
    signals.is_news("s", "done", True, 5)
    signals.is_news("s", "done", False, 6)
    assert signals.left("s", 7) == ["c"]
    assert signals.left("s", 7) == []
    assert len(signals) == 0


def test_what_was_not_taken_is_news_again() -> None:
    """A refusal must not keep the next attempt from leaving."""
    signals = TypingSignals()
    signals.is_news("s", "c", True, 0)
    signals.forget("s", "c")
    assert len(signals) == 0
    assert signals.is_news("s", "c", True, 0.1)


def test_one_socket_types_in_a_few_conversations() -> None:
    """A client that names thousands costs no more than a few."""
    signals = TypingSignals()
    for number in range(1000):
        signals.is_news("s", str(number), True, 0)
    assert len(signals.left("s", 0)) == CONVERSATIONS_MAX
