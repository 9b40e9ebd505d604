"""Stores of bytes: what holds for each of them, against the real JetStream and a bucket on this machine."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from chat_api.blobs.base import BlobMissing, Blobs, BlobsUnavailable
from chat_api.blobs.nats import CHUNK_BYTES, NatsBlobs
from chat_api.blobs.s3 import PART_BYTES, READ_BYTES, S3Blobs
from contracts.attachments import OBJECT_STORE
from contracts.ids import new_id
from stack.ports import free_port

STREAM = f"OBJ_{OBJECT_STORE}"


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The address of a server that speaks S3, with an empty bucket `files`; ends with the tests."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=8), timeout=20) as http:
            assert http.put(f"{address}/files").status_code == 200
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.fixture(params=["nats", "s3"])
def blobs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    """Each of them."""
    if request.param == "nats":
        made = NatsBlobs()
        made.js = request.getfixturevalue("js")
        return made
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    return S3Blobs("files", endpoint=request.getfixturevalue("bucket"), region="us-east-1")


@pytest.fixture
def nats_blobs(js: JetStreamContext) -> NatsBlobs:
    """The one on JetStream."""
    made = NatsBlobs()
    made.js = js
    return made


def content(size: int, seed: int = 1) -> bytes:
    """Bytes that are nowhere the same."""
    return random.Random(seed).randbytes(size)


async def pieces(data: bytes, size: int = 50_000, fail: Exception | None = None) -> AsyncIterator[bytes]:
    """The bytes as a network would bring them; then, perhaps, the end of it."""
    for at in range(0, len(data), size):
        yield data[at : at + size]
    if fail is not None:
        raise fail


async def read(blobs: Blobs, blob_id: str, start: int, end: int) -> bytes:
    """A part, whole."""
    return b"".join([piece async for piece in blobs.get(blob_id, start, end)])


async def test_what_is_put_comes_back_whole_and_in_every_part(blobs: Blobs) -> None:
    """Parts that begin and end at chunks' edges, beside them, and within one; bytes are equal to slices."""
    data = content(PART_BYTES + 3 * CHUNK_BYTES + 17)
    blob_id = new_id()
    assert await blobs.put(blob_id, pieces(data)) == len(data)
    edges = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, READ_BYTES, READ_BYTES + 1, PART_BYTES, len(data)]
    for start in edges:
        for end in edges:
            if start <= end:
                assert await read(blobs, blob_id, start, end) == data[start:end], (start, end)


@pytest.mark.parametrize("size", [1, 1000, CHUNK_BYTES, 2 * CHUNK_BYTES])
async def test_small_ones_and_whole_chunks(blobs: Blobs, size: int) -> None:
    """Where off-by-one mistakes live."""
    data, blob_id = content(size), new_id()
    assert await blobs.put(blob_id, pieces(data, 777)) == size
    assert await read(blobs, blob_id, 0, size) == data
    assert await read(blobs, blob_id, size - 1, size) == data[-1:]


async def test_what_is_not_there_is_missing(blobs: Blobs) -> None:
    """Never put, deleted, or shorter than asked for; deleting is repeated without harm."""
    with pytest.raises(BlobMissing):
        await read(blobs, new_id(), 0, 1)
    blob_id = new_id()
    await blobs.put(blob_id, pieces(content(1000)))
    with pytest.raises(BlobMissing):
        await read(blobs, blob_id, 0, 1001)
    await blobs.delete(blob_id)
    await blobs.delete(blob_id)
    with pytest.raises(BlobMissing):
        await read(blobs, blob_id, 0, 1)


async def test_nothing_stays_of_an_upload_that_breaks_off(blobs: Blobs) -> None:
    """What the sender's side raises comes through as it is."""
    blob_id = new_id()
    with pytest.raises(ValueError, match="gone"):
        await blobs.put(blob_id, pieces(content(2 * PART_BYTES), fail=ValueError("gone")))
    with pytest.raises(BlobMissing):
        await read(blobs, blob_id, 0, 1)
    if isinstance(blobs, NatsBlobs):
        assert blobs.js is not None
        info = await blobs.js.stream_info(STREAM, subjects_filter=f"$O.{OBJECT_STORE}.C.{blob_id}")
        assert not info.state.subjects


async def test_several_at_once_do_not_mix(blobs: Blobs) -> None:
    """Their chunks lie between each other's."""
    files = {new_id(): content(300_000 + number, number) for number in range(4)}
    await asyncio.gather(*(blobs.put(blob_id, pieces(data, 10_000)) for blob_id, data in files.items()))
    for blob_id, data in files.items():
        assert await read(blobs, blob_id, 100_000, len(data)) == data[100_000:]


async def test_other_tools_read_what_is_put(nats_blobs: NatsBlobs, js: JetStreamContext) -> None:
    """It is an object store like every other: another implementation finds the object, and the digest fits."""
    data, blob_id = content(300_000), new_id()
    await nats_blobs.put(blob_id, pieces(data))
    store = await js.object_store(OBJECT_STORE)
    found = await store.get(blob_id)
    assert found.data == data
    assert found.info.size == len(data)
    assert found.info.digest == "SHA-256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    assert found.info.chunks == 3


async def test_what_other_tools_put_is_read(nats_blobs: NatsBlobs, js: JetStreamContext) -> None:
    """A bucket that was copied has its chunks at other places: they are found all the same."""
    data, blob_id = content(500_000), new_id()
    await nats_blobs.put(new_id(), pieces(content(10)))
    await nats_blobs.put(blob_id, pieces(data))
    message = await js.get_msg(STREAM, subject=f"$O.{OBJECT_STORE}.M.{_name(blob_id)}", direct=True)
    assert message.data is not None
    moved = message.data.replace(b'"natter-places":"', b'"natter-places":"1')
    assert moved != message.data
    await js.publish(f"$O.{OBJECT_STORE}.M.{_name(blob_id)}", moved, headers={"Nats-Rollup": "sub"})
    # 1 in front of the first place points far behind the end: there is nothing.
    with pytest.raises(BlobMissing):
        await read(nats_blobs, blob_id, 0, len(data))
    early = message.data.replace(b'"natter-places":"', b'"natter-places":"1,')
    await js.publish(f"$O.{OBJECT_STORE}.M.{_name(blob_id)}", early, headers={"Nats-Rollup": "sub"})
    assert await read(nats_blobs, blob_id, 200_000, len(data)) == data[200_000:]


def _name(blob_id: str) -> str:
    return base64.urlsafe_b64encode(blob_id.encode()).decode()


async def test_a_store_that_is_lost_is_made_anew(nats_blobs: NatsBlobs, observer: Client) -> None:
    """JetStream may lose its data: what was there is missing, and the next upload works."""
    blob_id = new_id()
    await nats_blobs.put(blob_id, pieces(content(1000)))
    await observer.jetstream().delete_stream(STREAM)
    with pytest.raises((BlobMissing, BlobsUnavailable)):
        await read(nats_blobs, blob_id, 0, 1)
    await nats_blobs.delete(blob_id)
    await nats_blobs.put(blob_id, pieces(content(1000)))
    assert await read(nats_blobs, blob_id, 0, 1000) == content(1000)


async def test_a_full_store_says_so(js: JetStreamContext, observer: Client) -> None:
    """The limit is JetStream's own; what was begun is gone, and there is room again."""
    await observer.jetstream().delete_stream(STREAM)
    small = NatsBlobs(bytes_max=1_000_000)
    small.js = js
    try:
        with pytest.raises(BlobsUnavailable):
            await small.put(new_id(), pieces(content(2_000_000)))
        assert await small.put(new_id(), pieces(content(500_000))) == 500_000
    finally:
        await observer.jetstream().delete_stream(STREAM)


async def test_before_there_is_a_connection_it_is_unavailable() -> None:
    """The service answers 503 then, and does not break."""
    with pytest.raises(BlobsUnavailable):
        await NatsBlobs().put(new_id(), pieces(b"x"))
    with pytest.raises(BlobsUnavailable):
        await read(NatsBlobs(), new_id(), 0, 1)


async def test_a_bucket_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    gone: Any = S3Blobs("files", endpoint="http://127.0.0.1:9", region="us-east-1")
    with pytest.raises(BlobsUnavailable):
        await gone.put(new_id(), pieces(b"x"))
    with pytest.raises(BlobsUnavailable):
        await read(gone, new_id(), 0, 1)


async def test_an_empty_variable_is_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    """What compose hands on of an unset session token is not sent to the bucket."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).lower())
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "")
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BlobMissing):
            await read(S3Blobs("files", endpoint=f"http://127.0.0.1:{port}", region="us-east-1"), new_id(), 0, 1)
    assert b"authorization: aws4-hmac-sha256 credential=nobody/" in heard[0]
    assert b"x-amz-security-token" not in heard[0]
