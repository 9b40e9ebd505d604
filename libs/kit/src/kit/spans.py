"""Spans of a message's way, for a collector that speaks OTLP over HTTP; without one nothing is made and nothing costs.

`OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) turns them on, the extra `natter-kit[otel]`
brings what they need. The ids are those of the `traceparent`s that travel with the messages, so the spans of all
services are one tree. They wait in a bounded queue and leave in a thread of their own: a collector that is slow or away
costs spans, never a message.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, TypeAlias

from kit import tracing
from kit.logs import Stage, logger

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
    from opentelemetry.trace import SpanContext

log = logger()

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""One of them set: spans are exported."""
SHUTDOWN_S = 2.0
"""Longest wait at the end for what is not exported yet."""
SAY_AGAIN_S = 60.0
"""How often the exporter may say the same: a collector that is away fails every batch, and every attempt at it."""

_STANDARD = {"method": "http.request.method", "route": "http.route", "status": "http.response.status_code"}
"""Attributes for which the semantic conventions have names."""

Attribute: TypeAlias = str | int | float | bool


class SpanName(StrEnum):
    """What a span is about; also its name."""

    HTTP_REQUEST = "http.request"
    """chat-api: a request, until it is answered."""
    EDGE_SEND = "edge.send"
    """ws-edge: a socket sends a message, until chat-api has answered."""
    COMMAND_SEND = "command.send"
    """chat-api: the message of a socket, until it is recorded."""
    RELAY_PUBLISH = "relay.publish"
    """chat-api: from the moment an event was recorded until JetStream has it."""
    FANOUT_PUBLISH = "fanout.publish"
    """chat-api: an event, until it is published to everybody concerned."""
    EDGE_DELIVER = "edge.deliver"
    """ws-edge: a frame from NATS, until it is written to the user's sockets."""
    PUSH_SEND = "push.send"
    """notifier: one push, until the provider has answered."""


class Kind(Enum):
    """The standard's kinds, by the names that it gives them."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


enabled = False
"""Whether spans are exported: what is needed for `record` alone is asked for only then."""
_tracer: _Tracer | None = None


def configure(service: str) -> None:
    """Export spans as `service` if the environment names a collector; call once, at start, behind `logs.configure`.

    Without the packages, or with settings that they do not accept, there is a warning and no spans.
    """
    global enabled, _tracer
    if not any(os.environ.get(name) for name in ENDPOINTS) or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    try:
        _tracer = _Tracer(service)
    except ImportError as missing:
        how = "install the extra natter-kit[otel]"
        log.warning("no spans: packages are missing", stage=Stage.LIFECYCLE, missing=missing.name, how=how)
        return
    except Exception as wrong:
        # Whatever stands in OTEL_* must not keep messages from people. Its text may hold secrets, its type does not.
        log.warning("no spans: OTEL_* is wrong", stage=Stage.LIFECYCLE, error=type(wrong).__name__)
        return
    enabled = True
    log.info("spans are exported", stage=Stage.LIFECYCLE)


def shutdown() -> None:
    """Export what waits, for `SHUTDOWN_S` at most; blocks, so call it when the event loop has ended."""
    global enabled, _tracer
    tracer, _tracer, enabled = _tracer, None, False
    if tracer is not None and not tracer.close():
        log.warning("the last spans were not exported in time", stage=Stage.LIFECYCLE)


def now_ns() -> int:
    """The wall clock, for `started_ns`; 0 while spans are not exported."""
    return time.time_ns() if enabled else 0


def record(
    name: SpanName,
    *,
    step: str | None,
    parent: str | None,
    started_ns: int,
    ended_ns: int | None = None,
    kind: Kind = Kind.INTERNAL,
    failed: bool = False,
    **attributes: Attribute,
) -> None:
    """One span, when it is over; returns at once.

    `step` is the `traceparent` whose span this is (`tracing.child_of`; None: one is made), `parent` the one it came
    from. Times are nanoseconds since 1970; None for the end is now. An attribute is exported as `natter.<name>`, unless
    the standard has a name for it. Nothing is recorded if the trace is not sampled.
    """
    if _tracer is None:
        return
    ids = tracing.ids(step if step is not None else tracing.child_of(parent))
    if ids is not None and ids.sampled:
        ended_ns = time.time_ns() if ended_ns is None else ended_ns
        # Clocks of two machines: a span that ends before it began is one that took no time.
        times = (started_ns, max(started_ns, ended_ns))
        _tracer.add(name, ids, tracing.ids(parent), times, kind, failed, attributes)


class _Tracer:
    """The SDK's queue and exporter; the ids are ours, which its own tracer would make anew."""

    def __init__(self, service: str) -> None:
        """Raises `ImportError` without the packages, and what the SDK raises for settings it does not accept."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._quiet = _Seldom()
        logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter").addFilter(self._quiet)
        # It would print headers that it cannot read, and with them a collector's secret.
        logging.getLogger("opentelemetry.util.re").setLevel(logging.CRITICAL)
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
        self._resource: Resource = Resource.create(named)
        self._exporter: SpanExporter = OTLPSpanExporter()
        # 2048 spans wait by default (OTEL_BSP_MAX_QUEUE_SIZE); one more drops the oldest.
        self._queue: BatchSpanProcessor = BatchSpanProcessor(self._exporter)

    def add(
        self,
        name: SpanName,
        ids: tracing.Ids,
        parent: tracing.Ids | None,
        times: tuple[int, int],
        kind: Kind,
        failed: bool,
        attributes: Mapping[str, Attribute],
    ) -> None:
        """Queue one span; if the queue is full, the oldest is dropped."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanKind, Status, StatusCode

        # A parent of another trace would be a mistake of the caller's; such a span begins its trace.
        same_trace = parent is not None and parent.trace == ids.trace
        self._queue.on_end(
            ReadableSpan(
                name.value,
                context=_context(ids, remote=False),
                parent=_context(parent, remote=True) if parent is not None and same_trace else None,
                resource=self._resource,
                attributes={_STANDARD.get(key, f"natter.{key}"): value for key, value in attributes.items()},
                kind=SpanKind[kind.value],
                status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
                start_time=times[0],
                end_time=times[1],
            )
        )

    def close(self) -> bool:
        """Export what waits; returns whether that was possible in `SHUTDOWN_S`."""
        # The SDK would wait for half a minute, and offers no other bound: so a thread waits that ends with the process.
        closing = threading.Thread(target=self._queue.shutdown, name="spans-shutdown", daemon=True)
        closing.start()
        closing.join(SHUTDOWN_S)
        in_time = not closing.is_alive()
        self._quiet.mute = True
        if not in_time:
            # Ends the pause between two attempts, and with it the thread.
            self._exporter.shutdown()
        return in_time


def _context(ids: tracing.Ids, *, remote: bool) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(ids.trace, ids.span, is_remote=remote, trace_flags=TraceFlags(ids.sampled))


class _Seldom(logging.Filter):
    """Lets the same text pass once in `SAY_AGAIN_S`; nothing while `mute`."""

    def __init__(self) -> None:
        super().__init__()
        self.mute = False
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now_s = time.monotonic()
        if self.mute or now_s < self._said.get(str(record.msg), float("-inf")) + SAY_AGAIN_S:
            return False
        # The texts are few: what changes stands in a record's arguments.
        self._said[str(record.msg)] = now_s
        return True
