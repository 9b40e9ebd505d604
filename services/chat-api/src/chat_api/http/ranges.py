"""Parts of a file and files that the client has already: the conditional half of RFC 9110."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*\Z", re.ASCII)
_DIGITS_MAX = 18


class NotSatisfiable(Exception):
    """The file has no such bytes."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes from `start` up to but not including `end`."""

    start: int
    end: int


def wanted(header: str | None, size: int) -> Range | None:
    """The part that a `Range` header asks for; None: all of it, also if the header is none that we understand.

    Several parts in one answer are not made: RFC 9110 allows to answer with the whole. Raises `NotSatisfiable`.
    """
    match = _RANGE.match(header) if header is not None else None
    if match is None:
        return None
    first, last = match.groups()
    if max(len(first), len(last)) > _DIGITS_MAX or not (first or last):
        return None
    if not first:
        if int(last) == 0 or size == 0:
            raise NotSatisfiable
        return Range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise NotSatisfiable
    return Range(int(first), min(int(last) + 1, size) if last else size)


def matches(header: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` header names this version of the file."""
    if header is None:
        return False
    named = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in named or etag in named
