"""Every metric of chat-api, by name, and the histograms' buckets."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import Counter, Gauge, Histogram


class Name(StrEnum):
    """Metric names as Prometheus shows them."""

    MESSAGES_ACCEPTED = "natter_messages_accepted_total"
    SEND_BATCH = "natter_send_batch_messages"
    RELAY_PUBLISHED = "natter_relay_published_total"
    RELAY_ACTIVE = "natter_relay_active"
    RELAY_LAG = "natter_relay_lag_seconds"
    RELAY_RETRIES = "natter_relay_retries_total"
    RELAY_ROAD_LOST = "natter_relay_road_lost_total"
    RELAY_REPUBLISHED = "natter_relay_republished_total"
    FANOUT_EVENTS = "natter_fanout_events_total"
    FANOUT_DELIVERIES = "natter_fanout_deliveries_total"
    FANOUT_OPEN = "natter_fanout_open_deliveries"
    FANOUT_LAG = "natter_fanout_lag_seconds"
    FANOUT_LANES = "natter_fanout_lanes_held"
    FANOUT_RESTARTS = "natter_fanout_lane_restarts_total"
    FANOUT_POISON = "natter_fanout_poison_total"
    FANOUT_HOLES = "natter_fanout_holes_total"
    FANOUT_DELIVERY = "natter_fanout_delivery_seconds"
    FANOUT_LEDGER_DROPPED = "natter_fanout_ledger_dropped_total"
    FANOUT_LIVE_DROPPED = "natter_fanout_live_dropped_total"
    FANOUT_REVOCATIONS = "natter_fanout_revocations_total"
    HANDOVERS = "natter_fanout_handovers_waiting"
    HANDOVERS_REPEATED = "natter_fanout_handovers_repeated_total"
    COMMANDS = "natter_commands_total"
    NOTIFIER_QUESTIONS = "natter_chat_api_notifier_questions_total"
    ATTACHMENT_BYTES = "natter_attachment_bytes_total"
    ATTACHMENTS_SWEPT = "natter_attachments_swept_total"


_FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)

messages_accepted = Counter(Name.MESSAGES_ACCEPTED, "Messages committed to the record")
send_batch = Histogram(Name.SEND_BATCH, "Messages per commit", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
relay_published = Counter(Name.RELAY_PUBLISHED, "Events that JetStream has stored")
relay_active = Gauge(Name.RELAY_ACTIVE, "1 while this process is the relay")
relay_lag = Histogram(Name.RELAY_LAG, "Seconds from recording an event to JetStream's ack", buckets=_FAST)
relay_retries = Counter(Name.RELAY_RETRIES, "Publishes that had to be repeated")
relay_road_lost = Counter(Name.RELAY_ROAD_LOST, "Times that EVENTS was found without what it had acknowledged")
relay_republished = Counter(Name.RELAY_REPUBLISHED, "Events that the relay went back over")
fanout_events = Counter(Name.FANOUT_EVENTS, "Events taken from EVENTS")
fanout_deliveries = Counter(Name.FANOUT_DELIVERIES, "Deliveries settled, by outcome", ["outcome"])
fanout_open = Gauge(Name.FANOUT_OPEN, "Deliveries that wait for a receipt")
fanout_lag = Histogram(Name.FANOUT_LAG, "Seconds from recording an event to its publication to users", buckets=_FAST)
fanout_lanes = Gauge(Name.FANOUT_LANES, "Lanes that this process holds")
fanout_restarts = Counter(Name.FANOUT_RESTARTS, "Lanes begun anew from their floor", ["reason"])
fanout_poison = Counter(Name.FANOUT_POISON, "Events that this release could not read")
fanout_holes = Counter(Name.FANOUT_HOLES, "Times that EVENTS did not bring what it should, and the record was read")
fanout_delivery = Histogram(
    Name.FANOUT_DELIVERY, "Seconds from recording an event to a recipient's first receipt", buckets=_FAST
)
fanout_ledger_dropped = Counter(Name.FANOUT_LEDGER_DROPPED, "Receipts that were not written down")
fanout_live_dropped = Counter(Name.FANOUT_LIVE_DROPPED, "Read and delivered signals that nobody was told")
fanout_revocations = Counter(Name.FANOUT_REVOCATIONS, "Blocks and ended sessions stored for everybody to see")
handovers = Gauge(Name.HANDOVERS, "Deliveries that the notifier was given and has not taken yet, up to 10000")
handovers_repeated = Counter(Name.HANDOVERS_REPEATED, "Deliveries handed over again because the stream lost them")
notifier_questions = Counter(Name.NOTIFIER_QUESTIONS, "What the notifier asked before pushes, by outcome", ["outcome"])
commands = Counter(Name.COMMANDS, "Commands from edges, by outcome", ["outcome"])
attachment_bytes = Counter(Name.ATTACHMENT_BYTES, "Bytes of files that were taken in")
attachments_swept = Counter(Name.ATTACHMENTS_SWEPT, "Files whose bytes were deleted")
