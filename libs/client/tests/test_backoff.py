"""When to come back."""

from __future__ import annotations

import pytest

from contracts.codes import CloseCode
from natter_client.backoff import Backoff, Ended, GiveUp, Pause
from natter_client.errors import Replaced, TurnedAway
from natter_client.options import ClientOptions


def backoff(lot: float = 1.0) -> Backoff:
    """One with the defaults, that always draws the same lot."""
    return Backoff(ClientOptions(), lambda: lot)


def test_the_ceiling_doubles_to_the_cap_and_the_sixteenth_attempt_is_slow() -> None:
    """2, 4, 8, 16, then 30 seconds until attempt 15, and after that one attempt a minute, for ever."""
    waits = [backoff_.wait_s for backoff_ in _pauses(backoff(), 17)]
    assert waits == [2.0, 4.0, 8.0, 16.0, *[30.0] * 11, 72.0, 72.0]
    assert [pause.offline for pause in _pauses(backoff(), 17)] == [False] * 15 + [True] * 2


def test_the_jitter_is_full() -> None:
    """A wait is anything between nothing and the ceiling; a slow one is spread, too."""
    assert [pause.wait_s for pause in _pauses(backoff(0.0), 16)] == [0.0] * 15 + [48.0]
    assert next(_pauses(backoff(0.25), 1)).wait_s == 0.5


def test_it_never_ends() -> None:
    """The ten-thousandth attempt is waited for like the sixteenth."""
    assert list(_pauses(backoff(), 10_000))[-1] == Pause(72.0, offline=True)


def test_a_stable_connection_begins_anew_and_a_short_one_does_not() -> None:
    """A server that takes a socket and drops it at once is backed off from like one that is away."""
    ours = backoff()
    list(_pauses(ours, 3))
    assert ours.after(Ended(lasted_s=9.9)) == Pause(16.0)
    assert ours.after(Ended(lasted_s=10.0)) == Pause(2.0)


def test_reconnect_is_obeyed_instead_of_the_backoff() -> None:
    """The server has spread its clients already; its moment counts, also if it has passed."""
    ours = backoff()
    list(_pauses(ours, 5))
    assert ours.after(Ended(lasted_s=1.0, close_code=CloseCode.DRAINING, told_s=3.5)) == Pause(3.5)
    assert ours.after(Ended(lasted_s=1.0, told_s=-0.1)) == Pause(0.0)
    assert ours.after(Ended()) == Pause(2.0)


@pytest.mark.parametrize("code", [CloseCode.BAD_FRAME, CloseCode.FORBIDDEN, CloseCode.FRAME_TOO_BIG])
def test_what_coming_back_cannot_mend_is_given_up(code: CloseCode) -> None:
    """The user of the client gets the code and the reason."""
    verdict = backoff().after(Ended(lasted_s=100.0, close_code=code, reason="because"))
    assert isinstance(verdict, GiveUp)
    assert isinstance(verdict.why, TurnedAway)
    assert (verdict.why.close_code, verdict.why.reason) == (code, "because")


def test_who_is_replaced_gives_up() -> None:
    """Two that replace each other for ever would be worse than one that stops."""
    verdict = backoff().after(Ended(lasted_s=100.0, close_code=CloseCode.REPLACED))
    assert isinstance(verdict, GiveUp)
    assert isinstance(verdict.why, Replaced)


def test_a_refused_token_is_replaced_first() -> None:
    """By close code and by HTTP status alike."""
    assert backoff().after(Ended(close_code=CloseCode.UNAUTHENTICATED)) == Pause(2.0, fresh_token=True)
    assert backoff().after(Ended(token_refused=True)) == Pause(2.0, fresh_token=True)


def test_the_server_may_ask_for_more_patience() -> None:
    """`Retry-After` and 4429 come on top of the jitter, which keeps the clients apart."""
    assert backoff(0.5).after(Ended(retry_after_s=7.0)) == Pause(8.0)
    assert backoff(0.0).after(Ended(lasted_s=60.0, close_code=CloseCode.TOO_MANY)) == Pause(2.0)


@pytest.mark.parametrize("code", [code for code in CloseCode if code.come_back])
def test_come_back_means_come_back(code: CloseCode) -> None:
    """Every code of which the contract says so."""
    assert isinstance(backoff().after(Ended(lasted_s=1.0, close_code=code)), Pause)


def _pauses(ours: Backoff, count: int):  # type: ignore[no-untyped-def]
    for _ in range(count):
        pause = ours.after(Ended())
        assert isinstance(pause, Pause)
        yield pause
