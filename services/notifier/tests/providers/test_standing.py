"""One token that is another's does not stop everybody's pushes."""

from __future__ import annotations

from notifier.providers.shared.standing import DOUBTFUL, LATELY_S, REMEMBERED_MAX, Standing
from notifier.providers.shared.verdicts import REFUSED


class Clock:
    """Seconds that a test lets pass."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_while_nothing_was_accepted_a_refusal_is_that_of_our_credentials() -> None:
    """The first push of a process that is refused raises the alarm."""
    assert Standing(Clock()).refused("a") == REFUSED


def test_after_an_acceptance_a_refusal_is_that_of_the_token() -> None:
    """For an hour; then a refusal is everybody's again."""
    clock = Clock()
    standing = Standing(clock)
    standing.accepted("https://one")
    assert standing.takes_ours("https://one")
    assert not standing.takes_ours("https://other")
    assert standing.refused("a") == DOUBTFUL
    clock.now_s += LATELY_S + 1
    assert not standing.takes_ours("https://one")
    assert standing.refused("b") == REFUSED


def test_the_same_token_does_not_stop_everybody_twice() -> None:
    """Whatever tries first after the pause, others get their turn."""
    clock = Clock()
    standing = Standing(clock)
    assert [standing.refused(token) for token in "aba"] == [REFUSED, REFUSED, DOUBTFUL]
    clock.now_s += LATELY_S + 1
    assert standing.refused("a") == REFUSED


def test_it_remembers_no_more_than_it_may() -> None:
    """However many tokens and servers there are, and it keeps no token in the clear."""
    standing = Standing(Clock())
    for number in range(REMEMBERED_MAX * 2):
        standing.refused(f"token-{number}")
        standing.accepted(f"https://{number}")
    assert standing.refused("token-0") == DOUBTFUL
    assert not standing.takes_ours("https://0")
    assert standing.takes_ours(f"https://{REMEMBERED_MAX * 2 - 1}")
    assert len(standing._accepted) == len(standing._refused) == REMEMBERED_MAX
    assert "token-" not in repr(vars(standing))
