"""Bytes in a bucket that speaks S3, for installations that outgrow an object store on JetStream."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from chat_api.blobs.base import BlobMissing, BlobsUnavailable
from kit.logs import Stage, logger

log = logger()

PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 allows; one upload holds up to two of them in memory."""
READ_BYTES = 512 * 1024
"""Read by one request. A reader who takes a minute for it holds this much, and no connection to the bucket."""
TIMEOUT_S = 10
RETRIES_MAX = 2


class S3Blobs:
    """The `Blobs` port on a bucket, which must exist. Credentials come from the environment, as for every S3 client.

    An empty `AWS_…` variable is taken out of the environment: it counts as not set.
    """

    def __init__(self, bucket: str, *, endpoint: str | None, region: str | None, prefix: str = "attachments") -> None:
        _forget_empty_variables()
        self._store = S3Store(
            bucket,
            prefix=prefix,
            endpoint=endpoint,
            region=region,
            client_options={
                "timeout": timedelta(seconds=TIMEOUT_S),
                "connect_timeout": timedelta(seconds=TIMEOUT_S),
                # An endpoint on one's own network; settings refuse it in production.
                "allow_http": endpoint is not None and endpoint.startswith("http://"),
            },
            retry_config={"max_retries": RETRIES_MAX, "retry_timeout": timedelta(seconds=TIMEOUT_S)},
        )

    async def put(self, blob_id: str, chunks: AsyncIterator[bytes]) -> int:
        """A multipart upload: an object is there whole, or not at all."""
        counted = _Counted(chunks)
        try:
            with _translated():
                await obstore.put_async(self._store, blob_id, counted, chunk_size=PART_BYTES, max_concurrency=1)
        except BaseException:
            with contextlib.suppress(BlobsUnavailable):
                await self.delete(blob_id)
            if counted.failed is not None:
                raise counted.failed from None
            raise
        return counted.size

    async def get(self, blob_id: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The range, in pieces of `READ_BYTES`."""
        for at in range(start, end, READ_BYTES):
            stop = min(at + READ_BYTES, end)
            with _translated():
                try:
                    piece = bytes(await obstore.get_range_async(self._store, blob_id, start=at, end=stop))
                except (NotFoundError, FileNotFoundError):
                    raise BlobMissing(blob_id) from None
            if len(piece) != stop - at:
                raise BlobMissing(f"{blob_id} ends at {at + len(piece)}, before {end}")
            yield piece

    async def delete(self, blob_id: str) -> None:
        """S3 answers the same whether it was there or not."""
        with _translated(), contextlib.suppress(NotFoundError, FileNotFoundError):
            await obstore.delete_async(self._store, blob_id)


def _forget_empty_variables() -> None:
    # Compose hands on what is not set as empty. The client would sign with an empty key in place of the machine's role,
    # and send an empty session token, which a store refuses.
    for name in [name for name, value in os.environ.items() if name.startswith("AWS_") and not value]:
        del os.environ[name]


class _Counted:
    """Counts what passes, and keeps what went wrong: the client hands on an error of its own kind."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.size = 0
        self.failed: BaseException | None = None

    def __aiter__(self) -> _Counted:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except BaseException as failed:
            self.failed = failed
            raise
        self.size += len(chunk)
        return chunk


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as failed:
        # The text of such an error may hold addresses, never credentials; a word is enough for a log.
        log.warning("the bucket did not answer", stage=Stage.LIFECYCLE, error=type(failed).__name__)
        raise BlobsUnavailable(type(failed).__name__) from failed
