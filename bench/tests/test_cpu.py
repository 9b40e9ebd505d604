"""CPU time is shared out by name, and what is left belongs to others."""

from __future__ import annotations

from bench.cpu import Moment, cores_between, moment


def test_cores_are_seconds_of_cpu_per_second() -> None:
    """Two seconds: one process used one core, another a quarter, others half a core."""
    before = Moment(10.0, {"a": 5.0, "b": 1.0}, 100.0)
    after = Moment(12.0, {"a": 7.0, "b": 1.5}, 103.5)
    assert cores_between(before, after) == {"a": 1.0, "b": 0.25, "others": 0.5}


def test_a_moment_counts_this_process_and_survives_one_that_is_gone() -> None:
    """A part that died uses nothing."""
    now = moment({"gone": 2**22 - 1})
    assert now.by_name["gone"] == 0.0
    assert now.by_name["driver"] > 0.0
