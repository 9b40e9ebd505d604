"""Spans: nothing without a collector, one connected tree with one, and no harm from one that is away."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from structlog.testing import capture_logs

from kit import spans, tracing
from kit.spans import Kind, SpanName

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """Takes what is exported, on 127.0.0.1."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spans(self) -> dict[str, Span]:
        """What came, by name."""
        scopes = (scope for one in self.requests for of in one.resource_spans for scope in of.scope_spans)
        return {span.name: span for scope in scopes for span in scope.spans}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No collector but the test's, and none left behind."""
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    yield
    spans.shutdown()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the environment names."""
    one = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", one.url)
    yield one
    one.close()


def test_spans_of_several_steps_are_one_tree(collector: Collector) -> None:
    """Trace, span and parent are those of the traceparents, whoever exports which span first."""
    spans.configure("chat-api")
    request = tracing.child_of(GIVEN)
    started_ns = spans.now_ns()
    # What comes later in the tree is over first, and is exported first.
    spans.record(SpanName.EDGE_DELIVER, step=None, parent=request, started_ns=started_ns, kind=Kind.CONSUMER, sockets=2)
    what = {"method": "POST", "route": "/v1/x/{id}", "status": 503}
    spans.record(
        SpanName.HTTP_REQUEST,
        step=request,
        parent=GIVEN,
        started_ns=started_ns,
        ended_ns=started_ns + 5,
        kind=Kind.SERVER,
        failed=True,
        method="POST",
        route="/v1/x/{id}",
        status=503,
    )
    spans.shutdown()
    found = collector.spans()
    above, below = found["http.request"], found["edge.deliver"]
    assert above.trace_id.hex() == below.trace_id.hex() == GIVEN.split("-")[1]
    assert above.parent_span_id.hex() == GIVEN.split("-")[2]
    assert above.span_id.hex() == request.split("-")[2]
    assert below.parent_span_id == above.span_id
    assert below.span_id not in (above.span_id, bytes(8))
    assert (above.kind, below.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER)
    assert (above.status.code, below.status.code) == (2, 0)
    assert above.end_time_unix_nano - above.start_time_unix_nano == 5
    said = {one.key: one.value.string_value or one.value.int_value for one in above.attributes}
    assert said == {spans._STANDARD[key]: value for key, value in what.items()}
    assert {one.key: one.value.int_value for one in below.attributes} == {"natter.sockets": 2}


def test_a_service_has_its_name(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own, unless the operator gives it another one; what he says of the resource is kept."""
    names = []
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    for given in ("", "chat-of-the-shop"):
        monkeypatch.setenv("OTEL_SERVICE_NAME", given)
        spans.configure("chat-api")
        spans.record(SpanName.HTTP_REQUEST, step=None, parent=None, started_ns=1)
        spans.shutdown()
        (of,) = collector.requests[-1].resource_spans
        said = {one.key: one.value.string_value for one in of.resource.attributes}
        assert said["deployment.environment"] == "test"
        names.append(said["service.name"])
    assert names == ["chat-api", "chat-of-the-shop"]


def test_what_is_not_sampled_is_not_exported(collector: Collector) -> None:
    """Flag 00: neither the step nor what comes below it; nor what is part of no trace by mistake."""
    spans.configure("chat-api")
    unsampled = GIVEN.removesuffix("01") + "00"
    spans.record(SpanName.HTTP_REQUEST, step=tracing.child_of(unsampled), parent=unsampled, started_ns=1)
    spans.record(SpanName.RELAY_PUBLISH, step=None, parent=unsampled, started_ns=1)
    spans.record(SpanName.FANOUT_PUBLISH, step="nonsense", parent=GIVEN, started_ns=1)
    spans.record(SpanName.PUSH_SEND, step=None, parent=GIVEN, started_ns=1)
    spans.shutdown()
    assert list(collector.spans()) == ["push.send"]


def test_strange_parents_and_clocks(collector: Collector) -> None:
    """A parent of another trace is none, and a span that ends before it begins took no time."""
    spans.configure("chat-api")
    spans.record(SpanName.EDGE_SEND, step=tracing.child_of(None), parent=GIVEN, started_ns=9, ended_ns=8)
    spans.shutdown()
    span = collector.spans()["edge.send"]
    assert span.parent_span_id == b""
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (9, 9)


IN_A_PROCESS = """
import sys, json
{before}
from kit import spans
spans.configure("chat-api")
spans.record(spans.SpanName.HTTP_REQUEST, step=None, parent=None, started_ns=spans.now_ns())
spans.shutdown()
loaded = [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]
print(json.dumps({{"enabled": spans.enabled, "loaded": loaded}}))
"""


def _process(before: str = "", **env: str) -> list[str]:
    """Lines of a fresh process that records one span."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS.format(before=before)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("env", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_SDK_DISABLED": "true"}])
def test_without_a_collector_nothing_is_imported(env: dict[str, str]) -> None:
    """No endpoint, or everything switched off: no line is logged, and no module of OpenTelemetry is there."""
    if "OTEL_SDK_DISABLED" in env:
        env = {**env, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    (line,) = _process(**env)
    assert json.loads(line) == {"enabled": False, "loaded": []}


def test_missing_packages_are_one_warning() -> None:
    """A collector is named and the extra is not installed: the process goes on, and says once what to install."""
    warning, line = _process("sys.modules['opentelemetry'] = None", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert "natter-kit[otel]" in warning
    assert json.loads(line)["enabled"] is False


def test_wrong_settings_are_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDK refuses does not stop a service."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    with capture_logs() as lines:
        spans.configure("chat-api")
    (line,) = lines
    assert (line["log_level"], line["error"]) == ("warning", "ValueError")
    assert not spans.enabled


def test_a_collectors_secret_is_not_printed(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Headers that cannot be read are in no line, of ours or of the exporter."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "s3cret without a name")
    with capture_logs() as lines:
        spans.configure("chat-api")
        spans.record(SpanName.PUSH_SEND, step=None, parent=GIVEN, started_ns=1)
        spans.shutdown()
    assert list(collector.spans()) == ["push.send"]
    assert "s3cret" not in f"{lines} {caplog.text}"


@pytest.mark.parametrize("how", ["refuses", "never answers"])
def test_a_collector_that_is_away_costs_spans_only(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """More spans than the queue holds are recorded without waiting, and the end is not later than its bound."""
    monkeypatch.setattr(spans, "SHUTDOWN_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        if how == "refuses":
            listener.close()
        spans.configure("chat-api")
        began = time.monotonic()
        slowest_s = 0.0
        for _ in range(5_000):
            before = time.monotonic()
            spans.record(SpanName.HTTP_REQUEST, step=None, parent=GIVEN, started_ns=1)
            slowest_s = max(slowest_s, time.monotonic() - before)
        recorded_s = time.monotonic() - began
        with capture_logs() as lines:
            spans.shutdown()
        ended_s = time.monotonic() - began - recorded_s
    assert slowest_s < 1, "the collector's timeout is 10 s"
    assert ended_s < spans.SHUTDOWN_S + 1
    assert [line["event"] for line in lines] == ["the last spans were not exported in time"]
    # 5,000 spans and several attempts: each text of the exporter once.
    texts = [str(line.msg) for line in caplog.records if line.name.endswith("trace_exporter")]
    assert len(texts) == len(set(texts))
