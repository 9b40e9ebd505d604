"""When silence is deafness, when a new connection is tried, and when nothing but a new process helps."""

from __future__ import annotations

from itertools import pairwise

from ws_edge.canary import Canary


class Bench:
    """A canary on a clock that the test turns; judged every two seconds, as in production."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.said: list[str] = []
        self.canary = Canary(
            edge_id="edge-1",
            interval_s=2,
            deaf_after_s=6,
            patience_s=60,
            now=lambda: self.now_s,
            deaf=lambda: self.said.append("deaf"),
            stuck=lambda: self.said.append("stuck"),
            heard=lambda after_deafness: self.said.append("healed" if after_deafness else "heard"),
        )

    def silence(self, seconds: float, *, connected: bool = True) -> None:
        """Time passes, and nothing is heard."""
        for _ in range(int(seconds / 2)):
            self.now_s += 2
            self.canary.judge(connected)


def test_silence_is_deafness_once_until_it_ends() -> None:
    """Told once; hearing again says that something may have been missed, but only the first time."""
    bench = Bench()
    bench.silence(6)
    assert bench.said == []
    bench.silence(10)
    assert bench.said == ["deaf"]
    bench.canary.hear()
    bench.canary.hear()
    assert bench.said == ["deaf", "healed", "heard"]
    bench.silence(8)
    assert bench.said[3:] == ["deaf"]


def test_deaf_without_a_connection_is_deaf_but_not_stuck() -> None:
    """An edge that is cut off sends its sockets elsewhere; a restart would not bring NATS back."""
    bench = Bench()
    bench.silence(3600, connected=False)
    assert bench.said == ["deaf"]


def test_deaf_on_standing_connections_is_stuck_after_its_patience() -> None:
    """New connections do not reset that clock, only hearing does."""
    bench = Bench()
    bench.silence(50)
    bench.canary.expect_anew()
    bench.silence(10)
    assert "stuck" not in bench.said
    bench.silence(2)
    assert bench.said[-1] == "stuck"
    bench.canary.hear()
    bench.said.clear()
    bench.silence(60)
    assert bench.said == ["deaf"]


def test_process_that_was_stopped_listens_before_it_judges() -> None:
    """After SIGCONT, or a laptop's sleep, the clock has jumped: that says nothing about NATS."""
    bench = Bench()
    bench.now_s += 3600
    bench.canary.judge(connected=True)
    assert bench.said == []
    assert not bench.canary.wants_renewal(connected=True)


def test_silent_connection_is_replaced_at_once_and_a_broken_one_after_the_patience() -> None:
    """nats-py repairs what it knows to be broken; only in the end it is doubted that it still does."""
    bench = Bench()
    bench.silence(6)
    assert not bench.canary.wants_renewal(connected=True)
    bench.silence(2)
    assert bench.canary.wants_renewal(connected=True)
    assert not bench.canary.wants_renewal(connected=False)
    bench.silence(60, connected=False)
    assert bench.canary.wants_renewal(connected=False)


async def test_renewals_that_do_not_help_come_at_growing_intervals() -> None:
    """Each new connection is listened to first, and a renewal that fails is only the next one's beginning."""
    bench = Bench()
    renewed_at_s = []

    async def renew() -> None:
        renewed_at_s.append(bench.now_s)
        if len(renewed_at_s) == 2:
            raise OSError("no route")

    for _ in range(3600):
        bench.silence(2)
        if bench.canary.wants_renewal(connected=True):
            await bench.canary._renew(renew)
    pauses = [later - earlier for earlier, later in pairwise(renewed_at_s)]
    assert min(pauses) > 6
    assert max(pauses) <= 6 + 30 + 2
    assert len(renewed_at_s) > 7200 / 38
