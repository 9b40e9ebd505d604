"""Bytes in a JetStream object store, readable by every tool for object stores, streamed both ways.

nats-py's own ObjectStore reads an object only as a whole and from its beginning. Here the object's information, which
the store's format leaves room in, also says at which place in the stream each chunk is: a range costs only the chunks
that it touches. Chunks are fetched one by one, so that a slow reader holds one of them in memory and not a consumer's
queue.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import Header, ObjectStoreConfig, RawStreamMsg, StorageType

from chat_api.blobs.base import BlobMissing, BlobsUnavailable
from contracts.attachments import OBJECT_STORE
from contracts.times import rfc3339
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()

CHUNK_BYTES = 128 * 1024
"""What object stores use by default; well below NATS' largest message."""

_STREAM = f"OBJ_{OBJECT_STORE}"
_PLACES = "natter-places"


@dataclass(frozen=True, slots=True)
class _Info:
    size: int
    places: tuple[int, ...] | None
    """The chunks' places in the stream; None if another tool has written the object."""
    chunk_bytes: int


class NatsBlobs:
    """The `Blobs` port on JetStream. `js` is set when there is a connection; `bytes_max` 0 means no limit."""

    def __init__(self, bytes_max: int = 0) -> None:
        self.js: JetStreamContext | None = None
        self._bytes_max = bytes_max

    async def put(self, blob_id: str, chunks: AsyncIterator[bytes]) -> int:
        """Store `chunks` in messages of `CHUNK_BYTES`, then the object's information."""
        js = self._connected()
        digest, size, places = hashlib.sha256(), 0, list[int]()
        await self._ensure(js)
        try:
            async for piece in _in_pieces(chunks, CHUNK_BYTES):
                with _translated():
                    places.append((await js.publish(_chunk_subject(blob_id), piece)).seq)
                digest.update(piece)
                size += len(piece)
            info = {
                "name": blob_id,
                "metadata": {_PLACES: _encode_places(places)},
                "options": {"max_chunk_size": CHUNK_BYTES},
                "bucket": OBJECT_STORE,
                "nuid": blob_id,
                "size": size,
                "mtime": rfc3339(datetime.now(UTC)),
                "chunks": len(places),
                "digest": "SHA-256=" + base64.urlsafe_b64encode(digest.digest()).decode(),
            }
            with _translated():
                body = json.dumps(info, separators=(",", ":")).encode()
                await js.publish(_info_subject(blob_id), body, headers={Header.ROLLUP.value: "sub"})
        except BaseException:
            await self._try_to_delete(blob_id)
            raise
        return size

    async def get(self, blob_id: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The chunks that the range touches, cut to it."""
        js = self._connected()
        info = await self._info(js, blob_id)
        if not 0 <= start <= end <= info.size:
            raise BlobMissing(f"{blob_id} has {info.size} bytes, not {end}")
        if start == end:
            return
        at = start - start % info.chunk_bytes
        async for data in self._chunks(js, blob_id, info, start // info.chunk_bytes):
            yield data[max(0, start - at) : end - at]
            at += len(data)
            if at >= end:
                return
        raise BlobMissing(f"{blob_id} ends at {at}, before {end}")

    async def delete(self, blob_id: str) -> None:
        """The information first: what is not whole any more must not look whole."""
        js = self._connected()
        with _translated():
            for subject in (_info_subject(blob_id), _chunk_subject(blob_id)):
                with contextlib.suppress(nats.js.errors.NotFoundError):
                    await js.purge_stream(_STREAM, subject=subject)

    async def _ensure(self, js: JetStreamContext) -> None:
        """Make the store if it is missing. Asked before each upload: JetStream may have lost everything meanwhile."""
        with _translated():
            try:
                await js.stream_info(_STREAM)
            except nats.js.errors.NotFoundError:
                config = ObjectStoreConfig(
                    description="Files that messages carry, by attachment id",
                    storage=StorageType.FILE,
                    max_bytes=self._bytes_max,
                )
                # Refused if another process has made it at the same moment.
                with contextlib.suppress(nats.js.errors.BadRequestError):
                    await js.create_object_store(OBJECT_STORE, config)
                await js.stream_info(_STREAM)

    async def _try_to_delete(self, blob_id: str) -> None:
        try:
            await self.delete(blob_id)
        except BlobsUnavailable as away:
            # The row is still there, and the sweeper comes by.
            log.warning("half a file stays for now", stage=Stage.LIFECYCLE, attachment_id=blob_id, error=str(away))

    async def _info(self, js: JetStreamContext, blob_id: str) -> _Info:
        with _translated():
            try:
                message = await js.get_msg(_STREAM, subject=_info_subject(blob_id), direct=True)
            except nats.js.errors.NotFoundError:
                raise BlobMissing(blob_id) from None
        found: dict[str, Any] = json.loads(message.data or b"{}")
        if found.get("deleted"):
            raise BlobMissing(blob_id)
        places = (found.get("metadata") or {}).get(_PLACES)
        chunk_bytes = (found.get("options") or {}).get("max_chunk_size") or CHUNK_BYTES
        return _Info(found["size"], None if places is None else _decode_places(places), chunk_bytes)

    async def _chunks(self, js: JetStreamContext, blob_id: str, info: _Info, first: int) -> AsyncIterator[bytes]:
        """The chunks from number `first` on."""
        for number in range(first, len(info.places or ())):
            assert info.places is not None
            message = await self._next(js, blob_id, info.places[number])
            if message.seq != info.places[number]:
                # A stream that was restored by copying has other places. Slower, but right.
                log.warning("a file's chunks have moved", stage=Stage.LIFECYCLE, attachment_id=blob_id)
                break
            yield message.data or b""
            first = number + 1
        else:
            if info.places is not None:
                return
        place = 1
        for number in range((info.size + info.chunk_bytes - 1) // info.chunk_bytes):
            message = await self._next(js, blob_id, place)
            assert message.seq is not None
            place = message.seq + 1
            if number >= first:
                yield message.data or b""

    async def _next(self, js: JetStreamContext, blob_id: str, place: int) -> RawStreamMsg:
        """The chunk at this place, or the next one behind it."""
        with _translated():
            try:
                return await js.get_msg(_STREAM, seq=place, subject=_chunk_subject(blob_id), direct=True, next=True)
            except nats.js.errors.NotFoundError:
                raise BlobMissing(f"a chunk of {blob_id} is gone") from None

    def _connected(self) -> JetStreamContext:
        if self.js is None:
            raise BlobsUnavailable("not connected to NATS yet")
        return self.js


def _chunk_subject(blob_id: str) -> str:
    # Other tools put a random name here. Ours is the id: what is left of a half upload can be found without it.
    return f"$O.{OBJECT_STORE}.C.{blob_id}"


def _info_subject(blob_id: str) -> str:
    return f"$O.{OBJECT_STORE}.M.{base64.urlsafe_b64encode(blob_id.encode()).decode()}"


def _encode_places(places: list[int]) -> str:
    """The first place, then how much each next one is further: hardly a byte and a half for each chunk."""
    return ",".join(str(place - before) for before, place in zip([0, *places], places, strict=False))


def _decode_places(encoded: str) -> tuple[int, ...]:
    place, found = 0, []
    for step in encoded.split(",") if encoded else ():
        place += int(step)
        found.append(place)
    return tuple(found)


async def _in_pieces(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The same bytes in pieces of `size`, the last one shorter: a range is found by division."""
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Whatever NATS says instead of doing it. A full store says so in an answer, which is an `APIError`."""
    try:
        yield
    except AWAY as failed:
        raise BlobsUnavailable(f"{type(failed).__name__}: {failed}"[:200]) from failed
