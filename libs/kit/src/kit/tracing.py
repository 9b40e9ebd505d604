"""One trace id from the first request to the last push: W3C `traceparent`, read, made, and put beside log lines."""

from __future__ import annotations

import random
import re
from contextvars import ContextVar
from typing import NamedTuple

import structlog

_TRACEPARENT = re.compile(
    r"^(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?\Z"
)

_IN_JSON = re.compile(r'"traceparent":\s*"([0-9a-f-]{55,})"')

_current: ContextVar[str | None] = ContextVar("natter_traceparent", default=None)

# Ids must be unlikely to meet, not hard to guess; asking the system for entropy would cost a call for every request.
_random = random.Random()  # noqa: S311


def current() -> str | None:
    """The `traceparent` of the work that this task does, if it is part of a trace."""
    return _current.get()


def begin(given: str | None) -> str:
    """Make this task's work part of the caller's trace, or of a new one; log lines from here on carry `trace_id`.

    What is no valid `traceparent` counts as none, as the standard demands. Returns the one to pass on: the same trace,
    with our own step as the parent of what comes.
    """
    passed_on = child_of(given)
    _current.set(passed_on)
    structlog.contextvars.bind_contextvars(trace_id=trace_id(passed_on))
    return passed_on


def child_of(given: str | None) -> str:
    """A `traceparent` for the next step of the same trace; of a new trace if there is none (or none that is valid)."""
    parts = _parts(given)
    if parts is None:
        return f"00-{_nonzero(128):032x}-{_nonzero(64):016x}-01"
    # A higher version may mean more than we know: what we pass on is version 00.
    flags = "01" if int(parts["flags"], 16) & 1 else "00"
    return f"00-{parts['trace']}-{_nonzero(64):016x}-{flags}"


def valid(given: str | None) -> str | None:
    """`given` if it is a `traceparent`, else None: for one that comes from elsewhere and is only passed on."""
    return given if _parts(given) is not None else None


def trace_id(traceparent: str | None) -> str | None:
    """The 32 hexadecimal digits that all steps of one trace share; None if there are none."""
    parts = _parts(traceparent)
    return None if parts is None else parts["trace"]


class Ids(NamedTuple):
    """What a `traceparent` says, as numbers."""

    trace: int
    span: int
    sampled: bool
    """Whether whoever began the trace wants it to be recorded."""


def ids(traceparent: str | None) -> Ids | None:
    """What a `traceparent` says; None if it is none."""
    parts = _parts(traceparent)
    return (
        None
        if parts is None
        else Ids(int(parts["trace"], 16), int(parts["parent"], 16), bool(int(parts["flags"], 16) & 1))
    )


def told(traceparent: str | None) -> dict[str, str]:
    """`trace_id` for a log line, if there is one: `log.debug("…", **tracing.told(event.traceparent))`."""
    found = trace_id(traceparent)
    return {} if found is None else {"trace_id": found}


def within(text: str) -> str | None:
    """The first `traceparent` in a JSON text, found without reading the text as JSON."""
    found = _IN_JSON.search(text) if "traceparent" in text else None
    return None if found is None else found[1]


def _parts(traceparent: str | None) -> re.Match[str] | None:
    found = _TRACEPARENT.match(traceparent) if traceparent is not None else None
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["rest"] is not None):
        return None
    # Zero is the standard's word for "none".
    return found if int(found["trace"], 16) and int(found["parent"], 16) else None


def _nonzero(bits: int) -> int:
    return _random.getrandbits(bits) or 1
