"""What a file is, by its bytes alone: names and the uploader's word count for nothing.

A type is believed if its signature is there; what stands behind a signature is nobody's promise. That is enough,
because every file is served with the type found here, `nosniff`, and (unless it is a picture or a sound) as a download:
a picture with a page hidden behind it is shown as a picture or not at all.
"""

from __future__ import annotations

import codecs
import re

import filetype

HEAD_BYTES = 8192
"""How much of a file is looked at to tell its type; where its tracks are named, if it has some."""

PLAIN_TEXT = "text/plain"
NEVER = frozenset({"text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/xml"})
"""Types that a browser would run; no setting allows them. Nothing here finds them either."""

_SPELLED = {"audio/x-wav": "audio/wav", "audio/x-flac": "audio/flac"}
_OGG_SOUND = (b"OpusHead", b"\x01vorbis", b"Speex   ", b"\x7fFLAC")
_MP4_SOUND_BRANDS = (b"M4A ", b"M4B ")
_WEBM_SOUND = (b"A_OPUS", b"A_VORBIS")
_MARKUP = re.compile(rb"<(!doctype|html|head|body|script|svg|iframe|math|object|embed|style|\?xml)", re.IGNORECASE)


def media_type(head: bytes) -> str | None:
    """The type of a file that begins with `head` (at least its first `HEAD_BYTES`); None if it has no signature."""
    found: str | None = filetype.guess_mime(head) if head else None
    if found is None:
        return None
    if found == "audio/ogg":
        return found if any(codec in head[:128] for codec in _OGG_SOUND) else "video/ogg"
    if found == "video/webm":
        return "audio/webm" if any(codec in head for codec in _WEBM_SOUND) and b"V_" not in head else found
    if found in ("video/mp4", "audio/mp4"):
        return _mp4(head)
    return _SPELLED.get(found, found)


def _mp4(head: bytes) -> str:
    # What a browser records as sound has a general brand; the kinds of its tracks follow close behind.
    if head[8:12] in _MP4_SOUND_BRANDS or (b"soun" in head and b"vide" not in head):
        return "audio/mp4"
    return "video/mp4"


def begins_like_text(head: bytes) -> bool:
    """Whether this may be the beginning of a plain text: without markup, which some readers would run."""
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    return not start.startswith((b"<", b"%PDF", b"#!")) and not _MARKUP.search(head)


class TextCheck:
    """Whether all of a file is text: valid UTF-8 without control characters that no text has."""

    _CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def passes(self, chunk: bytes, *, final: bool = False) -> bool:
        """Whether it is text so far; `final` with the last chunk, which may be empty."""
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            return False
        return not self._CONTROLS.search(text)


class Sniffer:
    """Looks at a file as it passes; `found` is its type once enough has been seen."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed - NEVER
        self._head = bytearray()
        self._text: TextCheck | None = None
        self.found: str | None = None

    def feed(self, chunk: bytes) -> bool:
        """False as soon as it is clear that the file is none of the allowed types."""
        if self.found is None:
            self._head += chunk
            return len(self._head) < HEAD_BYTES or self._decide()
        return self._text is None or self._text.passes(chunk)

    def end(self) -> bool:
        """No more comes; False if the file is none of the allowed types."""
        if self.found is None and not self._decide():
            return False
        return self._text is None or self._text.passes(b"", final=True)

    def _decide(self) -> bool:
        head = bytes(self._head)
        found = media_type(head[:HEAD_BYTES])
        if found not in self._allowed:
            # Some signatures are two letters long, and texts begin with them, too.
            found = PLAIN_TEXT if PLAIN_TEXT in self._allowed and begins_like_text(head) else None
        if found is None:
            return False
        if found == PLAIN_TEXT:
            self._text = TextCheck()
            if not self._text.passes(head):
                return False
        self.found = found
        self._head.clear()
        return True
