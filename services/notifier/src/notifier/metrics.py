"""What the notifier counts; the names are part of its public face, dashboards rely on them.

received ─► duplicate | poisoned
        └─► (stored) ─► skipped{reason} | sent{provider} | retried{provider} ─► … | dead{provider}
"""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest


class Metric(StrEnum):
    """Every metric's name."""

    RECEIVED = "natter_notifier_received_total"
    DUPLICATES = "natter_notifier_duplicates_total"
    POISONED = "natter_notifier_poisoned_total"
    SKIPPED = "natter_notifier_skipped_total"
    SENT = "natter_notifier_sent_total"
    RETRIED = "natter_notifier_retried_total"
    DEAD = "natter_notifier_dead_total"
    LEASES_LOST = "natter_notifier_leases_lost_total"
    HANDOVER_SECONDS = "natter_notifier_handover_seconds"


class Metrics:
    """One process's counters, in a registry of their own so that a test starts at zero."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.received = self._counter(Metric.RECEIVED, "Messages taken from OFFLINE_DELIVERY, repetitions included.")
        self.duplicates = self._counter(Metric.DUPLICATES, "Deliveries that were in the table already.")
        self.poisoned = self._counter(Metric.POISONED, "Messages that could not be read, and were put aside.")
        self.skipped = self._counter(Metric.SKIPPED, "Deliveries that became no push on purpose.", "reason")
        self.sent = self._counter(Metric.SENT, "Pushes a provider took.", "provider")
        self.retried = self._counter(Metric.RETRIED, "Attempts that failed for now.", "provider")
        self.dead = self._counter(Metric.DEAD, "Deliveries given up.", "provider")
        self.leases_lost = self._counter(Metric.LEASES_LOST, "Outcomes that came after another process took over.")
        self.handover_seconds = Histogram(
            Metric.HANDOVER_SECONDS.value,
            "From the decision that a delivery is offline to the provider's acceptance of the push.",
            buckets=(0.005, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 60, 600, 3600),
            registry=self.registry,
        )

    def _counter(self, metric: Metric, text: str, *labels: str) -> Counter:
        return Counter(metric.value.removesuffix("_total"), text, labels, registry=self.registry)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
