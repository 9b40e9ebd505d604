"""What each process tells of itself every two seconds, so that an admin sees all of them in one place.

Told by a core publish into a key-value bucket in memory: nobody waits for an answer, and while the bucket or NATS is
away the figures of these seconds are lost, which is all they are worth.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from nats.aio.client import Client

from contracts.codec import encode
from contracts.ids import new_id
from contracts.stats import FIGURES_BUCKET, FIGURES_RENEW_S, ProcessFigures
from contracts.times import now
from kit import buckets
from kit.bus import AWAY


class Registry(Protocol):
    """Where a process counts: a Prometheus registry."""

    def collect(self) -> Iterable[Any]: ...


class Figures:
    """The figures of one process: some of its metrics, by name."""

    def __init__(self, service: str, registry: Registry, names: Collection[str]) -> None:
        """`names` are those of samples, such as `natter_relay_lag_seconds_sum`; labels are taken as they come."""
        self._service = service
        self._registry = registry
        self._names = frozenset(names)
        self._instance = new_id()

    @property
    def key(self) -> str:
        """Where in the bucket this life of the process writes."""
        return f"{self._service}.{self._instance}"

    def now(self) -> ProcessFigures:
        """How the metrics stand."""
        values = {
            sample_key(sample.name, sample.labels): float(sample.value)
            for family in self._registry.collect()
            for sample in family.samples
            if sample.name in self._names
        }
        return ProcessFigures(service=self._service, instance=self._instance, at=now(), values=values)

    async def tell(self, client: Client) -> None:
        """Tell them every two seconds, until cancelled."""
        subject = buckets.subject(FIGURES_BUCKET, self.key)
        while True:
            # Published while cut off, they would all go out at once when nobody wants them any more.
            if client.is_connected:
                with contextlib.suppress(*AWAY):
                    await client.publish(subject, encode(self.now()))
            await asyncio.sleep(FIGURES_RENEW_S)


def sample_key(name: str, labels: dict[str, str]) -> str:
    """A sample as Prometheus writes it: `name{label="value"}`."""
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name
