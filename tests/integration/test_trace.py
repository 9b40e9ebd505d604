"""One message is followed through the whole system by one id, in the logs of every service: seed row S22."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from stack import StackOptions

from .conftest import OpenWorld
from .eventually import eventually
from .world import World

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"

WAY = {
    ("chat-api", "broadcast"),
    ("chat-api", "route"),
    ("chat-api", "recipients"),
    ("chat-api", "deliver"),
    ("ws-edge", "received"),
    ("ws-edge", "local_check"),
    ("ws-edge", "local_push"),
    ("notifier", "received"),
    ("notifier", "local_push"),
}
"""Service and stage of each line that a message leaves if one recipient is online and another is away."""


SPANS = {
    ("chat-api", "http.request"),
    ("chat-api", "relay.publish"),
    ("chat-api", "fanout.publish"),
    ("ws-edge", "edge.deliver"),
    ("notifier", "push.send"),
}
"""Service and name of each span that such a message leaves."""


async def test_s22_one_trace_id_from_the_request_to_the_socket_and_the_push(open_world: OpenWorld) -> None:
    """A message to somebody who is online and to somebody who is away: each line carries the caller's id."""
    options = StackOptions(edges=1, log_format="json", log_level="DEBUG")
    async with open_world(options) as world:
        anna, ben, away = await world.people("anna", "ben", "away")
        conversation = await anna.open_conversation(ben.user_id, away.user_id)
        async with world.device(ben) as device:
            body = {"client_msg_id": "m-1", "content": "follow me"}
            path = f"/v1/conversations/{conversation}/messages"
            await anna.ok("POST", path, json=body, headers={"traceparent": TRACEPARENT})
            await eventually(lambda: device.contents(conversation) == ["follow me"])
            await eventually(partial(_followed, world), timeout_s=30)
        events = await anna.ok("GET", f"{path.removesuffix('messages')}events?after_seq=1")
        assert [event["traceparent"].split("-")[1] for event in events["events"]] == [TRACE]


async def test_s22_a_frame_begins_a_trace_too(open_world: OpenWorld) -> None:
    """Sent over the socket with a `traceparent`: the event carries the same trace."""
    async with open_world(StackOptions(edges=1, notifier=False)) as world:
        anna = await world.person("anna")
        conversation = await anna.open_conversation()
        async with world.device(anna) as device:
            data = {"conversation_id": conversation, "client_msg_id": "m-1", "content": "hello"}
            await device.send({"action": "send_message", "ref": "r", "data": data, "traceparent": TRACEPARENT})
            await eventually(lambda: device.answer("r"))
        events = await anna.ok("GET", f"/v1/conversations/{conversation}/events?after_seq=1")
        assert [event["traceparent"].split("-")[1] for event in events["events"]] == [TRACE]


async def test_s22_the_spans_of_a_message_are_one_tree(open_world: OpenWorld) -> None:
    """With a collector in the environment, all services' spans of one message are below the caller's own span."""
    with _collector() as (url, spans):
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        async with open_world(StackOptions(edges=1, env={"*": env})) as world:
            anna, ben, away = await world.people("anna", "ben", "away")
            conversation = await anna.open_conversation(ben.user_id, away.user_id)
            async with world.device(ben) as device:
                body = {"client_msg_id": "m-1", "content": "follow me"}
                path = f"/v1/conversations/{conversation}/messages"
                await anna.ok("POST", path, json=body, headers={"traceparent": TRACEPARENT})
                await eventually(lambda: device.contents(conversation) == ["follow me"])
                await eventually(lambda: {(one[0], one[1].name) for one in spans} >= SPANS, timeout_s=30)
        (request,) = (span for _, span in spans if span.name == "http.request")
        assert request.parent_span_id.hex() == TRACEPARENT.split("-")[2]
        route = next(one.value.string_value for one in request.attributes if one.key == "http.route")
        assert route == "/v1/conversations/{conversation_id}/messages"
        below = [span for _, span in spans if span is not request]
        assert {span.parent_span_id for span in below} == {request.span_id}
        assert len({span.span_id for _, span in spans}) == len(spans)


async def test_s22_the_spans_of_a_frame_are_one_tree(open_world: OpenWorld) -> None:
    """Sent over a socket: the edge's span is below the caller's, that of chat-api below the edge's."""
    with _collector() as (url, spans):
        env = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{url}/v1/traces", "OTEL_BSP_SCHEDULE_DELAY": "100"}
        async with open_world(StackOptions(edges=1, notifier=False, env={"*": env})) as world:
            anna = await world.person("anna")
            conversation = await anna.open_conversation()
            async with world.device(anna) as device:
                data = {"conversation_id": conversation, "client_msg_id": "m-1", "content": "hello"}
                await device.send({"action": "send_message", "ref": "r", "data": data, "traceparent": TRACEPARENT})
                await eventually(lambda: device.answer("r"))
                wanted = {"edge.send", "command.send", "relay.publish", "fanout.publish", "edge.deliver"}
                await eventually(lambda: {span.name for _, span in spans} >= wanted, timeout_s=30)
        found = {span.name: span for _, span in spans}
        assert found["edge.send"].parent_span_id.hex() == TRACEPARENT.split("-")[2]
        assert found["command.send"].parent_span_id == found["edge.send"].span_id
        for name in ("relay.publish", "fanout.publish", "edge.deliver"):
            assert found[name].parent_span_id == found["command.send"].span_id


@contextmanager
def _collector() -> Iterator[tuple[str, list[tuple[str, Span]]]]:
    """A collector on this machine: its address, and service and span of all that came and is part of the trace."""
    spans: list[tuple[str, Span]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = next(one.value.string_value for one in of.resource.attributes if one.key == "service.name")
                found = (span for scope in of.scope_spans for span in scope.spans)
                spans.extend((service, span) for span in found if span.trace_id.hex() == TRACE)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _followed(world: World) -> bool:
    """Whether every stage has left a line with the trace id."""
    found = {(line["service"], line["stage"]) for line in _lines(world.stack.data_dir / "logs")}
    assert found >= WAY, WAY - found
    return True


def _lines(folder: Path) -> list[dict[str, Any]]:
    """All log lines of all parts that carry the trace id."""
    return [
        json.loads(line)
        for path in folder.glob("*.log")
        for line in path.read_text(errors="replace").splitlines()
        if TRACE in line and line.startswith("{")
    ]
