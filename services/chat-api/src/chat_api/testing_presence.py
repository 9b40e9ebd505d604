"""A scripted edge that says whom it holds, for tests of whatever stands on presence."""

from __future__ import annotations

import asyncio
import contextlib

from nats.aio.client import Client

from contracts.codec import encode
from contracts.devices import DeviceType
from contracts.ids import new_id
from contracts.presence import (
    EDGES_BUCKET,
    PRESENCE_BUCKET,
    ConnectionInfo,
    EdgeLease,
    EdgePresence,
    presence_key,
)
from contracts.times import now
from kit import buckets, cancellation


class ScriptedEdge:
    """Writes entries and leases as an edge does; it forgets nothing, and lives as long as it is told to."""

    def __init__(self, client: Client, edge_id: str | None = None) -> None:
        self.edge_id = edge_id or f"edge-{new_id()[-12:]}"
        self.instance = new_id()
        self._js = client.jetstream(timeout=5)
        self._started_at = now()
        self._living: asyncio.Task[None] | None = None

    async def live(self, every_s: float = 1.0) -> None:
        """Renew the lease from now on; the first one has been written when this returns."""
        await self.renew()

        async def renew() -> None:
            while True:
                await asyncio.sleep(every_s)
                # On a plain connection nats-py may forget a cancellation, and who lets it die would wait for ever.
                with cancellation.kept(), contextlib.suppress(Exception):
                    await self.renew()

        self._living = asyncio.create_task(renew())

    async def die(self) -> None:
        """End without a word: nothing is renewed, nothing is deleted."""
        if self._living is not None:
            self._living.cancel()
            await asyncio.gather(self._living, return_exceptions=True)
            self._living = None

    async def renew(self) -> None:
        """Write the lease once."""
        await buckets.ensure(self._js, EDGES_BUCKET)
        lease = EdgeLease(edge_id=self.edge_id, instance=self.instance, started_at=self._started_at, renewed_at=now())
        await self._js.publish(buckets.subject(EDGES_BUCKET, self.edge_id), encode(lease))

    async def holds(self, user_id: str, *devices: DeviceType, roles: tuple[str, ...] = ("customer",)) -> None:
        """Write which sockets there are of a user; none: delete the entry."""
        await buckets.ensure(self._js, PRESENCE_BUCKET)
        subject = buckets.subject(PRESENCE_BUCKET, presence_key(user_id, self.edge_id))
        if not devices:
            await self._js.publish(subject, b"", headers={"KV-Operation": "DEL"})
            return
        connections = tuple(
            ConnectionInfo(connection_id=new_id(), device_type=one, connected_at=now(), roles=roles) for one in devices
        )
        entry = EdgePresence(edge_id=self.edge_id, instance=self.instance, connections=connections)
        await self._js.publish(subject, encode(entry))
