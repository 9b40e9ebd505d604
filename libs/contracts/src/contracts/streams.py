"""JetStream streams as the services create them.

Both keep by Limits: WorkQueue and Interest streams forget the message ids of what was acknowledged when the server
restarts, so that a repeated publish would be stored a second time; Limits streams do not (measured on 2.15).
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts import subjects

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class StreamDefinition:
    """Name, subjects and limits of one stream; ages in seconds, sizes in bytes."""

    name: str
    subjects: tuple[str, ...]
    max_age_s: float
    max_bytes: int
    duplicate_window_s: float
    max_msg_bytes: int = 1_000_000


EVENTS = StreamDefinition(
    name="EVENTS",
    subjects=(subjects.EVENTS_ALL,),
    # Long enough for a consumer to be repaired over a long weekend; older events come from Postgres.
    max_age_s=7 * _DAY_S,
    max_bytes=8 * 1024**3,
    # Covers a relay that died between publish and checkpoint and came back; beyond it event ids still tell.
    duplicate_window_s=120.0,
)

OFFLINE_DELIVERY = StreamDefinition(
    name="OFFLINE_DELIVERY",
    subjects=(subjects.OFFLINE_ALL,),
    max_age_s=7 * _DAY_S,
    max_bytes=2 * 1024**3,
    duplicate_window_s=120.0,
)

ALL_STREAMS = (EVENTS, OFFLINE_DELIVERY)

NOTIFIER_DURABLE = "notifier"
"""Consumer of OFFLINE_DELIVERY that all notifiers share."""
NOTIFIER_EVENTS_DURABLE = "notifier-events"
"""Consumer of EVENTS that all notifiers share: what was read or deleted after it was pushed."""


def fanout_durable(partition: int, epoch: int) -> str:
    """Name of the fan-out's consumer for one partition in one term of ownership."""
    return f"fanout-{partition}-{epoch}"


def fanout_epoch(durable: str, partition: int) -> int | None:
    """The term that a consumer of EVENTS belongs to; None if it is not one of this partition's."""
    prefix = f"fanout-{partition}-"
    epoch = durable.removeprefix(prefix)
    return int(epoch) if durable.startswith(prefix) and epoch.isascii() and epoch.isdecimal() else None
