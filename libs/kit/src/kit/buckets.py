"""JetStream key-value buckets that several services share: made the same way by whoever comes first."""

from __future__ import annotations

import contextlib

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import Header, KeyValueConfig, StorageType, StreamInfo
from nats.js.errors import BadRequestError

MARKER_TTL_S = 60.0
"""A deletion's own mark ends after this. Whoever was away so long reads the bucket from its beginning anyway."""

_OPERATION, _DELETED = "KV-Operation", "DEL"


def stream(bucket: str) -> str:
    """The name of the bucket's stream."""
    return f"KV_{bucket}"


def subject(bucket: str, key: str) -> str:
    """Where a key's value is published."""
    return f"$KV.{bucket}.{key}"


async def ensure(
    js: JetStreamContext, bucket: str, *, storage: StorageType = StorageType.MEMORY, max_age_s: float | None = None
) -> StreamInfo:
    """Create the bucket if it is missing; returns its stream as it is. One value per key, no history.

    A bucket that exists with other limits is left as it is: not everybody who uses one may change it.
    """
    try:
        return await js.stream_info(stream(bucket))
    except nats.js.errors.NotFoundError:
        config = KeyValueConfig(bucket=bucket, history=1, storage=storage, ttl=max_age_s, direct=True)
        # Refused if somebody else has made another one in the same moment.
        with contextlib.suppress(BadRequestError):
            await js.create_key_value(config)
        return await js.stream_info(stream(bucket))


async def delete(js: JetStreamContext, bucket: str, key: str, revision: int) -> bool:
    """Delete the key if `revision` is still its latest; False if it is not."""
    headers = {_OPERATION: _DELETED, Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(revision)}
    try:
        await js.publish(subject(bucket, key), headers=headers, msg_ttl=MARKER_TTL_S)
    except BadRequestError:
        return False
    return True
