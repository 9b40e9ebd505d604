"""Buckets on a real nats-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import nats
import nats.js.errors
import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import StorageType

from kit import buckets
from stack.options import Backend, StackOptions
from stack.stack import Stack


@pytest.fixture
async def js() -> AsyncIterator[JetStreamContext]:
    """JetStream of a nats-server without services, as chat-api may use it."""
    options = StackOptions(
        backend=Backend.EMBEDDED, postgres=False, chat_api=False, notifier=False, edges=0, migrate=False
    )
    async with Stack(options) as stack:
        client = await nats.connect(
            stack.nats_url,
            user="chat-api",
            password=stack.nats_password("chat-api"),
            inbox_prefix=b"_INBOX.chat-api",
        )
        yield client.jetstream()
        await client.close()


async def test_a_bucket_is_made_once(js: JetStreamContext) -> None:
    """Several at once, and others later: one bucket, with the limits of whoever came first."""
    made = await asyncio.gather(*(buckets.ensure(js, "presence") for _ in range(5)))
    again = await buckets.ensure(js, "presence", storage=StorageType.FILE, max_age_s=60)
    assert len({str(one.created) for one in (*made, again)}) == 1
    assert (again.config.storage, again.config.max_msgs_per_subject) == (StorageType.MEMORY, 1)
    revoked = await buckets.ensure(js, "revocations", storage=StorageType.FILE, max_age_s=60)
    assert (revoked.config.storage, revoked.config.max_age) == (StorageType.FILE, 60)


async def test_only_the_latest_value_is_deleted(js: JetStreamContext) -> None:
    """Who has read an older revision deletes nothing; a deletion is heard by whoever listens, and ends by itself."""
    await buckets.ensure(js, "presence")
    kv = await js.key_value("presence")
    first = await kv.put("anna.edge-1", b"old")
    second = await kv.put("anna.edge-1", b"new")
    assert not await buckets.delete(js, "presence", "anna.edge-1", first)
    assert (await kv.get("anna.edge-1")).value == b"new"
    watcher = await kv.watchall()
    assert await buckets.delete(js, "presence", "anna.edge-1", second)
    assert not await buckets.delete(js, "presence", "anna.edge-1", second)
    with pytest.raises(nats.js.errors.KeyNotFoundError):
        await kv.get("anna.edge-1")
    heard = []
    async with asyncio.timeout(10):
        async for entry in watcher:
            if entry is not None:
                heard.append(entry.operation)
                if entry.operation == "DEL":
                    break
    await watcher.stop()  # type: ignore[no-untyped-call]
    assert heard == [None, "DEL"]
    marker: Msg = await js.get_last_msg("KV_presence", "$KV.presence.anna.edge-1")  # type: ignore[assignment]
    assert marker.headers is not None
    assert float(marker.headers["Nats-TTL"].rstrip("s")) == buckets.MARKER_TTL_S
