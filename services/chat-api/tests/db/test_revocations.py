"""What other processes have revoked is heard from the bucket, whatever happens to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StorageType
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.revocations import RevocationsWatcher
from chat_api.testing_world import until
from contracts.codec import encode
from contracts.control import REVOCATIONS_BUCKET, Revocation, block_key, session_key
from contracts.ids import new_id
from contracts.times import now
from kit import buckets
from kit.revocations import Revocations
from kit.tokens import Principal

Background = Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]


async def _put(js: JetStreamContext, key: str, revocation: Revocation) -> None:
    await js.publish(buckets.subject(REVOCATIONS_BUCKET, key), encode(revocation))


async def _lose_bucket(js: JetStreamContext) -> None:
    with contextlib.suppress(nats.js.errors.NotFoundError):
        await js.delete_stream(buckets.stream(REVOCATIONS_BUCKET))


def _token(user_id: str, session_id: str | None = None) -> Principal:
    return Principal(user_id, frozenset(), 2e9, session_id=session_id, issued_at=now().timestamp() + 60)


async def test_the_bucket_is_followed(
    engine: AsyncEngine, client: Client, js: JetStreamContext, background: Background
) -> None:
    """What it holds at first, and what it gets later; what cannot be read harms nothing."""
    del client
    await _lose_bucket(js)
    await buckets.ensure(js, REVOCATIONS_BUCKET, storage=StorageType.FILE)
    alice, bob, session = f"alice-{new_id()[-12:]}", f"bob-{new_id()[-12:]}", new_id()
    await _put(js, block_key(alice), Revocation(user_id=alice, blocked=True, at=now()))
    known = Revocations()
    background(RevocationsWatcher(engine, known).watch(js))
    await until(lambda: known.refuses(_token(alice)) == "user_blocked", "what it held")
    await js.publish(buckets.subject(REVOCATIONS_BUCKET, "user.nonsense"), b"{")
    await _put(js, session_key(session), Revocation(user_id=bob, session_id=session, at=now()))
    await until(lambda: known.refuses(_token(bob, session)) == "token_revoked", "what it got")
    assert known.refuses(_token(bob)) is None
    await _put(js, block_key(alice), Revocation(user_id=alice, lifted=True, at=now()))
    await until(lambda: known.refuses(_token(alice)) is None, "the block is lifted")


async def test_a_bucket_that_comes_later(
    engine: AsyncEngine, client: Client, js: JetStreamContext, background: Background
) -> None:
    """Without a bucket, or after it was lost, the watch begins as soon as there is one."""
    del client
    await _lose_bucket(js)
    known = Revocations()
    watcher = RevocationsWatcher(engine, known)
    background(watcher.watch(js))
    for number in range(2):
        user_id = f"alice-{new_id()[-12:]}"
        await buckets.ensure(js, REVOCATIONS_BUCKET, storage=StorageType.FILE)
        await _put(js, block_key(user_id), Revocation(user_id=user_id, blocked=True, at=now()))

        def blocked(user_id: str = user_id) -> bool:
            return known.is_blocked(user_id)

        await until(blocked, f"bucket {number} is followed")
        await _lose_bucket(js)
        watcher.interrupted("reconnected")
