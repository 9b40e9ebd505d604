"""A trace goes on where it began, and what is no trace begins one."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from kit import tracing

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_the_callers_trace_goes_on() -> None:
    """Same trace id and sampling, another parent."""
    passed_on = tracing.child_of(GIVEN)
    assert tracing.trace_id(passed_on) == TRACE
    assert passed_on != GIVEN
    assert passed_on.endswith("-01")
    assert tracing.child_of(GIVEN.removesuffix("01") + "00").endswith("-00")


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "nonsense",
        GIVEN.upper(),
        GIVEN + "-more",
        GIVEN.replace("00-4", "ff-4"),
        GIVEN.replace(TRACE, "0" * 32),
        GIVEN.replace("00f067aa0ba902b7", "0" * 16),
        GIVEN + "\n",
    ],
)
def test_what_is_no_traceparent_begins_a_trace(given: str | None) -> None:
    """A new id each time, and in the standard's form."""
    one, other = tracing.child_of(given), tracing.child_of(given)
    assert tracing.valid(given) is None
    assert tracing.trace_id(given) is None
    assert tracing.valid(one) == one
    assert tracing.trace_id(one) != tracing.trace_id(other)


def test_a_newer_version_is_read_as_far_as_we_know_it() -> None:
    """The standard's rule for versions to come."""
    newer = GIVEN.replace("00-4", "01-4") + "-what-comes"
    assert tracing.trace_id(tracing.child_of(newer)) == TRACE
    assert tracing.child_of(newer).startswith("00-")


def test_what_a_log_line_says() -> None:
    """The trace id or nothing, from an event or from the text that is kept beside it."""
    assert tracing.told(GIVEN) == {"trace_id": TRACE}
    assert tracing.told(None) == tracing.told("nonsense") == {}
    assert tracing.within(f'{{"actor": "traceparent", "traceparent": "{GIVEN}"}}') == GIVEN
    assert tracing.within('{"actor": "traceparent"}') is None


async def test_each_task_has_its_own_trace() -> None:
    """Two requests at the same time do not mix up their log lines."""

    async def work(given: str | None) -> tuple[str | None, object]:
        passed_on = tracing.begin(given)
        await asyncio.sleep(0)
        assert tracing.current() == passed_on
        return tracing.trace_id(tracing.current()), structlog.contextvars.get_contextvars()["trace_id"]

    first, second = await asyncio.gather(asyncio.create_task(work(GIVEN)), asyncio.create_task(work(None)))
    assert first == (TRACE, TRACE)
    assert second[0] == second[1]
    assert second[0] != TRACE
    assert tracing.current() is None
