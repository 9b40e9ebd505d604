"""An edge between real sockets and a real nats-server: delivery, receipts, commands, faults, lifecycle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from contracts import subjects
from contracts.codec import decode, encode
from contracts.codes import ErrorCode
from contracts.commands import SendMessageCommand, SendMessageReply
from contracts.delivery import DELIVERY_HEADER, Durable, Live, Receipt, delivery_header
from contracts.frames import FRAME_BYTES_MAX, Ack, FrameError
from contracts.ids import new_id
from ws_edge.app import Edge
from ws_edge.testing.raw import RawClient, client_frame, upgrade_request
from ws_edge.testing.servers import NatsServer, running_edge, token, until

from .support import close_code, flushed, frame, joined

STREAM = f"conversation:{new_id()}"


class FanOut:
    """Publishes as fan-out does, and collects the receipts of each delivery."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.inbox_id = new_id()
        self.receipts: dict[int, list[Receipt]] = {}

    async def start(self) -> None:
        async def on_receipt(message: Msg) -> None:
            self.receipts.setdefault(subjects.parse_receipt(message.subject), []).append(decode(Receipt, message.data))

        await self.client.subscribe(subjects.receipts(self.inbox_id), cb=on_receipt)
        await flushed(self.client)

    async def durable(self, user_id: str, seq: int, *, stream: str = STREAM, ticket: int | None = None) -> None:
        payload = json.dumps({"action": "new_message", "stream": stream, "seq": seq, "data": {"n": seq}}).encode()
        reply = subjects.receipt(self.inbox_id, seq if ticket is None else ticket)
        headers = {DELIVERY_HEADER: delivery_header(Durable(stream, seq))}
        await self.client.publish(subjects.user(user_id), payload, reply=reply, headers=headers)


@pytest.fixture
async def fan_out(sender: Client) -> FanOut:
    fan_out = FanOut(sender)
    await fan_out.start()
    return fan_out


# --- delivery ---


async def test_two_devices_on_one_edge_get_every_message_once_and_in_order(edge: Edge, fan_out: FanOut) -> None:
    """Every socket of a user gets each frame, in the order of publishing, and both kinds of device are reported."""
    async with joined(edge, "ann", "?device_type=mobile") as phone, joined(edge, "ann") as laptop:
        for seq in range(1, 201):
            await fan_out.durable("ann", seq)
        for client in (phone, laptop):
            assert [(await frame(client))["seq"] for _ in range(200)] == list(range(1, 201))
        await until(lambda: sum(map(len, fan_out.receipts.values())) == 400, "two receipts for each")
        assert {receipt.device_type.value for receipt in fan_out.receipts[7]} == {"mobile", "desktop"}


async def test_two_edges_each_deliver_every_message(nats_server: NatsServer, edge: Edge, fan_out: FanOut) -> None:
    """The queue group is the edge's own id: two edges are two copies, not halves."""
    async with (
        running_edge(nats_server.url, edge_id="edge-2") as other,
        joined(edge, "ann") as first,
        joined(other, "ann") as second,
    ):
        for seq in range(1, 101):
            await fan_out.durable("ann", seq)
        for client in (first, second):
            assert [(await frame(client))["seq"] for _ in range(100)] == list(range(1, 101))
        await until(lambda: all(len(fan_out.receipts.get(seq, ())) == 2 for seq in range(1, 101)), "receipts")
        assert {receipt.edge_id for receipt in fan_out.receipts[1]} == {"edge-1", "edge-2"}


async def test_same_device_type_is_reported_once(edge: Edge, fan_out: FanOut) -> None:
    """Two desktops are one answer to the question which kinds of device have it."""
    async with joined(edge, "ann") as one, joined(edge, "ann") as two:
        await fan_out.durable("ann", 1)
        await frame(one)
        await frame(two)
        await until(lambda: not any(c.owes_receipts for c in edge.registry.all()), "both pongs")
        await fan_out.client.flush()
        assert len(fan_out.receipts[1]) == 1


async def test_repeat_is_not_written_again_but_answered_again(edge: Edge, fan_out: FanOut) -> None:
    """After a crash fan-out publishes again: the client sees it once, fan-out gets its receipt."""
    async with joined(edge, "ann") as client:
        await fan_out.durable("ann", 1, ticket=1)
        await fan_out.durable("ann", 1, ticket=2)
        await fan_out.durable("ann", 2, ticket=3)
        assert [(await frame(client))["seq"] for _ in range(2)] == [1, 2]
        await until(lambda: set(fan_out.receipts) == {1, 2, 3}, "three receipts")
        assert edge.figures.duplicates == 1


async def test_payload_arrives_byte_for_byte(edge: Edge, sender: Client) -> None:
    """The edge does not read what it carries: even what is no JSON goes through."""
    async with joined(edge, "ann") as client:
        payload = '{"action" : "typing",  "é": "文"} '.encode()
        await sender.publish(
            subjects.user("ann"), payload, headers={DELIVERY_HEADER: delivery_header(Live("typing:bob"))}
        )
        assert (await client.recv(decode=False)) == payload


async def test_message_without_a_valid_header_is_counted_and_dropped(edge: Edge, sender: Client) -> None:
    """Without the header the edge could write it twice: it says so instead."""
    async with joined(edge, "ann") as client:
        await sender.publish(subjects.user("ann"), b"{}")
        await sender.publish(subjects.user("ann"), b"{}", headers={DELIVERY_HEADER: "nonsense"})
        await sender.publish(subjects.user("ann"), b'{"last":1}', headers={DELIVERY_HEADER: "l x"})
        assert await frame(client) == {"last": 1}
        assert edge.figures.malformed == 2


async def test_receipt_only_after_the_pong(edge: Edge, fan_out: FanOut) -> None:
    """A socket that takes bytes but sends no pong proves nothing; its pong proves everything before it."""
    raw = await RawClient.connect(edge.port, "/v1/ws", headers=[f"Authorization: Bearer {token(edge, 'ann')}"])
    assert json.loads((await raw.frame())[1])["action"] == "connected"
    await fan_out.durable("ann", 1)
    assert (await raw.frame())[0] == 1
    ping = await raw.frame()
    assert ping[0] == 9
    await fan_out.durable("ann", 2)
    assert json.loads((await raw.frame())[1])["seq"] == 2
    await raw.send(client_frame(10, b"unasked") + client_frame(10, b"999"))
    await raw.send(client_frame(1, b'{"action":"ping"}'))
    assert json.loads((await raw.frame())[1])["action"] == "pong"  # so the false pongs have been read
    await fan_out.client.flush()
    assert fan_out.receipts == {}
    await raw.send(client_frame(10, ping[1]))
    await until(lambda: 1 in fan_out.receipts, "first receipt")
    opcode, second = await raw.frame()
    assert opcode == 9
    assert 2 not in fan_out.receipts
    await raw.send(client_frame(10, second))
    await until(lambda: 2 in fan_out.receipts, "second receipt")
    await raw.close()


async def test_nobody_is_subscribed_after_the_last_socket(edge: Edge, sender: Client) -> None:
    """Interest is presence: without a socket NATS itself says that nobody is there."""
    async with joined(edge, "ann"), joined(edge, "ann"):
        pass

    async def answered() -> bool:
        try:
            await sender.request(subjects.user("ann"), b"{}", timeout=0.2)
        except Exception as failed:
            return type(failed).__name__ == "NoRespondersError"
        return False

    async with asyncio.timeout(5):
        while not await answered():
            pass
    assert edge.registry.users_count == 0


async def test_sockets_that_come_and_go_leave_one_working_subscription(edge: Edge, fan_out: FanOut) -> None:
    """However the last leaving and the next coming fall together, who is connected gets messages."""
    for number in range(30):
        async with joined(edge, "ann") as client:
            await fan_out.durable("ann", number + 1, stream=f"user:u{number}")
            assert (await frame(client))["seq"] == number + 1


async def test_nats_restart_sends_resync_and_delivery_goes_on(
    nats_server: NatsServer, edge: Edge, fan_out: FanOut
) -> None:
    """Sockets stay, are told that they may have missed something, and get what comes then; meanwhile 503."""
    async with joined(edge, "ann") as client:
        await nats_server.stop()
        await until(lambda: not edge.health.ready, "not ready")
        with pytest.raises(InvalidStatus) as refused:
            async with joined(edge, "bob"):
                pass
        assert refused.value.response.status_code == 503
        await nats_server.start()
        assert (await frame(client))["action"] == "resync"
        await until(lambda: edge.health.ready and fan_out.client.is_connected, "ready again")
        await fan_out.durable("ann", 1)
        assert (await frame(client))["seq"] == 1
        await until(lambda: 1 in fan_out.receipts, "receipt")


async def test_slow_socket_is_closed_and_its_neighbour_never_notices(nats_server: NatsServer, sender: Client) -> None:
    """Who does not read is told 4408; who reads gets everything."""
    async with running_edge(nats_server.url, send_buffer_bytes_max=65_536) as edge:
        slow = await RawClient.tcp(edge.port)
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        authorization = f"Authorization: Bearer {token(edge, 'ann')}"
        await slow.send(upgrade_request("/v1/ws", [authorization]))
        await until(lambda: len(edge.registry) == 1, "slow socket")
        fan_out = FanOut(sender)
        await fan_out.start()
        async with joined(edge, "ann") as quick:
            body = "x" * 20_000

            async def publish() -> None:
                for seq in range(1, 601):
                    data = json.dumps({"seq": seq, "body": body}).encode()
                    await sender.publish(subjects.user("ann"), data, headers={DELIVERY_HEADER: f"d {seq} {STREAM}"})
                    if seq % 20 == 0:
                        await sender.flush()

            publishing = asyncio.create_task(publish())
            assert [(await frame(quick))["seq"] for _ in range(600)] == list(range(1, 601))
            await publishing
        assert edge.figures.slow_closes == 1
        assert edge.figures.closes[4408] == 1
        await until(lambda: edge._sockets is not None and edge._sockets.open_sockets == 0, "the stuck one is cut")
        await slow.close()


# --- handshake ---


@pytest.mark.parametrize(
    ("query", "make_token", "origin", "code"),
    [
        ("", lambda edge: None, None, 4401),
        ("", lambda edge: "rubbish", None, 4401),
        ("", lambda edge: token(edge, "ann", ttl_s=-60), None, 4401),
        ("", lambda edge: token(edge, "ann.>"), None, 4401),
        ("", lambda edge: token(edge, "ann"), "https://evil.example", 4403),
        ("?connection_type=admin", lambda edge: token(edge, "ann", "doctor"), None, 4403),
        ("?device_type=toaster", lambda edge: token(edge, "ann"), None, 4400),
        ("?connection_type=x", lambda edge: token(edge, "ann"), None, 4400),
        ("?device_id=a%20b", lambda edge: token(edge, "ann"), None, 4400),
    ],
)
async def test_who_may_not_stay_is_told_by_a_close_code(
    nats_server: NatsServer, query: str, make_token: Callable[[Edge], str | None], origin: str | None, code: int
) -> None:
    """The upgrade completes, because a browser can read a close code but no HTTP status."""
    async with running_edge(nats_server.url, allowed_origins="https://app.example") as edge:
        made = make_token(edge)
        headers = {} if made is None else {"Authorization": f"Bearer {made}"}
        async with connect(
            f"ws://127.0.0.1:{edge.port}/v1/ws{query}",
            additional_headers=headers,
            origin=None if origin is None else Origin(origin),
        ) as client:
            assert await close_code(client) == code
            assert client.close_reason
        assert len(edge.registry) == 0


async def test_token_as_subprotocol_from_an_allowed_page(nats_server: NatsServer) -> None:
    """What a browser can do: subprotocols carry the token, and only natter.v1 comes back."""
    async with running_edge(nats_server.url, allowed_origins="https://app.example, https://b.example") as edge:
        offered = [Subprotocol("natter.v1"), Subprotocol(f"bearer.{token(edge, 'ann')}")]
        async with connect(
            f"ws://127.0.0.1:{edge.port}/v1/ws", subprotocols=offered, origin=Origin("https://APP.example")
        ) as client:
            assert client.subprotocol == "natter.v1"
            connected = await frame(client)
    assert connected["data"]["user_id"] == "ann"
    assert {"messaging", "typing_indicator", "token_refresh"} <= set(connected["data"]["features"])
    assert "real_time_stats" not in connected["data"]["features"]
    assert connected["data"]["heartbeat_interval_ms"] == 45_000
    assert connected["data"]["limits"]["frame_bytes_max"] == FRAME_BYTES_MAX


async def test_admin_may_open_an_admin_connection(edge: Edge) -> None:
    """The role opens the door that others find closed."""
    headers = {"Authorization": f"Bearer {token(edge, 'root', 'admin')}"}
    url = f"ws://127.0.0.1:{edge.port}/v1/ws?connection_type=admin"
    async with connect(url, additional_headers=headers) as client:
        assert (await frame(client))["action"] == "connected"


async def test_same_device_replaces_its_old_socket(edge: Edge, fan_out: FanOut) -> None:
    """A phone that comes back before its old socket has died gets each message once."""
    async with joined(edge, "ann", "?device_id=p1") as old, joined(edge, "ann", "?device_id=p1") as new:
        assert await close_code(old) == 4409
        await fan_out.durable("ann", 1)
        assert (await frame(new))["seq"] == 1
        assert len(edge.registry) == 1


async def test_one_user_cannot_open_any_number_of_sockets(nats_server: NatsServer) -> None:
    """Above the limit the newest is refused with 4429."""
    async with (
        running_edge(nats_server.url, connections_per_user_max=2) as edge,
        joined(edge, "ann"),
        joined(edge, "ann"),
    ):
        headers = {"Authorization": f"Bearer {token(edge, 'ann')}"}
        async with connect(f"ws://127.0.0.1:{edge.port}/v1/ws", additional_headers=headers) as third:
            assert await close_code(third) == 4429


async def test_socket_closes_when_its_token_expires(edge: Edge) -> None:
    """A token is good until it expires, connected or not."""
    headers = {"Authorization": f"Bearer {token(edge, 'ann', ttl_s=2)}"}
    async with connect(f"ws://127.0.0.1:{edge.port}/v1/ws", additional_headers=headers) as client:
        assert (await frame(client))["action"] == "connected"
        assert await close_code(client) == 4401


# --- frames ---


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{", 4400),
        ("[]", 4400),
        ("1" * 5000, 4400),
        ("[" * 30_000, 4400),
        ('{"a":' * 10_000, 4400),
        ('{"action": 1}', 4400),
        ("{}", 4400),
        ('{"action":"ping","x":NaN}', 4400),
        (b"\x00", 4400),
        ("x" * (FRAME_BYTES_MAX + 1), 4413),
    ],
)
async def test_bad_frame_closes(edge: Edge, sent: str | bytes, code: int) -> None:
    """What is no frame at all is a bug of the client: it is told so and closed."""
    async with joined(edge, "ann") as client:
        await client.send(sent)
        assert await close_code(client) == code


async def test_text_that_is_not_utf8_closes_1007(edge: Edge) -> None:
    """The transport's own checks hold on the real listener too."""
    raw = await RawClient.connect(edge.port, "/v1/ws", headers=[f"Authorization: Bearer {token(edge, 'ann')}"])
    await raw.send(client_frame(1, b'{"action":"ping","ref":"\xff"}'))
    assert await raw.close_code() == 1007
    await raw.close()


async def test_frame_at_the_limit_is_taken(edge: Edge) -> None:
    """The limit itself is allowed, and fragments are put together."""
    async with joined(edge, "ann") as client:
        text = '{"action":"ping","ref":1,"data":{"x":"' + "y" * 60_000 + '"}}'
        text = text[:-3] + "y" * (FRAME_BYTES_MAX - len(text)) + '"}}'
        assert len(text) == FRAME_BYTES_MAX
        await client.send([text[:100], text[100:]])
        assert await frame(client) == {"action": "pong", "ref": 1, "data": {}}


def draft(**changes: Any) -> dict[str, Any]:
    return {"conversation_id": new_id(), "client_msg_id": new_id(), "content": "hello", **changes}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"action": "nonsense", "ref": "r"}, "unknown_action"),
        ({"action": "typing", "ref": "r"}, "validation_failed"),
        ({"action": "mark_read", "ref": "r", "data": {"conversation_id": new_id(), "seq": -1}}, "validation_failed"),
        ({"action": "presence_subscribe", "ref": "r", "data": {"user_ids": ["a.>"]}}, "validation_failed"),
        ({"action": "presence_subscribe", "ref": "r", "data": {"user_ids": ["u"] * 201}}, "validation_failed"),
        ({"action": "presence_subscribe", "ref": "r", "data": {"user_ids": ["bob"]}}, "unavailable"),
        ({"action": "refresh_token", "ref": "r"}, "validation_failed"),
        ({"action": "refresh_token", "ref": "r", "data": {"token": "rubbish"}}, "unauthenticated"),
        ({"action": "send_message", "ref": "r"}, "validation_failed"),
        ({"action": "send_message", "ref": "r", "data": draft(content="")}, "validation_failed"),
        ({"action": "send_message", "ref": "r", "data": draft(message_type="system")}, "validation_failed"),
        ({"action": "send_message", "ref": "r", "data": []}, "validation_failed"),
        ({"action": "send_message", "ref": "r", "data": draft()}, "unavailable"),
    ],
)
async def test_wrong_request_is_answered_and_the_socket_stays(edge: Edge, sent: dict[str, Any], code: str) -> None:
    """An error names itself and its `ref`; the next frame works. (Nobody takes commands here, hence the last row.)"""
    async with joined(edge, "ann") as client:
        await client.send(json.dumps(sent))
        answer = await frame(client)
        assert (answer["action"], answer["ref"], answer["data"]["code"]) == ("error", "r", code)
        assert ("retry_after_ms" in answer["data"]) == (code == "unavailable")
        await client.send('{"action":"ping","ref":2}')
        assert (await frame(client))["ref"] == 2


async def scripted(client: Client, answer: Callable[[SendMessageCommand], Awaitable[SendMessageReply | None]]) -> None:
    """A chat-api that answers as the test says; None is no answer."""

    async def on_command(message: Msg) -> None:
        reply = await answer(decode(SendMessageCommand, message.data))
        if reply is not None:
            await message.respond(encode(reply))

    await client.subscribe(subjects.command("send_message"), queue=subjects.COMMAND_QUEUE, cb=on_command)
    await flushed(client)


async def test_send_message_round_trip_keeps_order(nats_server: NatsServer, sender: Client) -> None:
    """The edge vouches for the sender, acks carry their `ref`, and one socket's sends arrive in its order."""
    seen: list[SendMessageCommand] = []

    async def answer(command: SendMessageCommand) -> SendMessageReply:
        seen.append(command)
        ack = Ack(
            message_id=new_id(),
            conversation_id=command.message.conversation_id,
            seq=len(seen),
            client_msg_id=command.message.client_msg_id,
        )
        return SendMessageReply(ack=ack)

    await scripted(sender, answer)
    async with running_edge(nats_server.url, frames_burst=50) as edge, joined(edge, "ann") as client:
        for number in range(50):
            data = draft(content=str(number))
            await client.send(json.dumps({"action": "send_message", "ref": number, "data": data}))
        answers = [await frame(client) for _ in range(50)]
    assert [(answer["action"], answer["ref"], answer["data"]["seq"]) for answer in answers] == [
        ("ack", number, number + 1) for number in range(50)
    ]
    assert [command.message.content for command in seen] == [str(number) for number in range(50)]
    assert {command.sender_id for command in seen} == {"ann"}


async def test_error_of_chat_api_reaches_the_client(edge: Edge, sender: Client) -> None:
    """The edge passes on what chat-api says."""

    async def answer(_command: SendMessageCommand) -> SendMessageReply:
        return SendMessageReply(error=FrameError(code=ErrorCode.NOT_FOUND, message="no such conversation"))

    await scripted(sender, answer)
    async with joined(edge, "ann") as client:
        await client.send(json.dumps({"action": "send_message", "ref": "x", "data": draft()}))
        assert await frame(client) == {
            "action": "error",
            "ref": "x",
            "data": {"code": "not_found", "message": "no such conversation"},
        }


async def test_silent_chat_api_is_a_timeout_and_a_full_queue_is_refused(
    nats_server: NatsServer, sender: Client
) -> None:
    """Nothing waits for ever, and no more than a few wait at all."""

    async def answer(_command: SendMessageCommand) -> None:
        return None

    await scripted(sender, answer)
    async with (
        running_edge(nats_server.url, commands_waiting_max=2, command_timeout_s=0.2) as edge,
        joined(edge, "ann") as client,
    ):
        for ref in range(3):
            await client.send(json.dumps({"action": "send_message", "ref": ref, "data": draft()}))
        answers = {}
        for _ in range(3):
            answered = await frame(client)
            answers[answered["ref"]] = answered["data"]
    assert [answers[ref]["code"] for ref in range(3)] == ["timeout", "timeout", "rate_limited"]
    assert answers[2]["retry_after_ms"] > 0


async def test_flood_is_refused_first_and_closed_then(nats_server: NatsServer) -> None:
    """Above the rate a client gets `rate_limited`; one that does not stop is closed with 4429."""
    async with (
        running_edge(nats_server.url, frames_per_second=1, frames_burst=5, frames_abuse=10) as edge,
        joined(edge, "ann") as client,
    ):
        for number in range(30):
            await client.send(json.dumps({"action": "ping", "ref": number}))
        actions = [(await frame(client))["action"] for _ in range(15)]
        assert actions == ["pong"] * 5 + ["error"] * 10
        assert await close_code(client) == 4429


# --- heartbeat ---


async def test_silent_socket_is_pinged_and_closed_without_a_pong(nats_server: NatsServer) -> None:
    """The seed's two times: silence brings a ping, no pong brings 1001; who answers stays."""
    async with (
        running_edge(nats_server.url, heartbeat_interval_ms=100, connection_timeout_ms=100) as edge,
        joined(edge, "bob", ping_interval=None) as alive,
    ):
        raw = await RawClient.connect(edge.port, "/v1/ws", headers=[f"Authorization: Bearer {token(edge, 'ann')}"])
        assert (await raw.frame())[0] == 1
        assert (await raw.frame())[0] == 9
        assert await raw.close_code() == 1001
        await raw.close()
        await until(lambda: edge.figures.closes[1001] == 1, "one close")
        await alive.send('{"action":"ping"}')
        assert (await frame(alive))["action"] == "pong"


# --- HTTP and life cycle ---


async def get(edge: Edge, path: str) -> tuple[int, bytes]:
    raw = await RawClient.tcp(edge.port)
    await raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = (await raw.reader.read(-1)).partition(b"\r\n\r\n")
    await raw.close()
    return int(head.split()[1]), body


async def test_health_metrics_and_404_on_the_same_port(edge: Edge) -> None:
    """One port serves it all; an unknown path is JSON like everywhere."""
    async with joined(edge, "ann", "?device_type=tablet"):
        assert await get(edge, "/healthz/live") == (200, b'{"status":"alive"}')
        assert await get(edge, "/healthz/ready") == (200, b'{"status":"ready"}')
        status, metrics = await get(edge, "/metrics")
        assert status == 200
        assert b'natter_edge_connections{device_type="tablet"} 1.0' in metrics
        assert b"natter_edge_frames_out_total 1.0" in metrics
    status, body = await get(edge, "/nowhere")
    assert (status, json.loads(body)["code"]) == (404, "not_found")
    assert (await get(edge, "/v1/ws"))[0] == 426


async def test_edge_waits_for_nats_and_becomes_ready(nats_server: NatsServer) -> None:
    """Started before NATS it listens, says why it is not ready, refuses sockets, and goes on when NATS comes."""
    await nats_server.stop()
    async with running_edge(nats_server.url, wait_ready=False) as edge:
        status, body = await get(edge, "/healthz/ready")
        assert (status, "nats" in json.loads(body)["missing"]) == (503, True)
        with pytest.raises(InvalidStatus) as refused:
            async with joined(edge, "ann"):
                pass
        assert refused.value.response.status_code == 503
        await nats_server.start()
        await until(lambda: edge.health.ready, "ready")
        async with joined(edge, "ann"):
            pass


async def test_edge_that_waits_for_nats_can_be_stopped(nats_server: NatsServer) -> None:
    """Waiting is no reason not to end."""
    await nats_server.stop()
    async with asyncio.timeout(5):
        async with running_edge(nats_server.url, wait_ready=False):
            await asyncio.sleep(0)


async def test_stopping_edge_tells_each_socket_its_moment_and_closes_1012(edge: Edge, fan_out: FanOut) -> None:
    """Not ready, `reconnect` with a moment, the last receipts, 1012, the end."""
    async with joined(edge, "ann") as ann, joined(edge, "bob") as bob:
        await fan_out.durable("ann", 1)
        assert (await frame(ann))["seq"] == 1
        edge.stop()
        await until(lambda: not edge.health.ready, "not ready")
        for client in (ann, bob):
            told = await frame(client)
            assert told["action"] == "reconnect"
            assert 0 <= told["data"]["after_ms"] <= 100
            assert await close_code(client) == 1012
        await until(lambda: 1 in fan_out.receipts, "receipt")
    await until(lambda: len(edge.registry) == 0, "empty")


# --- deafness ---


async def test_deaf_edge_sends_its_sockets_elsewhere(edge: Edge, fan_out: FanOut) -> None:
    """Connected, but not hearing itself: sockets are told, a new connection is made, what may be missing is said."""
    async with joined(edge, "ann") as client:

        def deafen() -> bool:
            edge._canary._silent_s = 100.0  # it may just be hearing: again, until it was believed
            return edge.figures.nats_renewals == 1

        await until(deafen, "deaf")
        assert (await frame(client))["action"] == "reconnect"
        assert (await frame(client))["action"] == "resync"
        assert edge.health.ready
        assert edge.figures.nats_renewals == 1
        await fan_out.durable("ann", 1)
        assert (await frame(client))["seq"] == 1
        await until(lambda: 1 in fan_out.receipts, "receipt")


async def test_cancelled_listener_is_noticed_and_replaced(
    nats_server: NatsServer, fan_out: FanOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NATS' reader is gone while the connection seems to stand: not ready, healed by itself, resync, and all flows."""
    quick: dict[str, Any] = {"canary_deaf_after_s": 0.3, "drain_window_s": 0.01}
    async with (
        running_edge(nats_server.url, edge_id="edge-1", **quick) as edge,
        joined(edge, "ann") as ann,
        joined(edge, "bob") as bob,
    ):
        assert edge._bus is not None
        old = edge._bus._client
        assert old._reading_task is not None
        # Noted, not polled: healing takes a few milliseconds here.
        missing: list[str] = []
        set_missing = edge.health.missing

        def note(need: str, reason: str) -> None:
            missing.append(need)
            set_missing(need, reason)

        monkeypatch.setattr(edge.health, "missing", note)
        old._reading_task.cancel()
        for client in (ann, bob):
            assert (await frame(client))["action"] == "reconnect"
            assert (await frame(client))["action"] == "resync"
        assert missing[0] == "canary", "it was not ready"
        assert edge.health.ready
        assert edge.health.alive
        assert old.is_closed
        new = edge._bus._client
        assert new is not old
        # Who hears the canary knows that the others stand, because it was subscribed behind them. Only the inbox for
        # answers may follow: it comes with the first question.
        heard = [one.subject for one in new._subs.values() if not one.subject.startswith("_INBOX.")]
        assert heard[-1] == edge._canary.subject
        for seq in range(1, 51):
            await fan_out.durable("ann", seq)
            await fan_out.durable("bob", seq, ticket=1000 + seq)
        for client in (ann, bob):
            assert [(await frame(client))["seq"] for _ in range(50)] == list(range(1, 51))
        await until(lambda: len(fan_out.receipts) == 100, "every receipt")
        async with joined(edge, "eve") as eve:  # a newcomer's interest goes to the new connection
            await fan_out.durable("eve", 1, ticket=2001)
            assert (await frame(eve))["seq"] == 1
        # The server may keep the old connection's subscriptions for minutes: they must take nothing away.
        await fan_out.client.subscribe(subjects.user("ann"), queue="edge-1", cb=_dropped)
        await flushed(fan_out.client)
        for seq in range(51, 101):
            await fan_out.durable("ann", seq)
        assert [(await frame(ann))["seq"] for _ in range(50)] == list(range(51, 101))
        await bob.close()  # and an old one's is taken back there
        await nobody_listens(fan_out.client, subjects.user("bob"))


async def _dropped(_message: Msg) -> None:
    return None


async def nobody_listens(client: Client, subject: str) -> None:
    """Wait until NATS itself says that nobody is subscribed."""
    async with asyncio.timeout(5):
        while True:
            try:
                await client.request(subject, b"{}", timeout=0.2)
            except NoRespondersError:
                return
            except NatsTimeout:
                continue


async def test_edge_that_stays_deaf_asks_to_be_restarted(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New connections come and none is heard: liveness fails after its patience, and recovers with the hearing."""
    quick: dict[str, Any] = {"canary_deaf_after_s": 0.1, "liveness_patience_s": 0.6, "drain_window_s": 0}
    async with running_edge(nats_server.url, **quick) as edge:
        with monkeypatch.context() as patch:
            patch.setattr(edge._canary, "hear", lambda: None)
            await until(lambda: not edge.health.ready, "not ready")
            assert edge.health.alive
            await until(lambda: not edge.health.alive, "not alive")
            assert (await get(edge, "/healthz/live"))[0] == 503
            assert edge.figures.nats_renewals >= 1
        await until(lambda: edge.health.ready and edge.health.alive, "well again")
        assert (await get(edge, "/healthz/live"))[0] == 200


async def test_unreachable_nats_is_no_reason_for_a_restart(nats_server: NatsServer) -> None:
    """NATS is away for longer than the patience: sockets are sent elsewhere, the process lives, and comes back."""
    quick: dict[str, Any] = {"canary_deaf_after_s": 0.1, "liveness_patience_s": 0.3, "drain_window_s": 0}
    async with running_edge(nats_server.url, **quick) as edge, joined(edge, "ann") as client:
        await nats_server.stop()
        assert (await frame(client))["action"] == "reconnect"
        # Beyond the patience the client library itself is doubted: another connection takes over its waiting.
        await until(lambda: edge.figures.nats_renewals == 1, "a new connection is tried")
        assert edge.health.alive
        assert "nats" in json.loads((await get(edge, "/healthz/ready"))[1])["missing"]
        await nats_server.start()
        assert (await frame(client))["action"] == "resync"
        assert edge.health.ready
        assert edge.health.alive


async def test_edge_stops_while_nats_is_away(nats_server: NatsServer) -> None:
    """Also in the middle of waiting for a new connection: sockets get their moment and 1012, and `run` returns."""
    quick: dict[str, Any] = {"canary_deaf_after_s": 0.1, "liveness_patience_s": 0.2, "drain_window_s": 0.1}
    async with running_edge(nats_server.url, **quick) as edge, joined(edge, "ann") as client:
        await nats_server.stop()
        await until(lambda: edge.figures.nats_renewals == 1, "a new connection is tried")
        edge.stop()
        assert await close_code(client) == 1012
    assert len(edge.registry) == 0


# --- refresh_token ---


async def asked(client: ClientConnection, new_token: str) -> dict[str, Any]:
    """The answer to `refresh_token`."""
    await client.send(json.dumps({"action": "refresh_token", "ref": "t", "data": {"token": new_token}}))
    answer = await frame(client)
    assert answer["ref"] == "t"
    return answer


async def test_refreshed_token_keeps_the_socket_beyond_the_old_ones_end(edge: Edge, sender: Client) -> None:
    """The ack says until when; the new token's name and roles stand under what is sent from then on."""
    seen: list[SendMessageCommand] = []

    async def answer(command: SendMessageCommand) -> SendMessageReply:
        seen.append(command)
        return SendMessageReply(error=FrameError(code=ErrorCode.NOT_FOUND, message="x"))

    await scripted(sender, answer)
    headers = {"Authorization": f"Bearer {token(edge, 'ann', ttl_s=3)}"}
    url = f"ws://127.0.0.1:{edge.port}/v1/ws"
    async with (
        connect(url, additional_headers=headers) as client,
        connect(url, additional_headers=headers) as idle,
    ):
        assert (await frame(client))["action"] == "connected"
        assert (await frame(idle))["action"] == "connected"
        told = await asked(client, token(edge, "ann", "doctor", ttl_s=3600, name="Ann"))
        assert told["action"] == "ack"
        remaining = datetime.fromisoformat(told["data"]["expires_at"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < remaining <= timedelta(hours=1)
        assert await close_code(idle) == 4401  # the old token has ended for whoever did not refresh it
        await client.send(json.dumps({"action": "send_message", "ref": 1, "data": draft()}))
        assert (await frame(client))["data"]["code"] == "not_found"
    assert (seen[0].sender_name, seen[0].sender_roles) == ("Ann", ("doctor",))


@pytest.mark.parametrize(
    ("make_token", "code"),
    [
        (lambda edge: token(edge, "bob"), "forbidden"),
        (lambda edge: token(edge, "ann", ttl_s=-60), "token_expired"),
        (lambda edge: "rubbish", "unauthenticated"),
    ],
)
async def test_refused_refresh_changes_nothing(edge: Edge, make_token: Callable[[Edge], str], code: str) -> None:
    """Another user's token, an old one, no token: an error, and the socket ends with the token it came with."""
    headers = {"Authorization": f"Bearer {token(edge, 'ann', ttl_s=3)}"}
    async with connect(f"ws://127.0.0.1:{edge.port}/v1/ws", additional_headers=headers) as client:
        assert (await frame(client))["action"] == "connected"
        answer = await asked(client, make_token(edge))
        assert (answer["action"], answer["data"]["code"]) == ("error", code)
        await client.send('{"action":"ping","ref":1}')
        assert (await frame(client))["action"] == "pong"
        assert await close_code(client) == 4401


async def test_admin_socket_needs_an_admins_token_again(edge: Edge) -> None:
    """A refresh gives no right that the new token does not carry."""
    headers = {"Authorization": f"Bearer {token(edge, 'root', 'admin')}"}
    url = f"ws://127.0.0.1:{edge.port}/v1/ws?connection_type=admin"
    async with connect(url, additional_headers=headers) as client:
        assert (await frame(client))["action"] == "connected"
        assert (await asked(client, token(edge, "root", "doctor")))["data"]["code"] == "forbidden"
        assert (await asked(client, token(edge, "root", "admin")))["action"] == "ack"
