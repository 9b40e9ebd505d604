"""What a client counts; figures for tests, logs and the curious."""

from __future__ import annotations

from dataclasses import dataclass, field

HEAL_TIMES_MAX = 10_000
"""Heal times that are kept; later ones are only counted."""


@dataclass(slots=True)
class Stats:
    """Counters since the client was made. `heal_seconds` has one entry per gap: from when it was seen until healed."""

    connects: int = 0
    """Times that `connected` came."""
    reconnects: int = 0
    """Those after the first."""
    attempts_failed: int = 0
    frames: int = 0
    syncs: int = 0
    """Syncs that came to their end."""
    syncs_failed: int = 0
    resets: int = 0
    rebased: int = 0
    resyncs: int = 0
    """Times that the server asked for a sync."""
    gaps: int = 0
    gaps_healed: int = 0
    heal_seconds: list[float] = field(default_factory=list)
    repairs: int = 0
    resends: int = 0
    """Attempts to send after the first of each message."""
    tokens_refreshed: int = 0
    half_open: int = 0
    """Sockets that were silent for too long."""
    callbacks_failed: int = 0
    shown_live: int = 0
    shown_by_sync: int = 0
    shown_by_repair: int = 0
    duplicates_dropped: int = 0
    """Live frames of events that were known."""
    already_known: int = 0
    """Events of syncs and repairs that were known: how it mostly is."""

    def healed(self, seconds: float) -> None:
        """A gap was healed after that time."""
        self.gaps_healed += 1
        if len(self.heal_seconds) < HEAL_TIMES_MAX:
            self.heal_seconds.append(seconds)
