"""`multipart/form-data` as it comes in: never a whole part in memory, never one on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeAlias

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header


class NotMultipart(Exception):
    """The body is not what its Content-Type says. The message is for the sender."""


@dataclass(frozen=True, slots=True)
class Part:
    """A field or a file begins; its bytes follow."""

    name: str
    filename: str | None


class PartEnd:
    """The part's last byte has been given."""


Event: TypeAlias = Part | bytes | PartEnd


def boundary_of(content_type: str) -> str | None:
    """The boundary, if this is the Content-Type of a form with files."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    return boundary.decode("latin-1") if kind == b"multipart/form-data" and boundary else None


async def events(boundary: str, body: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """What the body consists of, in order; raises `NotMultipart`, also when it ends too early."""
    parser = _Parser(boundary)
    async for chunk in body:
        for event in parser.feed(chunk):
            yield event
        if parser.ended:
            return
    raise NotMultipart("The body ends before its last boundary.")


class _Parser:
    """The library calls back; whoever awaits wants to be given."""

    def __init__(self, boundary: str) -> None:
        self.ended = False
        self._events: deque[Event] = deque()
        self._field, self._value = bytearray(), bytearray()
        self._disposition = b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_begin": self._on_header_begin,
                    "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
                    "on_part_end": lambda: self._events.append(PartEnd()),
                    "on_end": self._on_end,
                },
            )
        except FormParserError as wrong:
            raise NotMultipart("The boundary is too long.") from wrong

    def feed(self, chunk: bytes) -> deque[Event]:
        """The events that `chunk` completes."""
        try:
            self._parser.write(chunk)
        except FormParserError as wrong:
            raise NotMultipart(f"The body is no multipart/form-data: {wrong}"[:200]) from wrong
        found, self._events = self._events, deque()
        return found

    def _on_part_begin(self) -> None:
        self._disposition = b""

    def _on_header_begin(self) -> None:
        self._field.clear()
        self._value.clear()

    def _on_header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = bytes(self._value)

    def _on_headers_finished(self) -> None:
        # Latin-1 keeps every byte; browsers write names in UTF-8.
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        name, filename = options.get(b"name"), options.get(b"filename")
        if name is None:
            raise NotMultipart("A part has no name.")
        self._events.append(Part(_text(name), None if filename is None else _text(filename)))

    def _on_end(self) -> None:
        self.ended = True


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")
