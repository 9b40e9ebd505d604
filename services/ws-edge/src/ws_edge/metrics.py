"""What the edge counts: plain integers on the hot path, turned into Prometheus families when somebody asks.

`prometheus_client`'s own counters take a lock and a label lookup for each increment, which at 100,000 frames a second
is a noticeable part of a core; an attribute's `+= 1` is not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Name(StrEnum):
    """Every metric of the edge. Counters get `_total` appended."""

    CONNECTIONS = "natter_edge_connections"
    USERS = "natter_edge_users"
    READY = "natter_edge_ready"
    FRAMES_OUT = "natter_edge_frames_out"
    FRAMES_IN = "natter_edge_frames_in"
    DELIVERIES = "natter_edge_deliveries"
    DELIVERIES_HOMELESS = "natter_edge_deliveries_homeless"
    DELIVERIES_MALFORMED = "natter_edge_deliveries_malformed"
    DUPLICATES = "natter_edge_duplicates_dropped"
    RECEIPTS = "natter_edge_receipts"
    RECEIPTS_DROPPED = "natter_edge_receipts_dropped"
    COMMANDS = "natter_edge_commands"
    OPENED = "natter_edge_opened"
    CLOSES = "natter_edge_closes"
    SLOW_CLOSES = "natter_edge_slow_closes"
    RECEIPT_SECONDS = "natter_edge_receipt_seconds"
    CANARY_AGE = "natter_edge_canary_age_seconds"
    NATS_INTERRUPTIONS = "natter_edge_nats_interruptions"
    NATS_RENEWALS = "natter_edge_nats_renewals"


class Figures:
    """The numbers themselves; whoever does something increments its own."""

    def __init__(self) -> None:
        self.frames_out = 0
        self.frames_in = 0
        self.deliveries = 0
        self.homeless = 0
        self.malformed = 0
        self.duplicates = 0
        self.receipts = 0
        self.receipts_dropped = 0
        self.opened = 0
        self.slow_closes = 0
        self.nats_interruptions = 0
        self.nats_renewals = 0
        self.commands: Counter[str] = Counter()
        self.closes: Counter[int] = Counter()
        self.receipt_seconds = Histogram()


class Histogram:
    """Counts per bucket; `observe` is one bisection and two additions."""

    BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    """Upper bounds in seconds, up to fan-out's own patience (DELIVERY_ACK_TIMEOUT)."""

    def __init__(self) -> None:
        self.counts = [0] * (len(self.BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one measurement."""
        self.counts[bisect_left(self.BOUNDS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        total, rows = 0, []
        for bound, count in zip((*map(str, self.BOUNDS), "+Inf"), self.counts, strict=True):
            total += count
            rows.append((bound, float(total)))
        return rows


class Exposition:
    """Renders the figures, together with the gauges that are asked for only now."""

    def __init__(
        self,
        figures: Figures,
        *,
        devices: Callable[[], Counter[str]],
        users: Callable[[], int],
        ready: Callable[[], bool],
        canary_age_s: Callable[[], float],
    ) -> None:
        self._figures = figures
        self._devices, self._users, self._ready, self._canary_age_s = devices, users, ready, canary_age_s
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self) -> bytes:
        """The body of `GET /metrics`."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """prometheus_client's collector protocol."""
        figures = self._figures
        for name, help_text, count in (
            (Name.FRAMES_OUT, "Frames written to sockets", figures.frames_out),
            (Name.FRAMES_IN, "Data frames received from clients", figures.frames_in),
            (Name.DELIVERIES, "NATS messages for users of this edge", figures.deliveries),
            (Name.DELIVERIES_HOMELESS, "NATS messages whose user had just left", figures.homeless),
            (Name.DELIVERIES_MALFORMED, "NATS messages without a valid delivery header", figures.malformed),
            (Name.DUPLICATES, "Durable frames not written because the socket had them", figures.duplicates),
            (Name.RECEIPTS, "Receipts published", figures.receipts),
            (Name.RECEIPTS_DROPPED, "Receipts given up because of a limit", figures.receipts_dropped),
            (Name.OPENED, "Sockets admitted", figures.opened),
            (Name.SLOW_CLOSES, "Sockets closed because they did not read", figures.slow_closes),
            (Name.NATS_INTERRUPTIONS, "Times that messages may have been missed", figures.nats_interruptions),
            (
                Name.NATS_RENEWALS,
                "Connections to NATS replaced because of deafness",
                figures.nats_renewals,
            ),
        ):
            yield CounterMetricFamily(name, help_text, value=count)
        yield _labelled_counter(Name.CLOSES, "Sockets closed, by close code", "code", figures.closes)
        yield _labelled_counter(Name.COMMANDS, "Commands answered, by outcome", "outcome", figures.commands)
        yield GaugeMetricFamily(Name.USERS, "Users with a socket here", value=self._users())
        yield GaugeMetricFamily(Name.READY, "1 if this edge takes sockets", value=float(self._ready()))
        yield GaugeMetricFamily(Name.CANARY_AGE, "Since the edge last heard itself", value=self._canary_age_s())
        connections = GaugeMetricFamily(Name.CONNECTIONS, "Open sockets, by device type", labels=["device_type"])
        for device, number in self._devices().items():
            connections.add_metric([device], number)
        yield connections
        histogram = HistogramMetricFamily(Name.RECEIPT_SECONDS, "From NATS message to the pong behind its frame")
        histogram.add_metric([], figures.receipt_seconds.buckets(), figures.receipt_seconds.sum)
        yield histogram


def _labelled_counter(name: Name, text: str, label: str, counts: Counter[int] | Counter[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([str(value)], count)
    return family
