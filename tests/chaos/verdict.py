"""What can be wrong with a run, counted by kind and put into words."""

from __future__ import annotations

from dataclasses import dataclass, field

LOST = "lost"
DUPLICATED = "duplicated"
OUT_OF_ORDER = "out of order"
PHANTOM = "phantom"
WRONG_PUSH = "wrong push"
MISSING_PUSH = "missing push"
SECOND_PUSH = "second push"
STUCK = "stuck"
FINDINGS = (LOST, DUPLICATED, OUT_OF_ORDER, PHANTOM, WRONG_PUSH, MISSING_PUSH, SECOND_PUSH, STUCK)

DESCRIBED_MAX = 5
"""How many findings of each kind are put into words; all are counted."""


@dataclass(slots=True)
class Verdict:
    """What is wrong with a run."""

    messages: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FINDINGS, 0))
    words: dict[str, list[str]] = field(default_factory=dict)
    heal_s: list[tuple[str, float]] = field(default_factory=list)
    """For each fault its kind, and how long after the heal began everybody present had everything."""

    @property
    def clean(self) -> bool:
        """Nothing is wrong."""
        return not any(self.counts.values())

    def add(self, kind: str, words: str) -> None:
        """Count a finding, and describe it unless enough of its kind are described."""
        self.counts[kind] += 1
        known = self.words.setdefault(kind, [])
        if len(known) < DESCRIBED_MAX:
            known.append(words)
