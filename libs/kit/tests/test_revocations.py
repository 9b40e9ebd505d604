"""Which tokens are refused after which revocations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from contracts.codes import ErrorCode
from contracts.control import Revocation
from kit.revocations import Revocations
from kit.tokens import Principal

AT = datetime(2026, 1, 31, 8, 15, tzinfo=UTC)
SESSION = "0198f3a0-1b2c-7000-8000-0000000000e1"
OTHER = "0198f3a0-1b2c-7000-8000-0000000000e2"


def token(user_id: str = "alice", *, issued_s: float = 0.0, session_id: str | None = None) -> Principal:
    """A principal whose token was issued so many seconds after `AT`."""
    issued_at = AT.timestamp() + issued_s
    return Principal(user_id, frozenset(), issued_at + 900, session_id=session_id, issued_at=issued_at)


def entry(*, after_s: float = 0.0, **fields: Any) -> Revocation:
    """An entry about Alice, so many seconds after `AT`."""
    return Revocation(user_id="alice", at=AT + timedelta(seconds=after_s), **fields)


def after(*entries: Revocation) -> Revocations:
    """What is known after these."""
    made = Revocations()
    for one in entries:
        made.apply(one)
    return made


def test_nothing_revoked_refuses_nobody() -> None:
    """Everybody is let in at first."""
    assert Revocations().refuses(token()) is None


def test_a_session_ends_alone() -> None:
    """Tokens of that session are refused whenever they were issued; others of the user are not."""
    known = after(entry(session_id=SESSION))
    assert known.refuses(token(session_id=SESSION, issued_s=-60)) is ErrorCode.TOKEN_REVOKED
    assert known.refuses(token(session_id=SESSION, issued_s=60)) is ErrorCode.TOKEN_REVOKED
    assert known.refuses(token(session_id=OTHER)) is None
    assert known.refuses(token()) is None


@pytest.mark.parametrize(("issued_s", "refused"), [(-60, True), (0, True), (0.001, False), (60, False)])
def test_all_tokens_up_to_a_moment(issued_s: float, refused: bool) -> None:
    """What was issued later is good; so are the tokens of other users."""
    known = after(entry())
    assert (known.refuses(token(issued_s=issued_s)) is ErrorCode.TOKEN_REVOKED) is refused
    assert known.refuses(token("bob", issued_s=issued_s)) is None


def test_a_token_that_does_not_say_when_is_older_than_every_revocation() -> None:
    """Whoever leaves out `iat` cannot slip through by that."""
    assert after(entry()).refuses(Principal("alice", frozenset(), 0.0)) is ErrorCode.TOKEN_REVOKED


def test_who_is_blocked_may_not_come_back() -> None:
    """Not even with a new token, until the block is lifted."""
    known = after(entry(blocked=True))
    assert known.refuses(token(issued_s=3600)) is ErrorCode.USER_BLOCKED
    assert known.is_blocked("alice")
    known.apply(entry(lifted=True, after_s=10))
    assert known.refuses(token(issued_s=3600)) is None
    assert not known.is_blocked("alice")


def test_the_end_of_sessions_lifts_no_block() -> None:
    """Both are about the user as a whole; neither replaces the other."""
    known = after(entry(blocked=True), entry(after_s=5))
    assert known.refuses(token(issued_s=3600)) is ErrorCode.USER_BLOCKED
    known.apply(entry(lifted=True, after_s=10))
    assert known.refuses(token(issued_s=1)) is ErrorCode.TOKEN_REVOKED
    assert known.refuses(token(issued_s=6)) is None


def test_the_order_of_arrival_does_not_matter() -> None:
    """Two roads bring the same entries; what happened last counts, whatever came last."""
    entries = [entry(blocked=True), entry(lifted=True, after_s=1), entry(blocked=True, after_s=2), entry(after_s=3)]
    for order in permutations(entries):
        known = after(*order, *order)
        assert known.refuses(token(issued_s=3600)) is ErrorCode.USER_BLOCKED
    for order in permutations([*entries, entry(lifted=True, after_s=4)]):
        known = after(*order)
        assert known.refuses(token(issued_s=3600)) is None
        assert known.refuses(token(issued_s=3)) is ErrorCode.TOKEN_REVOKED


def test_what_is_older_than_every_token_is_forgotten() -> None:
    """Memory is bounded by the life of tokens; a block has no end."""
    known = after(entry(session_id=SESSION), entry(), entry(session_id=OTHER, after_s=100), entry(blocked=True))
    known.forget((AT + timedelta(seconds=50)).timestamp())
    assert known.refuses(token("bob", session_id=OTHER)) is ErrorCode.TOKEN_REVOKED
    assert known.refuses(token(issued_s=3600)) is ErrorCode.USER_BLOCKED
    assert len(known) == 2
