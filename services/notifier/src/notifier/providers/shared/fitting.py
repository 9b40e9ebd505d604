"""Making a push's JSON fit into what a service takes, by shortening its words where a reader would cut them; pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import regex

from notifier.providers.base import PermanentPushError

ELLIPSIS = "…"
_CLUSTER = regex.compile(r"\X")


class PayloadTooLarge(PermanentPushError):
    """Even without any words the push is larger than the service takes: its ids and data are too long."""


def dump(value: Any) -> bytes:
    """JSON as it is sent: UTF-8, no spaces. What is no character at all (half a surrogate pair) becomes `?`."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def shorten(text: str, bytes_max: int) -> str:
    """`text`, or its longest beginning that takes at most `bytes_max` bytes inside a JSON string, with an ellipsis.

    It is cut between what a reader takes for characters (grapheme clusters): never inside an emoji of several code
    points, an accented letter or a flag. If not even the ellipsis fits, it is empty.
    """
    if _size(text) <= bytes_max:
        return text
    room = bytes_max - _size(ELLIPSIS)
    if room < 0:
        return ""
    end = 0
    for cluster in _CLUSTER.finditer(text):
        room -= _size(cluster.group())
        if room < 0:
            break
        end = cluster.end()
    return text[:end].rstrip() + ELLIPSIS


def clip(text: str, chars_max: int) -> str:
    """As `shorten`, for services that count characters: UTF-16 units, of which most emojis have two or more."""
    if _units(text) <= chars_max:
        return text
    room, end = chars_max - _units(ELLIPSIS), 0
    for cluster in _CLUSTER.finditer(text):
        room -= _units(cluster.group())
        if room < 0:
            break
        end = cluster.end()
    return text[:end].rstrip() + ELLIPSIS


def fitted(build: Callable[[str, str], Any], title: str, content: str, bytes_max: int) -> bytes:
    """The JSON of `build(title, content)`, in at most `bytes_max` bytes; raises `PayloadTooLarge`.

    The content is shortened first, and the title only when no content is left. `build` must use each of them once.
    """
    whole = dump(build(title, content))
    if len(whole) <= bytes_max:
        return whole
    room = bytes_max - len(dump(build(title, "")))
    if room >= 0:
        return dump(build(title, shorten(content, room)))
    room = bytes_max - len(dump(build("", "")))
    if room >= 0:
        return dump(build(shorten(title, room), ""))
    raise PayloadTooLarge("the push's ids and data alone are larger than the service takes")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _size(text: str) -> int:
    """Bytes inside a JSON string, without the quotes."""
    return len(dump(text)) - 2
