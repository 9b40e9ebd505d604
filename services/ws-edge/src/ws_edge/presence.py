"""Writes down who is connected here: one key per user, and a lease that says that this edge lives.

Derived and disposable: delivery never looks at it. What counts is that it is never wrong for long: whenever something
may have been missed or lost, everything is written anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from contracts import times
from contracts.codec import encode
from contracts.ids import new_id
from contracts.presence import (
    EDGES_BUCKET,
    LEASE_RENEW_S,
    LEASE_VALID_S,
    PRESENCE_BUCKET,
    ConnectionInfo,
    EdgeFigures,
    EdgeLease,
    EdgePresence,
    presence_key,
)
from kit.backoff import full_jitter
from kit.logs import Stage, logger
from ws_edge.bus import BusError, NobodyListens
from ws_edge.connection import Connection
from ws_edge.kv import Buckets
from ws_edge.registry import Registry
from ws_edge.roles import roles_of

log = logger()

FLUSH_EVERY_S = 0.1
"""At most so often the changes are written; the first one after a pause at once."""
WRITES_AT_ONCE = 64
FORGOTTEN_AFTER_S = LEASE_VALID_S - LEASE_RENEW_S
"""Who has not renewed for so long may count as dead already, and what it wrote may be deleted."""
FAREWELL_TIMEOUT_S = 2.0

_Signature = tuple[tuple[str, frozenset[str], bool], ...]


class PresenceWriter:
    """Made once per process; `run` is its task. Holds no more than one entry per user who is, or just was, here."""

    def __init__(
        self,
        buckets: Buckets,
        registry: Registry,
        *,
        edge_id: str,
        figures: Callable[[], EdgeFigures],
        now: Callable[[], float],
    ) -> None:
        self.instance = new_id()
        """This life of the edge: what a former one wrote is void."""
        self._buckets = buckets
        self._registry = registry
        self._edge_id = edge_id
        self._figures = figures
        self._now = now
        self._started_at = times.now()
        self._dirty: dict[str, None] = {}
        self._written: dict[str, _Signature | None] = {}  # None: something stands there, who knows what
        self._anew = True
        self._begun = False
        self._leaving = False
        self._renewed_at_s = now()
        self._lease_revision = 0
        self._wake = asyncio.Event()
        self._wake.set()

    def changed(self, user_id: str) -> None:
        """The set of the user's sockets here may have changed."""
        self._dirty[user_id] = None
        self._wake.set()

    def write_anew(self) -> None:
        """Something may have been missed or lost."""
        self._anew = True
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_writing(), name="presence")
            tasks.create_task(self._keep_the_lease(), name="lease")

    async def _keep_writing(self) -> None:
        waits = full_jitter(0.1, 2.0)
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._catch_up()
            except BusError as failed:
                log.debug("presence is not written", stage=Stage.PRESENCE, error=type(failed).__name__)
                if isinstance(failed, NobodyListens):
                    self._anew = True
                self._wake.set()
                await asyncio.sleep(next(waits))
            else:
                waits = full_jitter(0.1, 2.0)
                await asyncio.sleep(FLUSH_EVERY_S)

    async def _catch_up(self) -> None:
        if self._anew:
            await self._begin()
        while self._dirty:
            await self._write(list(self._dirty)[:WRITES_AT_ONCE])

    async def _begin(self) -> None:
        """The buckets stand, the lease stands, and every user is to be written."""
        self._begun = False
        for bucket in (PRESENCE_BUCKET, EDGES_BUCKET):
            await self._buckets.ensure(bucket)
        self._lease_revision = 0
        # First the lease: an entry means nothing without one.
        await self._renew()
        self._anew, self._begun = False, True
        for user_id in self._written:
            self._written[user_id] = None
            self._dirty[user_id] = None
        self._dirty.update(dict.fromkeys(self._registry.users()))

    async def _write(self, users: Iterable[str]) -> None:
        taken = list(users)
        for user_id in taken:
            del self._dirty[user_id]
        outcomes = await asyncio.gather(*map(self._write_one, taken), return_exceptions=True)
        failure: BaseException | None = None
        for user_id, outcome in zip(taken, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                self._dirty[user_id] = None
                if failure is None or isinstance(outcome, NobodyListens):
                    failure = outcome
        if failure is not None:
            raise failure

    async def _write_one(self, user_id: str) -> None:
        key = presence_key(user_id, self._edge_id)
        connections = self._registry.of(user_id)
        if not connections:
            if user_id in self._written:
                await self._buckets.delete(PRESENCE_BUCKET, key)
                del self._written[user_id]
            return
        signature = tuple(
            (one.id, one.principal.roles if one.principal else frozenset(), one.idle) for one in connections
        )
        if self._written.get(user_id) == signature:
            return
        # Even if the answer is lost: something may stand there from now on.
        self._written[user_id] = None
        entry = EdgePresence(
            edge_id=self._edge_id, instance=self.instance, connections=tuple(map(connection_info, connections))
        )
        await self._buckets.put(PRESENCE_BUCKET, key, encode(entry))
        self._written[user_id] = signature

    # --- the lease ---

    async def _keep_the_lease(self) -> None:
        while not self._leaving:
            await asyncio.sleep(LEASE_RENEW_S)
            if not self._begun or self._leaving:
                continue
            try:
                await self._renew()
            except NobodyListens:
                self.write_anew()
            except BusError as failed:
                log.info("the lease is not renewed", stage=Stage.PRESENCE, error=type(failed).__name__)

    async def _renew(self) -> None:
        """Write the lease. Was it due long ago, or is the bucket another one, then so is everything else."""
        lease = EdgeLease(
            edge_id=self._edge_id,
            instance=self.instance,
            started_at=self._started_at,
            renewed_at=times.now(),
            figures=self._figures(),
        )
        revision = await self._buckets.put(EDGES_BUCKET, self._edge_id, encode(lease))
        late = self._now() - self._renewed_at_s > FORGOTTEN_AFTER_S
        if self._begun and (late or revision <= self._lease_revision):
            log.warning("presence may be lost, writing it anew", stage=Stage.PRESENCE, late=late)
            self.write_anew()
        self._renewed_at_s, self._lease_revision = self._now(), revision

    async def farewell(self) -> None:
        """Take back everything that this edge has written; never raises and never takes long."""
        self._leaving = True
        try:
            async with asyncio.timeout(FAREWELL_TIMEOUT_S):
                users = list(self._written)
                for start in range(0, len(users), WRITES_AT_ONCE):
                    await asyncio.gather(
                        *(
                            self._buckets.delete(PRESENCE_BUCKET, presence_key(user_id, self._edge_id))
                            for user_id in users[start : start + WRITES_AT_ONCE]
                        )
                    )
                await self._buckets.delete(EDGES_BUCKET, self._edge_id)
        except (BusError, TimeoutError) as failed:
            # The lease runs out by itself.
            log.info("presence was not taken back", stage=Stage.PRESENCE, error=type(failed).__name__)


def connection_info(connection: Connection) -> ConnectionInfo:
    """A socket as others see it."""
    return ConnectionInfo(
        connection_id=connection.id,
        device_type=connection.device_type,
        device_id=connection.device_id,
        connection_type=connection.connection_type,
        connected_at=opened_at(connection),
        roles=tuple(roles_of(connection)),
        idle=connection.idle,
    )


def opened_at(connection: Connection) -> datetime:
    """When the socket was opened: its id is a UUIDv7, which says so."""
    return datetime.fromtimestamp(int(connection.id[:8] + connection.id[9:13], 16) / 1000, UTC)
