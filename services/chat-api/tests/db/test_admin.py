"""The admin's calls on real Postgres and NATS: figures, connections, and closing sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import asyncpg
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.control import Control
from chat_api.domain.errors import Forbidden
from chat_api.live_stats import LiveStats
from chat_api.presence.book import PresenceBook
from chat_api.settings import ChatApiSettings
from chat_api.sockets.stats import stats
from chat_api.stats import CHAT_API_SAMPLES, MESSAGES
from chat_api.store.backlog import SAVED_WITHIN_S, ages
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing_http import Served, served
from chat_api.testing_world import World, until
from contracts import subjects
from contracts.codec import decode, encode
from contracts.commands import Asker, StatsCommand
from contracts.control import Disconnect
from contracts.devices import DeviceType
from contracts.ids import new_id
from contracts.presence import ConnectionInfo, EdgeFigures, EdgeLease, EdgePresence, presence_key
from contracts.stats import FIGURES_BUCKET, AdminStats, ProcessFigures
from contracts.times import now
from kit import buckets
from kit.figures import Figures

T = TypeVar("T")
Start = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]


async def eventually(ask: Callable[[], Awaitable[T]], enough: Callable[[T], bool]) -> T:
    """Ask again and again until the answer is enough."""
    give_up = time.monotonic() + 15
    while True:
        found = await ask()
        if enough(found):
            return found
        assert time.monotonic() < give_up, found
        await asyncio.sleep(0.05)


def connection(device: DeviceType, *roles: str) -> ConnectionInfo:
    """An open socket."""
    return ConnectionInfo(connection_id=new_id(), device_type=device, connected_at=now(), roles=roles)


@dataclass
class Admin:
    """The application with everything that an admin's calls need."""

    chat: Served
    book: PresenceBook
    live: LiveStats

    def edge(self, edge_id: str, **users: list[ConnectionInfo]) -> None:
        """An edge holds these sockets."""
        instance = new_id()
        figures = EdgeFigures(connections=sum(map(len, users.values())))
        lease = EdgeLease(edge_id=edge_id, instance=instance, started_at=now(), renewed_at=now(), figures=figures)
        self.book.renew(lease, 1)
        for user_id, sockets in users.items():
            entry = EdgePresence(edge_id=edge_id, instance=instance, connections=tuple(sockets))
            self.book.put(presence_key(user_id, edge_id), entry, 1)

    async def get(self, path: str, *, role: str = "admin", status: int = 200) -> dict[str, Any]:
        """A request of an admin, or of somebody else."""
        answer = await self.chat.call("GET", path, self.chat.token("root", role), status=status)
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
async def admin(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, client: Client, observer: Client
) -> AsyncIterator[Admin]:
    """A book that hears the edges, and figures without a past."""
    js = observer.jetstream()
    if any(one.config.name == buckets.stream(FIGURES_BUCKET) for one in await js.streams_info()):
        await js.purge_stream(buckets.stream(FIGURES_BUCKET))
    book, control = PresenceBook(), Control()
    book.replace({}, {})
    live = LiveStats(engine, book)
    live.js, control.client = client.jetstream(timeout=5), client
    keeping = asyncio.create_task(live.keep_bucket())
    quiet = settings.model_copy(update={"rate_limits": False})
    async with served(quiet, engine, uow, presence=book, stats=live, control=control) as chat:
        yield Admin(chat, book, live)
    keeping.cancel()


# --- connections ------------------------------------------------------------------------------------------------------


async def test_connections_by_every_filter(admin: Admin) -> None:
    """All sockets of all edges; each filter alone, and together."""
    phone, desk = connection(DeviceType.MOBILE, "customer"), connection(DeviceType.DESKTOP, "customer")
    tablet = connection(DeviceType.TABLET, "doctor", "admin")
    admin.edge("edge-1", anna=[phone], dora=[tablet])
    admin.edge("edge-2", anna=[desk])

    async def ids(query: str = "") -> list[str]:
        page = await admin.get(f"/v1/admin/connections?{query}")
        assert page["count"] == len(page["connections"])
        return [one["connection_id"] for one in page["connections"]]

    of = {"phone": phone.connection_id, "desk": desk.connection_id, "tablet": tablet.connection_id}
    assert await ids() == sorted(of.values())
    for query, expected in (
        ("user_id=anna", {"phone", "desk"}),
        ("edge_id=edge-2", {"desk"}),
        ("device_type=tablet", {"tablet"}),
        ("role=customer", {"phone", "desk"}),
        ("role=admin", {"tablet"}),
        ("user_id=anna&device_type=mobile&edge_id=edge-1&role=customer", {"phone"}),
        ("user_id=anna&device_type=tablet", set()),
        ("user_id=nobody", set()),
    ):
        assert await ids(query) == sorted(of[name] for name in expected), query
    (one,) = (await admin.get("/v1/admin/connections?edge_id=edge-2"))["connections"]
    assert (one["user_id"], one["edge_id"], one["device_type"], one["roles"]) == (
        "anna",
        "edge-2",
        "desktop",
        ["customer"],
    )
    assert one["connected_at"]


async def test_connections_come_in_pages(admin: Admin) -> None:
    """Each socket once, also while others come; the count is of all."""
    sockets = [connection(DeviceType.MOBILE) for _ in range(7)]
    admin.edge("edge-1", **{f"user{n}": [one] for n, one in enumerate(sockets)})
    seen: list[str] = []
    path = "/v1/admin/connections?limit=3"
    page = await admin.get(path)
    while True:
        assert page["count"] == 7
        seen += [one["connection_id"] for one in page["connections"]]
        if "next_cursor" not in page:
            break
        page = await admin.get(f"{path}&cursor={page['next_cursor']}")
    assert seen == sorted(one.connection_id for one in sockets)
    for wrong in ("limit=0", "limit=1001", "cursor=x", "device_type=toaster", "role=king", "user_id=a.b"):
        await admin.get(f"/v1/admin/connections?{wrong}", status=422)


# --- disconnect -------------------------------------------------------------------------------------------------------


async def test_a_user_is_disconnected_and_the_act_is_recorded(
    admin: Admin, observer: Client, db: asyncpg.Connection[Any]
) -> None:
    """Every edge hears whose sockets to close; a repeat with the same key says nothing again."""
    heard: list[Disconnect] = []

    async def hear(message: Msg) -> None:
        heard.append(decode(Disconnect, message.data))

    await observer.subscribe(subjects.DISCONNECT, cb=hear)
    await observer.flush()
    phone, desk = connection(DeviceType.MOBILE), connection(DeviceType.DESKTOP)
    admin.edge("edge-1", anna=[phone, desk])
    token, path, key = admin.chat.token("root", "admin"), "/v1/admin/users/anna/disconnect", {"idempotency-key": "k"}
    all_ = await admin.chat.call("POST", path, token, headers=key, status=202)
    assert all_.json() == {"user_id": "anna", "connections": 2}
    await admin.chat.call("POST", path, token, headers=key, status=202)
    body = {"device_type": "mobile"}
    one = await admin.chat.call("POST", path, token, json=body, status=202)
    assert one.json() == {"user_id": "anna", "connections": 1}
    await admin.chat.call("POST", path, token, json={"connection_id": desk.connection_id}, status=202)
    await until(lambda: len(heard) == 3, "three words to the edges")
    assert heard == [
        Disconnect(user_id="anna"),
        Disconnect(user_id="anna", device_type=DeviceType.MOBILE),
        Disconnect(user_id="anna", connection_id=desk.connection_id),
    ]
    acts = [
        json.loads(row["data"])
        for row in await db.fetch("SELECT data FROM events WHERE stream = 'user:root' ORDER BY seq")
    ]
    assert [(act["act"], act["target"], act.get("details")) for act in acts] == [
        ("disconnect_user", "anna", None),
        ("disconnect_user", "anna", {"device_type": "mobile"}),
        ("disconnect_user", "anna", {"connection_id": desk.connection_id}),
    ]


async def test_only_an_admin_may(admin: Admin, db: asyncpg.Connection[Any]) -> None:
    """Not a service, not staff, not the user; and what is wrong changes nothing."""
    for role in ("customer", "consultant", "doctor", "service"):
        for path in ("/v1/admin/stats", "/v1/admin/connections"):
            refused = await admin.get(path, role=role, status=403)
            assert refused["code"] == "forbidden"
        token = admin.chat.token("anna", role)
        await admin.chat.call("POST", "/v1/admin/users/anna/disconnect", token, status=403)
    token = admin.chat.token("root", "admin")
    for body in ({"device_type": "toaster"}, {"connection_id": "x"}, {"surprise": 1}):
        await admin.chat.call("POST", "/v1/admin/users/anna/disconnect", token, json=body, status=422)
    await admin.chat.call("POST", "/v1/admin/users/a.b/disconnect", token, status=422)
    assert await db.fetchval("SELECT count(*) FROM events") == 0


async def test_nothing_is_said_of_what_cannot_be_heard(admin: Admin) -> None:
    """Better no answer than a stale one: 503, and when to come back. A disconnect is accepted all the same."""
    admin.book.deaf()
    for path in ("/v1/admin/stats", "/v1/admin/connections"):
        assert (await admin.get(path, status=503))["code"] == "unavailable"
    token = admin.chat.token("root", "admin")
    answer = await admin.chat.call("POST", "/v1/admin/users/anna/disconnect", token, status=202)
    assert answer.json() == {"user_id": "anna"}


# --- figures ----------------------------------------------------------------------------------------------------------


async def test_stats_of_several_processes(admin: Admin, observer: Client) -> None:
    """S23: what the processes said over some seconds is rates; what the edges say are connections."""
    admin.edge("edge-1", anna=[connection(DeviceType.MOBILE)], ben=[connection(DeviceType.DESKTOP)])
    first = await admin.get("/v1/admin/stats")
    assert (first["connections"], first["users_online"], first["messages_per_s"]) == (2, 2, 0)
    start = now()
    for instance in (new_id(), new_id()):
        for seconds, value in ((0, 100.0), (2, 130.0), (4, 180.0)):
            said = ProcessFigures(
                service="chat-api", instance=instance, at=start + timedelta(seconds=seconds), values={MESSAGES: value}
            )
            await observer.jetstream().publish(buckets.subject(FIGURES_BUCKET, f"chat-api.{instance}"), encode(said))
    # A page is kept for a second.
    page = await eventually(lambda: admin.get("/v1/admin/stats"), lambda found: found["messages_per_s"] == 40.0)
    assert page["by_edge"] == {"edge-1": 2}
    assert page["edges"][0]["edge_id"] == "edge-1"


async def test_a_process_tells_its_own_figures(admin: Admin, client: Client, background: Start) -> None:
    """From its metrics to the bucket and back, with the permissions that chat-api has."""
    figures = Figures("chat-api", REGISTRY, CHAT_API_SAMPLES)
    background(figures.tell(client))
    told = await eventually(admin.live._samples, lambda found: bool(found))
    assert {f"chat-api.{one.instance}" for one in told} == {figures.key}
    assert told[0].values[MESSAGES] >= 0


async def test_stats_over_a_socket_are_for_admins(admin: Admin) -> None:
    """The edge asks in the name of an admin; of anybody else it is refused."""
    handle = stats(admin.live)
    asker = Asker(user_id="root", roles=("admin",), connection_id=new_id())
    reply = await handle(encode(StatsCommand(asker=asker)))
    assert reply.ack is not None
    assert AdminStats.model_validate(reply.ack).connections == 0
    for roles in ((), ("service",), ("doctor", "customer")):
        other = asker.model_copy(update={"roles": roles})
        with pytest.raises(Forbidden):
            await handle(encode(StatsCommand(asker=other)))


async def test_lag_shows_a_relay_and_a_fanout_that_do_nothing(world: World) -> None:
    """What is stuck measures nothing; its age in the record tells."""
    alice, bob = await world.people("alice", "bob")
    c = await world.conversation(alice, bob)
    fanout = world.fanout()
    await world.until_settled()
    assert world.relaying is not None
    await eventually(lambda: ages(world._engine), lambda found: found == (0.0, 0.0))
    await world.ended(fanout)
    await world.say(c, alice, "nobody fans it out", now=now())
    await eventually(lambda: ages(world._engine), lambda found: found[0] == 0 and found[1] > SAVED_WITHIN_S)
    await world.ended(world.relaying)
    await world.say(c, alice, "nobody relays it", now=now())
    relay_s, fanout_s = await ages(world._engine)
    assert 0 < relay_s < fanout_s
