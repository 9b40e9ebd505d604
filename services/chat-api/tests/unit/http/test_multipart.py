"""Forms with files, however the network cuts them into pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_api.http.multipart import NotMultipart, Part, PartEnd, boundary_of, events


def form(data: bytes = b"abc\r\n--def") -> tuple[str, bytes]:
    """A form as another implementation writes it: its boundary, and the whole."""
    request = httpx.Request(
        "POST", "http://x/", files={"file": ("röntgen 1.png", data, "image/png")}, data={"duration_ms": "5"}
    )
    boundary = boundary_of(request.headers["content-type"])
    assert boundary is not None
    return boundary, request.read()


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    """The body in pieces."""
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def parsed(boundary: str, body: bytes, size: int = 1000) -> list[tuple[Part, bytes]]:
    """Each part with its bytes."""
    found: list[tuple[Part, bytes]] = []
    async for event in events(boundary, pieces(body, size)):
        if isinstance(event, Part):
            found.append((event, b""))
        elif isinstance(event, bytes):
            found[-1] = (found[-1][0], found[-1][1] + event)
        else:
            assert isinstance(event, PartEnd)
    return found


@given(st.binary(max_size=300), st.integers(min_value=1, max_value=200))
async def test_a_form_is_the_same_in_all_pieces(data: bytes, size: int) -> None:
    """Whatever the file holds and wherever the network cuts it, also in the middle of a boundary."""
    boundary, body = form(data)
    assert await parsed(boundary, body, size) == [
        (Part("duration_ms", None), b"5"),
        (Part("file", "röntgen 1.png"), data),
    ]


@pytest.mark.parametrize("spoil", ["nothing", "garbage", "cut", "nameless", "headless"])
async def test_what_is_no_form_says_so(spoil: str) -> None:
    """Also a form that breaks off: a file that is not whole must not look whole."""
    boundary, body = form()
    spoilt = {
        "nothing": b"",
        "garbage": b"garbage",
        "cut": body[:-8],
        "nameless": body.replace(b"name=", b"nome="),
        "headless": body.replace(b"Content-Disposition", b"X-Other"),
    }[spoil]
    with pytest.raises(NotMultipart):
        await parsed(boundary, spoilt)


async def test_headers_of_parts_are_limited() -> None:
    """Nobody makes us remember a megabyte of name."""
    boundary, body = form()
    with pytest.raises(NotMultipart):
        await parsed(boundary, body.replace(b"name=", b"x=" + b"y" * 1_000_000 + b"; name="))


async def test_what_follows_the_last_boundary_is_not_read() -> None:
    """The form is over when it says so."""
    boundary, body = form()

    async def and_more() -> AsyncIterator[bytes]:
        yield body
        raise AssertionError("read on")

    assert [event async for event in events(boundary, and_more())]


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", "abc"),
        ('Multipart/Form-Data; Boundary="a b"', "a b"),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=abc", None),
        ("application/json", None),
        ("", None),
    ],
)
def test_boundaries(content_type: str, boundary: str | None) -> None:
    """Only forms with files have one."""
    assert boundary_of(content_type) == boundary


async def test_a_boundary_has_a_limit() -> None:
    """RFC 2046 ends at 70 characters."""
    with pytest.raises(NotMultipart):
        await parsed("x" * 5000, b"")
