"""One upload as it comes in: fields are kept, the file's bytes handed on, measured and looked at."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator

from chat_api.domain.attachments import NAME_CHARS_MAX, stored_name
from chat_api.http.errors import ApiError
from chat_api.http.multipart import Event, Part, PartEnd
from chat_api.sniffing import Sniffer
from contracts.attachments import Attachment
from contracts.codes import ErrorCode

FIELD_BYTES_MAX = 4 * NAME_CHARS_MAX
"""Longest field: so many characters, in UTF-8."""
DURATION_MS_MAX = 24 * 3600 * 1000
FORM_BYTES_MAX = 16 * 1024
"""What a form may be larger than its file."""

_FIELDS = ("name", "duration_ms")


async def patient(body: AsyncIterator[bytes], *, stall_s: float, whole_s: float) -> AsyncIterator[bytes]:
    """The same body; raises 503 `timeout` if nothing comes for `stall_s`, or not all within `whole_s` seconds."""
    give_up = time.monotonic() + whole_s
    while True:
        try:
            async with asyncio.timeout(min(stall_s, give_up - time.monotonic())):
                chunk = await anext(body, None)
        except TimeoutError:
            raise ApiError(ErrorCode.TIMEOUT, "The upload was too slow.", headers={"Connection": "close"}) from None
        if chunk is None:
            return
        yield chunk


class Upload:
    """A form with one file and some fields, before or behind it. Call `begin`, read `file`, call `described`."""

    def __init__(self, events: AsyncIterator[Event], *, bytes_max: int, types: frozenset[str]) -> None:
        self._events = events
        self._bytes_max = bytes_max
        self._sniffer = Sniffer(types)
        self._digest = hashlib.sha256()
        self._size = 0
        self._fields: dict[str, str] = {}
        self._filename: str | None = None

    async def begin(self) -> None:
        """Read up to the file's first byte."""
        async for event in self._events:
            if isinstance(event, Part):
                if event.name == "file":
                    self._filename = event.filename or ""
                    return
                await self._field(event)
        raise _wrong("The form has no part `file`.")

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes; raises `ApiError` as soon as they are too many, or of no allowed type."""
        async for event in self._events:
            if isinstance(event, PartEnd):
                break
            assert isinstance(event, bytes)
            self._size += len(event)
            if self._size > self._bytes_max:
                raise ApiError(ErrorCode.PAYLOAD_TOO_LARGE, f"The file exceeds {self._bytes_max} bytes.")
            self._digest.update(event)
            if not self._sniffer.feed(event):
                raise _unsupported()
            yield event
        if self._size == 0:
            raise _wrong("The file is empty.")
        if not self._sniffer.end():
            raise _unsupported()

    async def described(self, attachment_id: str) -> Attachment:
        """Read the rest of the form; what the file was found to be."""
        async for event in self._events:
            if isinstance(event, Part):
                if event.name == "file":
                    raise _wrong("The form has more than one part `file`.")
                await self._field(event)
        assert self._sniffer.found is not None
        name = self._fields.get("name") or self._filename or ""
        return Attachment(
            id=attachment_id,
            name=stored_name(name, self._sniffer.found),
            media_type=self._sniffer.found,
            size_bytes=self._size,
            sha256=self._digest.hexdigest(),
            duration_ms=self._duration_ms(),
        )

    async def _field(self, part: Part) -> None:
        if part.name not in _FIELDS or part.name in self._fields:
            raise _wrong("A form has one part `file`, and at most one `name` and one `duration_ms`.")
        value = bytearray()
        async for event in self._events:
            if isinstance(event, PartEnd):
                break
            assert isinstance(event, bytes)
            value += event
            if len(value) > FIELD_BYTES_MAX:
                raise _wrong(f"`{part.name}` exceeds {FIELD_BYTES_MAX} bytes.")
        self._fields[part.name] = text = value.decode("utf-8", errors="replace")
        if len(text) > NAME_CHARS_MAX:
            raise _wrong(f"`{part.name}` exceeds {NAME_CHARS_MAX} characters.")

    def _duration_ms(self) -> int | None:
        text = self._fields.get("duration_ms")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= DURATION_MS_MAX):
            raise _wrong(f"`duration_ms` is a whole number from 0 to {DURATION_MS_MAX}.")
        return int(text)


def _wrong(message: str) -> ApiError:
    return ApiError(ErrorCode.VALIDATION_FAILED, message)


def _unsupported() -> ApiError:
    return ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "The file is none of the types that are taken here.")
