"""What every request passes first, against an application that reads its body."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel

from chat_api.http import errors
from chat_api.http.limits import RequestLimits

LIMIT = 1000


class _Body(BaseModel):
    text: str


def app() -> FastAPI:
    """Two routes, behind the limits."""
    made = FastAPI()

    @made.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @made.post("/json")
    async def parsed(body: _Body) -> int:
        return len(body.text)

    @made.post("/large")
    async def large(request: Request) -> int:
        return len(await request.body())

    errors.install(made)
    made.add_middleware(RequestLimits, body_bytes_max=LIMIT, larger={"/large": 3 * LIMIT})
    return made


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of that application, in this process."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app()), base_url="http://test") as made:
        yield made


async def chunks(size: int) -> AsyncIterator[bytes]:
    """A JSON body of `size` bytes, in pieces and without a length."""
    text = b'{"text":"' + b"x" * (size - 11) + b'"}'
    for start in range(0, size, 100):
        yield text[start : start + 100]


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", ["/raw", "/json"])
async def test_a_body_at_the_limit_passes(client: httpx.AsyncClient, path: str) -> None:
    """With and without a length."""
    body = b"".join([chunk async for chunk in chunks(LIMIT)])
    assert len(body) == LIMIT
    assert (await client.post(path, content=body, headers=JSON)).status_code == 200
    assert (await client.post(path, content=chunks(LIMIT), headers=JSON)).status_code == 200


@pytest.mark.parametrize("path", ["/raw", "/json"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_above_the_limit_is_too_large(client: httpx.AsyncClient, path: str, chunked: bool) -> None:
    """413 with its code, whether the length was said or not, and whoever reads the body."""
    body = chunks(LIMIT + 1) if chunked else b"".join([chunk async for chunk in chunks(LIMIT + 1)])
    answer = await client.post(path, content=body, headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["code"] == "payload_too_large"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_path_may_have_a_larger_limit(client: httpx.AsyncClient, chunked: bool) -> None:
    """This path and no other, not even one below it; and it is a limit all the same."""
    body = b"x" * 3 * LIMIT

    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(data), 100):
            yield data[at : at + 100]

    async def status(path: str, data: bytes) -> int:
        return (await client.post(path, content=pieces(data) if chunked else data)).status_code

    assert await status("/large", body) == 200
    assert await status("/large", body + b"x") == 413
    assert await status("/raw", body) == 413
    assert await status("/large/more", body) in (404, 413)


async def test_a_lying_length_is_not_believed(client: httpx.AsyncClient) -> None:
    """A small Content-Length before a large body does not open the door."""
    answer = await client.post("/json", content=chunks(LIMIT * 3), headers=JSON | {"content-length": "10"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-1.2_3", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("", False),
        ("é", False),
        ("a,b", False),
    ],
)
async def test_request_ids(client: httpx.AsyncClient, given: str, kept: bool) -> None:
    """A caller's id is kept if it is harmless, and every answer has one."""
    answer = await client.post("/raw", content=b"x", headers={b"x-request-id": given.encode()})
    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.headers["x-request-id"]
