"""What the notifier counts; the names are part of its public face, dashboards rely on them.

received ─► duplicate | poisoned
        └─► decided{decision, reason} ─► skipped{reason} ─────────────────────────────────────────────┐
                        └─► a push per device: attempted{provider} ─► sent ──────────────┤
                                       ├─► failed{provider, class} ─► retried ─► …       ├─► settled{state}
                                       └─► … ─► dead{provider} ──────────────────────────┘
"""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metric(StrEnum):
    """Every metric's name."""

    RECEIVED = "natter_notifier_received_total"
    DUPLICATES = "natter_notifier_duplicates_total"
    POISONED = "natter_notifier_poisoned_total"
    DECIDED = "natter_notifier_decided_total"
    SKIPPED = "natter_notifier_skipped_total"
    SENT = "natter_notifier_sent_total"
    RETRIED = "natter_notifier_retried_total"
    DEAD = "natter_notifier_dead_total"
    ATTEMPTED = "natter_notifier_attempted_total"
    FAILED = "natter_notifier_failed_total"
    SETTLED = "natter_notifier_settled_total"
    ACKNOWLEDGED = "natter_notifier_acknowledged_total"
    RETRACTIONS = "natter_notifier_retractions_total"
    REFUSED = "natter_notifier_provider_refused"
    UNSETTLED = "natter_notifier_unsettled"
    DEAD_LETTERS = "natter_notifier_dead_letters"
    LEDGER_DIFFERENCE = "natter_notifier_ledger_difference"
    LEASES_LOST = "natter_notifier_leases_lost_total"
    HANDOVER_SECONDS = "natter_notifier_handover_seconds"


class FailureClass(StrEnum):
    """Why an attempt failed."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    TOKEN_GONE = "token_gone"  # noqa: S105 - the name of a class
    REFUSED = "refused"


class Metrics:
    """One process's counters, in a registry of their own so that a test starts at zero."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.received = self._counter(Metric.RECEIVED, "Messages taken from OFFLINE_DELIVERY, repetitions included.")
        self.duplicates = self._counter(Metric.DUPLICATES, "Deliveries that were in the table already.")
        self.poisoned = self._counter(Metric.POISONED, "Messages that could not be read, and were put aside.")
        self.decided = self._counter(
            Metric.DECIDED, "Decisions, one before each attempt: send, skip or later.", "decision", "reason"
        )
        self.skipped = self._counter(Metric.SKIPPED, "Deliveries that became no push on purpose.", "reason")
        self.sent = self._counter(Metric.SENT, "Pushes that a provider took.", "provider")
        self.retried = self._counter(Metric.RETRIED, "Attempts that failed for now.", "provider")
        self.dead = self._counter(Metric.DEAD, "Pushes given up.", "provider")
        self.attempted = self._counter(Metric.ATTEMPTED, "Pushes handed to a provider, taken or not.", "provider")
        self.failed = self._counter(Metric.FAILED, "Attempts that failed, by what that means.", "provider", "class")
        self.settled = self._counter(Metric.SETTLED, "Deliveries that have come to an end.", "state")
        self.acknowledged = self._counter(Metric.ACKNOWLEDGED, "Pushes that an app says it has.", "provider")
        self.retractions = self._counter(Metric.RETRACTIONS, "Devices told to take back what they show.", "outcome")
        self.refused = self._gauge(
            Metric.REFUSED, "1: the provider does not accept us, and its pushes wait until somebody looks.", "provider"
        )
        self.unsettled = self._gauge(Metric.UNSETTLED, "Deliveries that are due, held, or to be tried again.")
        self.dead_letters = self._gauge(Metric.DEAD_LETTERS, "Deliveries given up that wait for an operator.")
        self.ledger_difference = self._gauge(
            Metric.LEDGER_DIFFERENCE,
            "Deliveries whose end does not fit their pushes, the most within an hour: must be 0.",
        )
        self.leases_lost = self._counter(Metric.LEASES_LOST, "Outcomes that came after another process took over.")
        self.handover_seconds = Histogram(
            Metric.HANDOVER_SECONDS.value,
            "From the decision that a delivery is offline to the provider's acceptance of the push.",
            buckets=(0.005, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 60, 600, 3600),
            registry=self.registry,
        )

    def _counter(self, metric: Metric, text: str, *labels: str) -> Counter:
        return Counter(metric.value.removesuffix("_total"), text, labels, registry=self.registry)

    def _gauge(self, metric: Metric, text: str, *labels: str) -> Gauge:
        return Gauge(metric.value, text, labels, registry=self.registry)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
