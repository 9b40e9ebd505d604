"""What files are, by their bytes: one of each type as real programs write it, and files that pretend."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_api.settings import ChatApiSettings
from chat_api.sniffing import HEAD_BYTES, Sniffer

ALLOWED = ChatApiSettings.model_construct().attachment_type_set


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(bytes(4)))
    + _chunk(b"IEND", b"")
)
WEBM = bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282847765626d42878104428581021853806701ffffffffffffff")
OGG = b"OggS\x00\x02" + bytes(8) + b"\x01\x02\x03\x04" + bytes(8)
MP4 = b"\x00\x00\x00\x1cftypiso5\x00\x00\x00\x00iso5iso6mp41\x00\x00\x02\x00moov" + bytes(120)
HTML = b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'

TAKEN = {
    "png": (PNG, "image/png"),
    "jpeg of a camera": (b"\xff\xd8\xff\xe1\x10\x10Exif\x00\x00II*\x00" + bytes(60), "image/jpeg"),
    "jpeg of a program": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01" + bytes(60), "image/jpeg"),
    "jpeg without a header": (b"\xff\xd8\xff\xdb\x00\x43" + bytes(60), "image/jpeg"),
    "gif": (b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + bytes(20), "image/gif"),
    "old gif": (b"GIF87a\x01\x00\x01\x00\x80\x00\x00" + bytes(20), "image/gif"),
    "webp": (b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(24), "image/webp"),
    "webp that moves": (b"RIFF\x24\x00\x00\x00WEBPVP8X" + bytes(24), "image/webp"),
    "voice note of Firefox": (OGG + b"\x01\x13OpusHead\x01\x01" + bytes(20), "audio/ogg"),
    "vorbis": (OGG + b"\x01\x1e\x01vorbis" + bytes(20), "audio/ogg"),
    "voice note of Chrome": (WEBM + b"\x16\x54\xae\x6b\x83\x81\x02\x86\x86A_OPUS" + bytes(40), "audio/webm"),
    "voice note of Safari": (MP4 + b"hdlr" + bytes(8) + b"soun" + bytes(40), "audio/mp4"),
    "voice memo of a phone": (b"\x00\x00\x00\x1cftypM4A \x00\x00\x00\x00M4A mp42isom" + bytes(40), "audio/mp4"),
    "mp3 with a title": (b"ID3\x04\x00\x00\x00\x00\x00\x21TSSE" + bytes(40), "audio/mpeg"),
    "bare mp3": (b"\xff\xfb\x90\x64" + bytes(60), "audio/mpeg"),
    "mp3 at a low rate": (b"\xff\xf3\x40\xc4" + bytes(60), "audio/mpeg"),
    "wav": (b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + bytes(30), "audio/wav"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "application/pdf"),
    "text": ("Guten Tag, 你好 👋\r\n\tBis bald".encode(), "text/plain"),
    "text with a mark": (b"\xef\xbb\xbfhello", "text/plain"),
    "text that begins like a picture": (b"BM is how this text begins, and it is plain", "text/plain"),
    "text with a comparison": (b"if a < b and c > d: x<y", "text/plain"),
    # What stands behind a picture's end is not looked at: it is served as a picture, and nothing else.
    "picture with a page behind it": (PNG + HTML, "image/png"),
}

REFUSED = {
    "nothing": b"",
    "html": HTML,
    "html behind blanks": b"\n\n  \t" + HTML,
    "html behind a mark": b"\xef\xbb\xbf" + HTML,
    "html behind text": b"Dear customer, <ScRiPt>alert(1)</script>",
    "svg": SVG,
    "svg as xml": b'<?xml version="1.0"?>' + SVG,
    "svg behind a comment": b"<!-- a picture -->" + SVG,
    "shell script": b"#!/bin/sh\nrm -rf ~\n",
    "windows program": b"MZ\x90\x00" + bytes(80),
    "linux program": b"\x7fELF\x02\x01\x01" + bytes(80),
    "zip": b"PK\x03\x04" + bytes(40),
    "film in webm": WEBM + b"\x83\x81\x01\x86\x85V_VP8\x83\x81\x02\x86\x86A_OPUS" + bytes(20),
    "film in mp4": MP4 + b"hdlr" + bytes(8) + b"vide" + bytes(40) + b"hdlr" + bytes(8) + b"soun",
    "film in ogg": OGG + b"\x01\x2a\x80theora" + bytes(40),
    "matroska": bytes.fromhex("1a45dfa3934282886d6174726f736b6142878104") + bytes(30),
    "avi": b"RIFF\x24\x00\x00\x00AVI LIST" + bytes(30),
    "tiff": b"II*\x00" + bytes(30),
    "latin-1": "Grüße".encode("latin-1"),
    "text with NUL": b"hello\x00world",
    "text with an escape to the left": b"hello\x08\x08world",
    "half a character": "你".encode()[:2],
    "random bytes": bytes(range(128, 256)),
}


def sniffed(data: bytes, allowed: frozenset[str] = ALLOWED, size: int = 1000) -> str | None:
    """The type of a file that comes in pieces; None if it is refused."""
    sniffer = Sniffer(allowed)
    for at in range(0, len(data), size):
        if not sniffer.feed(data[at : at + size]):
            return None
    return sniffer.found if data and sniffer.end() else None


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("name", TAKEN)
def test_a_file_is_what_its_bytes_say(name: str, size: int) -> None:
    """However it is cut."""
    data, media_type = TAKEN[name]
    assert sniffed(data, size=size) == media_type


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_is_refused(name: str, size: int) -> None:
    """What a browser or a system would run above all; neither name nor header has a say."""
    assert sniffed(REFUSED[name], size=size) is None


def test_text_is_text_to_its_end() -> None:
    """A program behind eight kilobytes of poems is no poem."""
    poem = b"roses are red\n" * 2000
    assert len(poem) > HEAD_BYTES
    assert sniffed(poem) == "text/plain"
    assert sniffed(poem + b"\x00") is None
    assert sniffed(poem + b"\xff\xfe") is None
    assert sniffed(poem + "你".encode()[:1]) is None


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="<#%"), min_size=1))
def test_whatever_people_write_is_taken(text: str) -> None:
    """Every text in every script; as text, or as what its first letters happen to say."""
    assert sniffed(text.encode(), size=3) in ALLOWED


def test_only_what_is_allowed_is_found() -> None:
    """An installation that wants pictures only gets pictures only; what browsers run, no list allows."""
    only = frozenset({"image/png"})
    assert sniffed(PNG, only) == "image/png"
    assert sniffed(b"hello", only) is None
    assert sniffed(SVG, frozenset({"image/svg+xml", "text/html"})) is None
    assert sniffed(b"PK\x03\x04" + bytes(40), frozenset({"application/zip"})) == "application/zip"
