from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import nats
import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig

from stack import Stack, StackOptions
from stack.nats import probe_nats

from .conftest import until

Connect = Callable[[str], Awaitable["Peer"]]


class Peer:
    """A connection of one service's user, with that service's inbox prefix, that keeps what the server refuses."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.refused: list[str] = []
        self.nc: Client

    async def open(self, stack: Stack) -> "Peer":
        async def note(error: Exception) -> None:
            self.refused.append(str(error))

        self.nc = await nats.connect(
            stack.nats_url,
            user=self.user,
            password=stack.nats_password(self.user),
            inbox_prefix=f"_INBOX.{self.user}",
            error_cb=note,
            allow_reconnect=False,
        )
        return self

    async def settle(self) -> None:
        """Return when the server has processed everything sent so far."""
        # Twice: nats-py 2.16 writes flush's PING straight to the socket, past commands that still wait in its buffer.
        # By the first PONG they are on their way, so that the second PING comes behind them.
        await self.nc.flush()
        await self.nc.flush()


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    options = StackOptions(data_dir=tmp_path / "data", postgres=False, chat_api=False, notifier=False, edges=0)
    async with Stack(options) as running:
        yield running


@pytest.fixture
async def connect(stack: Stack) -> AsyncIterator[Connect]:
    peers: list[Peer] = []

    async def connect_as(user: str) -> Peer:
        peers.append(await Peer(user).open(stack))
        return peers[-1]

    yield connect_as
    for peer in peers:
        await peer.nc.close()


PUBLISH = {
    "natter.events.conversation.c1.message_created": {"chat-api"},
    "natter.user.alice": {"chat-api"},
    "natter.room.c1": {"chat-api"},
    "natter.offline.alice": {"chat-api"},
    "natter.command.send_message": {"ws-edge"},
    "natter.notifier.facts": {"notifier"},  # push tokens are in the answer
    "natter.receipt.fanout-1.42": {"ws-edge"},
    "natter.control.canary": {"chat-api", "ws-edge", "notifier"},
    "_INBOX.ws-edge.x.1": {"chat-api"},
    "_INBOX.chat-api.x.1": set[str](),
    "_INBOX.notifier.x.1": {"chat-api"},
    "$KV.presence.alice": {"chat-api", "ws-edge"},
    "$O.attachments.C.x": {"chat-api"},
    "$JS.API.STREAM.DELETE.EVENTS": {"chat-api"},
    "$JS.API.STREAM.DELETE.KV_presence": {"chat-api"},
    "$JS.API.STREAM.MSG.GET.EVENTS": {"chat-api"},
    "$JS.API.CONSUMER.CREATE.EVENTS": {"chat-api"},
    "$JS.API.CONSUMER.CREATE.EVENTS.other": {"chat-api"},
    "$JS.API.CONSUMER.CREATE.EVENTS.notifier-events": {"chat-api", "notifier"},
    "$JS.API.STREAM.PURGE.OFFLINE_DELIVERY": {"chat-api"},
    "elsewhere": set[str](),
}
SUBSCRIBE = {
    "natter.>": set[str](),
    "natter.events.>": set[str](),
    "natter.user.alice": {"ws-edge"},
    "natter.room.c1": {"ws-edge"},
    "natter.offline.>": set[str](),
    "natter.command.send_message": set[str](),  # outside the queue group it would be executed twice
    "natter.notifier.facts": set[str](),
    "natter.receipt.>": {"chat-api"},
    "natter.control.>": {"chat-api", "ws-edge", "notifier"},
    "_INBOX.>": set[str](),
    "_INBOX.chat-api.>": {"chat-api"},
    "_INBOX.ws-edge.>": {"ws-edge"},
    "_INBOX.notifier.>": {"notifier"},
    "$JS.API.>": set[str](),
}


@pytest.mark.parametrize("user", ["chat-api", "ws-edge", "notifier"])
async def test_who_may_publish_where(connect: Connect, user: str) -> None:
    """Each service's user may publish on its own subjects, and what it may not publish reaches nobody."""
    observer, peer = await connect("observer"), await connect(user)
    seen: list[str] = []

    async def note(message: Msg) -> None:
        seen.append(message.subject)

    await observer.nc.subscribe(">", cb=note)
    await observer.settle()
    for subject in PUBLISH:
        await peer.nc.publish(subject, b"{}")
    await peer.nc.publish("natter.control.end", b"")
    await until(lambda: "natter.control.end" in seen, "what was allowed arrives")
    assert {subject for subject in PUBLISH if subject in seen} == _allowed(PUBLISH, user)
    await until(lambda: len(peer.refused) == len(PUBLISH) - len(_allowed(PUBLISH, user)), "each refusal is reported")
    assert all("permissions violation for publish" in refusal.lower() for refusal in peer.refused)


@pytest.mark.parametrize("user", ["chat-api", "ws-edge", "notifier"])
async def test_who_may_subscribe_where(connect: Connect, user: str) -> None:
    """Each service's user may listen to its own subjects only."""
    peer = await connect(user)
    for subject in SUBSCRIBE:
        await peer.nc.subscribe(subject)
    await peer.settle()
    await until(lambda: len(peer.refused) == len(SUBSCRIBE) - len(_allowed(SUBSCRIBE, user)), "refusals are reported")
    refused = " ".join(peer.refused).lower()
    assert {s for s in SUBSCRIBE if f'"{s}"'.lower() not in refused} == _allowed(SUBSCRIBE, user)


async def test_a_wrong_password_is_refused(stack: Stack) -> None:
    """Without its password nobody gets in."""
    # Our own probe and not nats-py, which leaves the refused connection's socket open.
    host, port = stack.part("nats").host, stack.part("nats").port
    assert await probe_nats(host, port, "observer", stack.nats_password("observer")) == ""
    for user, password in (("observer", "wrong"), ("observer", stack.nats_password("notifier")), ("", "")):
        assert "Authorization Violation" in await probe_nats(host, port, user, password)


async def test_a_command_is_answered(connect: Connect) -> None:
    """An edge asks, chat-api answers into the edge's inbox."""
    chat_api, edge = await connect("chat-api"), await connect("ws-edge")

    async def answer(message: Msg) -> None:
        await message.respond(b"done: " + message.data)

    await chat_api.nc.subscribe("natter.command.*", queue="chat-api", cb=answer)
    await chat_api.settle()
    assert (await edge.nc.request("natter.command.send_message", b"hello", timeout=5)).data == b"done: hello"


async def test_a_delivery_gets_its_receipt_or_hears_that_nobody_listens(connect: Connect) -> None:
    """A delivery with a receipt subject is answered by the edge; for a user whom no edge holds NATS answers 503."""
    chat_api, edge = await connect("chat-api"), await connect("ws-edge")
    receipts: list[Msg] = []

    async def note(message: Msg) -> None:
        receipts.append(message)

    async def deliver(message: Msg) -> None:
        await edge.nc.publish(message.reply, b"delivered")

    await chat_api.nc.subscribe("natter.receipt.>", cb=note)
    await edge.nc.subscribe("natter.user.alice", queue="edge-1", cb=deliver)
    await edge.settle()
    await chat_api.settle()
    await chat_api.nc.publish("natter.user.alice", b"{}", reply="natter.receipt.f.1")
    await chat_api.nc.publish("natter.user.bob", b"{}", reply="natter.receipt.f.2")
    await until(lambda: len(receipts) == 2, "both are settled")
    by_subject = {message.subject: message for message in receipts}
    assert by_subject["natter.receipt.f.1"].data == b"delivered"
    assert (by_subject["natter.receipt.f.2"].headers or {}).get("Status") == "503"


async def test_an_offline_delivery_reaches_the_notifier(connect: Connect) -> None:
    """chat-api writes OFFLINE_DELIVERY, the notifier consumes it with a durable consumer and acknowledges."""
    chat_api, notifier = await connect("chat-api"), await connect("notifier")
    await notifier.nc.jetstream().add_stream(StreamConfig(name="OFFLINE_DELIVERY", subjects=["natter.offline.*"]))
    await chat_api.nc.jetstream().publish("natter.offline.alice", b"one", headers={"Nats-Msg-Id": "e1"})
    js = notifier.nc.jetstream()
    pull = await js.pull_subscribe("natter.offline.*", durable="notifier", stream="OFFLINE_DELIVERY")
    (message,) = await pull.fetch(1, timeout=5)
    assert message.data == b"one"
    await message.ack_sync()
    assert (await js.stream_info("OFFLINE_DELIVERY")).state.messages == 1
    assert (await pull.consumer_info()).num_ack_pending == 0
    assert not notifier.refused


async def test_presence_is_kept_by_edges_and_read_by_chat_api(connect: Connect) -> None:
    """An edge makes the presence bucket, writes and watches it; chat-api reads it."""
    chat_api, edge = await connect("chat-api"), await connect("ws-edge")
    bucket = await edge.nc.jetstream().create_key_value(bucket="presence", ttl=60)
    await bucket.put("alice.edge-1", b"desktop")
    watcher = await bucket.watch("alice.*")
    update = await watcher.updates(timeout=5)  # type: ignore[no-untyped-call]
    assert update is not None
    assert update.value == b"desktop"
    await watcher.stop()  # type: ignore[no-untyped-call]
    await bucket.delete("alice.edge-1")
    read = await chat_api.nc.jetstream().key_value("presence")
    with pytest.raises(nats.js.errors.KeyNotFoundError):
        await read.get("alice.edge-1")
    assert not edge.refused
    assert not chat_api.refused


async def test_attachments_are_chat_apis(connect: Connect) -> None:
    """chat-api makes the object store, writes and reads it; an edge cannot even look."""
    chat_api, edge = await connect("chat-api"), await connect("ws-edge")
    store = await chat_api.nc.jetstream().create_object_store("attachments")
    await store.put("a", b"x" * 300_000)
    assert len((await store.get("a")).data or b"") == 300_000
    with pytest.raises(nats.errors.TimeoutError):
        await edge.nc.jetstream(timeout=0.5).object_store("attachments")


async def test_messages_are_limited_to_1_mb(connect: Connect) -> None:
    """The server announces max_payload, so that a client refuses a bigger message by itself."""
    observer = await connect("observer")
    assert observer.nc.max_payload == 1024 * 1024
    with pytest.raises(nats.errors.MaxPayloadError):
        await observer.nc.publish("natter.control.big", b"x" * (1024 * 1024 + 1))
    await observer.settle()


def _allowed(table: dict[str, set[str]], user: str) -> set[str]:
    return {subject for subject, users in table.items() if user in users}
