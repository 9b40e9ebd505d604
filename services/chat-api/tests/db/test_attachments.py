"""Files over HTTP: who may send, carry and read them, in which parts, and what becomes of them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import psutil
import pytest
from nats.js import JetStreamContext
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import migrate
from chat_api.attachments_sweeper import AttachmentsSweeper
from chat_api.blobs.base import BlobMissing
from chat_api.blobs.nats import NatsBlobs
from chat_api.console import EventsProgress
from chat_api.files import Files
from chat_api.settings import ChatApiSettings
from chat_api.store import rebuild
from chat_api.store.database import create_engine
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing_http import Served, served
from contracts.attachments import ATTACHMENT_BYTES_MAX
from contracts.ids import new_id

PNG = b"\x89PNG\r\n\x1a\n"
OGG = b"OggS\x00\x02" + bytes(22) + b"\x01\x13OpusHead\x01\x01"
MIB = 1024 * 1024
PATH = "/v1/attachments"


def picture(size: int = 300_000, seed: int = 1) -> bytes:
    """Something that begins like a picture."""
    return PNG + random.Random(seed).randbytes(size - len(PNG))


@dataclass
class People:
    """A service with files, and everybody in it."""

    app: Served
    blobs: NatsBlobs
    sweeper: AttachmentsSweeper

    async def user(self, name: str, *roles: str) -> tuple[str, str]:
        """A fresh user's id and token."""
        user_id = f"{name}-{new_id()[-12:]}"
        await self.app.call("POST", "/v1/users", json={"user_id": user_id, "name": name}, status=201)
        return user_id, self.app.token(user_id, *roles)

    async def conversation(self, token: str, *others: str) -> str:
        """A fresh conversation."""
        answer = await self.app.call("POST", "/v1/conversations", token, json={"participant_ids": others}, status=201)
        return str(answer.json()["id"])

    async def upload(
        self, token: str, data: bytes | None = None, name: str = "a.png", status: int = 201, **options: Any
    ) -> dict[str, Any]:
        """Store a file, with `fields` of the form beside it; returns the answer."""
        files = {"file": (name, picture() if data is None else data, "application/x-anything")}
        fields = options.pop("fields", {})
        answer = await self.app.call("POST", PATH, token, files=files, data=fields, status=status, **options)
        return dict(answer.json())

    async def send(self, token: str, c: str, file: dict[str, Any], status: int = 201, **more: Any) -> dict[str, Any]:
        """Send a message that carries the file."""
        body = {"client_msg_id": new_id(), "message_type": "image", "content": "look", "attachment_id": file["id"]}
        answer = await self.app.call("POST", f"/v1/conversations/{c}/messages", token, json=body | more, status=status)
        return dict(answer.json())

    async def get(self, token: str, file: dict[str, Any], status: int = 200, **headers: str) -> httpx.Response:
        """Read a file."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.app.call("GET", f"{PATH}/{file['id']}", token, headers=named, status=status)


@pytest.fixture
def open_people(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, js: JetStreamContext
) -> Callable[..., Any]:
    """Starts such a service with other settings."""

    @asynccontextmanager
    async def start(**changes: Any) -> AsyncIterator[People]:
        changed = settings.model_copy(update={"rate_limits": False, **changes})
        blobs = NatsBlobs()
        blobs.js = js
        files = Files(changed, engine, uow, blobs)
        sweeper = AttachmentsSweeper(changed, engine, blobs)

        async with served(changed, engine, uow, files=files) as app:
            yield People(app, blobs, sweeper)

    return start


@pytest.fixture
async def people(open_people: Callable[..., Any]) -> AsyncIterator[People]:
    """Such a service."""
    async with open_people() as opened:
        yield opened


# --- coming in --------------------------------------------------------------------------------------------------------


async def test_a_file_is_what_its_bytes_say_and_the_message_says_it_to_everybody(people: People) -> None:
    """Name, type, size and checksum in the answer, in the message, in history; the bytes come back as they were."""
    _, anna_token = await people.user("anna")
    ben, ben_token = await people.user("ben")
    c = await people.conversation(anna_token, ben)
    data = picture()
    file = await people.upload(anna_token, data, "C:\\x\\röntgen.html", fields={"duration_ms": "0"})
    assert file == {
        "id": file["id"],
        "name": "röntgen.html.png",
        "media_type": "image/png",
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "duration_ms": 0,
    }
    message = await people.send(anna_token, c, file)
    assert message["attachment"] == file
    page = (await people.app.call("GET", f"/v1/conversations/{c}/messages", ben_token)).json()
    assert page["messages"][0]["attachment"] == file
    events = (await people.app.call("GET", f"/v1/conversations/{c}/events", ben_token)).json()["events"]
    assert events[-1]["data"]["attachment"] == file
    got = await people.get(ben_token, file)
    assert got.content == data
    assert got.headers["content-type"] == "image/png"
    assert got.headers["content-length"] == str(len(data))
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["cache-control"].startswith("private")
    assert got.headers["content-disposition"] == (
        "inline; filename=\"r_ntgen.html.png\"; filename*=UTF-8''r%C3%B6ntgen.html.png"
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [("picture.png", b"<!DOCTYPE html><script>alert(1)</script>"), ("a.png", b"<svg onload='x()'/>"),
     ("a.txt", b"hello\x00"), ("a.pdf", b"MZ\x90\x00" + bytes(100))],
    ids=["html", "svg", "binary", "program"],
)  # fmt: skip
async def test_what_only_calls_itself_a_picture_is_refused(people: People, name: str, data: bytes) -> None:
    """415, and neither row nor bytes stay; at once, however much of it still comes."""
    _, token = await people.user("anna")
    refused = await people.upload(token, data, name, status=415)
    assert refused["code"] == "unsupported_media_type"
    assert await people.sweeper.sweep() == 1
    assert await people.sweeper.sweep() == 0


async def test_forms_that_are_none(people: People, db: asyncpg.Connection[Any]) -> None:
    """Each is told what is wrong, and leaves nothing behind that could be sent."""
    _, token = await people.user("anna")
    call = people.app.call
    assert (await call("POST", PATH, token, json={}, status=415)).json()["code"] == "unsupported_media_type"
    form = {"content-type": "multipart/form-data; boundary=x"}
    for body in (b"", b"--x\r\n", b"--x--\r\n", b"garbage"):
        answer = await call("POST", PATH, token, content=body, headers=form, status=422)
        assert answer.json()["code"] == "validation_failed"
    png = ("a.png", PNG, "image/png")
    for fields, files in (
        ({"duration_ms": "-1"}, {"file": png}),
        ({"duration_ms": "9" * 30}, {"file": png}),
        ({"other": "1"}, {"file": png}),
        ({"name": "x" * 5000}, {"file": png}),
        ({"name": "ü" * 256}, {"file": png}),
        ({}, {"data": png}),
        ({}, [("file", png), ("file", png)]),
        ({}, {"file": ("empty.png", b"", "image/png")}),
    ):
        answer = await call("POST", PATH, token, data=fields, files=files, status=422)
        assert answer.json()["code"] == "validation_failed", (fields, files)
    assert await db.fetchval("SELECT count(*) FROM attachments WHERE stored_at IS NOT NULL") == 0
    await call("POST", PATH, "", files={"file": png}, status=401)


async def test_a_file_above_the_limit_is_too_large(
    open_people: Callable[..., Any], db: asyncpg.Connection[Any]
) -> None:
    """With and without a length; at the limit it passes. Half of it does not stay."""
    async with open_people(attachment_bytes_max=200_000) as people:
        _, token = await people.user("anna")
        assert (await people.upload(token, picture(200_000)))["size_bytes"] == 200_000
        assert (await people.upload(token, picture(200_001), status=413))["code"] == "payload_too_large"
        request = httpx.Request("POST", "http://x", files={"file": ("a.png", picture(500_000), "image/png")})
        body = request.read()

        async def chunked() -> AsyncIterator[bytes]:
            for at in range(0, len(body), 10_000):
                yield body[at : at + 10_000]

        headers = {"content-type": request.headers["content-type"]}
        answer = await people.app.call("POST", PATH, token, content=chunked(), headers=headers, status=413)
        assert answer.headers["connection"] == "close"
        await people.sweeper.sweep()
        assert await db.fetchval("SELECT count(*) FROM attachments") == 1


async def test_a_repeat_with_the_same_key_is_one_file(people: People, db: asyncpg.Connection[Any]) -> None:
    """The first answer again; another file under the same key is a conflict. Of repeats nothing stays."""
    _, token = await people.user("anna")
    key: dict[str, Any] = {"headers": {"Idempotency-Key": new_id()}}
    first = await people.upload(token, **key)
    assert await people.upload(token, **key) == first
    refused = await people.upload(token, picture(seed=2), status=422, **key)
    assert refused["code"] == "idempotency_conflict"
    await people.sweeper.sweep()
    assert await db.fetchval("SELECT count(*) FROM attachments") == 1
    assert (await people.get(token, first)).content == picture()


async def test_files_that_nobody_sends_are_limited(open_people: Callable[..., Any]) -> None:
    """A user fills no disk: so many at a time, and sending one makes room for another."""
    async with open_people(attachment_unused_max=2) as people:
        ben, _ = await people.user("ben")
        _, token = await people.user("anna")
        c = await people.conversation(token, ben)
        first = await people.upload(token)
        await people.upload(token)
        assert (await people.upload(token, status=422))["code"] == "limit_reached"
        await people.send(token, c, first)
        await people.upload(token)


async def test_uploads_at_the_same_time_are_limited(open_people: Callable[..., Any]) -> None:
    """One too many is told to come again, and is taken when there is room."""
    async with open_people(attachment_uploads_max=1) as people:
        _, token = await people.user("anna")
        go_on, begun = asyncio.Event(), asyncio.Event()
        request = httpx.Request("POST", "http://x", files={"file": ("a.png", picture(), "image/png")})
        body, headers = request.read(), {"content-type": request.headers["content-type"]}

        async def slowly() -> AsyncIterator[bytes]:
            yield body[:1000]
            begun.set()
            await go_on.wait()
            yield body[1000:]

        first = asyncio.create_task(people.app.call("POST", PATH, token, content=slowly(), headers=headers, status=201))
        await begun.wait()
        refused = await people.app.call("POST", PATH, token, files={"file": ("a.png", PNG, "image/png")}, status=503)
        assert refused.json()["code"] == "unavailable"
        assert refused.headers["retry-after"]
        go_on.set()
        await first
        await people.upload(token)


async def test_an_upload_that_stalls_is_ended(open_people: Callable[..., Any], db: asyncpg.Connection[Any]) -> None:
    """Its place is free again, and what there was of it goes."""
    async with open_people(attachment_stall_s=0.2, attachment_uploads_max=1) as people:
        _, token = await people.user("anna")
        request = httpx.Request("POST", "http://x", files={"file": ("a.png", picture(), "image/png")})
        body, headers = request.read(), {"content-type": request.headers["content-type"]}

        async def stalling() -> AsyncIterator[bytes]:
            yield body[:200_000]
            await asyncio.Event().wait()

        answer = await people.app.call("POST", PATH, token, content=stalling(), headers=headers, status=503)
        assert answer.json()["code"] == "timeout"
        await people.upload(token)
        await people.sweeper.sweep()
        assert await db.fetchval("SELECT count(*) FROM attachments") == 1


async def test_without_the_store_uploads_are_unavailable(people: People) -> None:
    """503 as long as NATS is away; then it works."""
    _, token = await people.user("anna")
    js, people.blobs.js = people.blobs.js, None
    assert (await people.upload(token, status=503))["code"] == "unavailable"
    people.blobs.js = js
    file = await people.upload(token)
    people.blobs.js = None
    await people.get(token, file, status=503)


# --- sending ----------------------------------------------------------------------------------------------------------


async def test_a_file_is_carried_by_one_message_of_its_owner(people: People) -> None:
    """Another's, a used one, none, and one of another kind are refused; a service sends what it likes."""
    anna, anna_token = await people.user("anna")
    ben, ben_token = await people.user("ben")
    c = await people.conversation(anna_token, ben)
    file = await people.upload(anna_token)
    refusals = [
        await people.send(ben_token, c, file, status=422),
        await people.send(anna_token, c, {"id": new_id()}, status=422),
    ]
    await people.send(anna_token, c, file, message_type="voice", status=422)
    await people.send(anna_token, c, file, message_type="text", status=422)
    sent = await people.send(anna_token, c, file, client_msg_id="one")
    assert await people.send(anna_token, c, file, client_msg_id="one", status=200) == sent
    refusals.append(await people.send(anna_token, c, file, status=422))
    assert {(one["code"], one["detail"]) for one in refusals} == {("validation_failed", refusals[0]["detail"])}
    of_service = await people.upload(people.app.token("host", "service"), OGG + bytes(100), "note.ogg")
    await people.send(people.app.token("host", "service"), c, of_service, message_type="voice", sender_id=anna)


async def test_two_that_send_one_file_at_once(people: People) -> None:
    """In two conversations, which no lock connects: one message carries it."""
    _, token = await people.user("anna")
    ben, _ = await people.user("ben")
    conversations = [await people.conversation(token, ben) for _ in range(6)]
    file = await people.upload(token)
    body = {"message_type": "image", "content": "look", "attachment_id": file["id"]}
    answers = await asyncio.gather(
        *(
            people.app.http.post(
                f"/v1/conversations/{c}/messages",
                json=body | {"client_msg_id": new_id()},
                headers={"authorization": f"Bearer {token}"},
            )
            for c in conversations
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 5


async def test_the_record_says_it_all(people: People, settings: ChatApiSettings) -> None:
    """An edit keeps the file; read tables that are made anew from the events are equal, also of a deleted message."""
    ben, _ = await people.user("ben")
    _, token = await people.user("anna")
    c = await people.conversation(token, ben)
    file, gone = await people.upload(token), await people.upload(token)
    kept, deleted = await people.send(token, c, file), await people.send(token, c, gone)
    edited = await people.app.call("PATCH", f"/v1/messages/{kept['id']}", token, json={"content": "look again"})
    assert edited.json()["attachment"] == file
    await people.app.call("DELETE", f"/v1/messages/{deleted['id']}", token)
    engine = create_engine(settings, "test rebuild", patient=True)
    try:
        found = await rebuild.rebuild(
            engine,
            revision=migrate.head_revision(),
            migration_lock=migrate.MIGRATION_LOCK,
            check=True,
            progress=EventsProgress("test", stream=io.StringIO()),
        )
    finally:
        await engine.dispose()
    assert rebuild.equal(found), found


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_only_those_who_take_part_read_it(people: People) -> None:
    """Its owner, the participants, a service; a stranger, one who was removed, and everybody before it is sent: 404."""
    _, anna_token = await people.user("anna")
    ben, ben_token = await people.user("ben")
    _, eve_token = await people.user("eve")
    c = await people.conversation(anna_token, ben)
    file = await people.upload(anna_token)
    await people.get(anna_token, file)
    await people.get(ben_token, file, status=404)
    await people.send(anna_token, c, file)
    await people.get(ben_token, file)
    await people.get(people.app.token("host", "service"), file)
    await people.get(eve_token, file, status=404)
    await people.app.call("HEAD", f"{PATH}/{file['id']}", eve_token, status=404)
    await people.get("", file, status=401)
    await people.app.call("DELETE", f"/v1/conversations/{c}/participants/{ben}", anna_token, status=204)
    await people.get(ben_token, file, status=404)
    await people.get(ben_token, file, status=404, If_None_Match="*")
    await people.get(anna_token, {"id": new_id()}, status=404)


async def test_parts_are_slices(people: People) -> None:
    """206 with the bytes that were asked for, whatever chunk they are in; 416 behind the end."""
    _, token = await people.user("anna")
    data = OGG + picture(700_000)
    file = await people.upload(token, data, "note.ogg")
    size = len(data)
    for start, end in [(0, 1), (0, size), (131_071, 131_073), (262_144, 400_000), (size - 1, size), (1, size - 1)]:
        part = await people.get(token, file, status=206, Range=f"bytes={start}-{end - 1}")
        assert part.content == data[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert part.headers["content-length"] == str(end - start)
    assert (await people.get(token, file, status=206, Range="bytes=-100")).content == data[-100:]
    assert (await people.get(token, file, status=206, Range="bytes=600000-")).content == data[600_000:]
    assert (await people.get(token, file, Range="bytes=0-1,5-6")).content == data
    beyond = await people.get(token, file, status=416, Range=f"bytes={size}-")
    assert beyond.headers["content-range"] == f"bytes */{size}"
    assert beyond.json()["code"] == "range_not_satisfiable"


async def test_what_the_client_has_is_not_sent_again(people: People) -> None:
    """304 by ETag, and HEAD tells it; a part of another version is no part."""
    _, token = await people.user("anna")
    file = await people.upload(token)
    head = await people.app.call("HEAD", f"{PATH}/{file['id']}", token)
    assert head.content == b""
    assert head.headers["content-length"] == str(file["size_bytes"])
    assert head.headers["accept-ranges"] == "bytes"
    etag = head.headers["etag"]
    assert etag == f'"{file["sha256"]}"'
    has_it = await people.get(token, file, status=304, If_None_Match=f'"other", {etag}')
    assert has_it.content == b""
    await people.get(token, file, status=206, Range="bytes=0-9", If_Range=etag)
    assert len((await people.get(token, file, Range="bytes=0-9", If_Range='"older"')).content) == file["size_bytes"]


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [(PNG + bytes(50), "a.png", "inline"), (OGG + bytes(50), "a.ogg", "inline"), (b"%PDF-1.7\n", "a.pdf", "attachment"),
     (b"hello", "a.html", "attachment")],
    ids=["picture", "voice note", "pdf", "text"],
)  # fmt: skip
async def test_only_pictures_and_sounds_are_shown_in_place(people: People, data: bytes, name: str, kind: str) -> None:
    """Everything else is a download, whatever it is called; and nothing in it may run."""
    _, token = await people.user("anna")
    got = await people.get(token, await people.upload(token, data, name))
    assert got.headers["content-disposition"].startswith(kind + ";")
    assert got.headers["content-security-policy"].startswith("sandbox")
    assert "html" not in got.headers["content-type"]


# --- going away -------------------------------------------------------------------------------------------------------


async def test_a_message_that_is_taken_back_takes_its_file_along(people: People, db: asyncpg.Connection[Any]) -> None:
    """404 at once; then the bytes are gone, too, and the row."""
    _, anna_token = await people.user("anna")
    ben, ben_token = await people.user("ben")
    c = await people.conversation(anna_token, ben)
    file, other = await people.upload(anna_token), await people.upload(anna_token, picture(seed=2))
    message = await people.send(anna_token, c, file)
    await people.send(anna_token, c, other)
    tombstone = (await people.app.call("DELETE", f"/v1/messages/{message['id']}", anna_token)).json()
    assert "attachment" not in tombstone
    assert "attachment_id" not in tombstone
    for token in (anna_token, ben_token, people.app.token("host", "service")):
        await people.get(token, file, status=404)
    assert await people.sweeper.sweep() == 1
    with pytest.raises(BlobMissing):
        await anext(people.blobs.get(file["id"], 0, 1))
    assert [str(row[0]) for row in await db.fetch("SELECT attachment_id FROM attachments")] == [other["id"]]
    assert (await people.get(ben_token, other)).content == picture(seed=2)


async def test_the_sweeper_tries_until_it_succeeds(people: People, db: asyncpg.Connection[Any]) -> None:
    """The store is away: the row stays. It is back: bytes and row go."""
    _, token = await people.user("anna")
    file = await people.upload(token)
    await db.execute("UPDATE attachments SET deleted_at = now()")
    js, people.blobs.js = people.blobs.js, None
    assert await people.sweeper.sweep() == 0
    assert await db.fetchval("SELECT count(*) FROM attachments") == 1
    people.blobs.js = js
    assert await people.sweeper.sweep() == 1
    assert await db.fetchval("SELECT count(*) FROM attachments") == 0
    with pytest.raises(BlobMissing):
        await anext(people.blobs.get(file["id"], 0, 1))


async def test_whatever_a_killed_process_has_stored_is_found(
    people: People, db: asyncpg.Connection[Any], js: JetStreamContext
) -> None:
    """Killed while bytes came in, and killed between the last byte and the row: after a day both go, others stay."""

    async def bytes_of(blob_id: str) -> int:
        info = await js.stream_info("OBJ_attachments", subjects_filter=f"$O.attachments.C.{blob_id}")
        return sum((info.state.subjects or {}).values())

    _, token = await people.user("anna")
    fresh = await people.upload(token)

    whole_id, half_id = new_id(), new_id()
    for blob_id in (whole_id, half_id):
        insert = (
            "INSERT INTO attachments (attachment_id, owner_id, created_at) VALUES ($1, 'a', now() - interval '25 h')"
        )
        await db.execute(insert, blob_id)
    await people.blobs.put(whole_id, _once(picture()))
    await js.publish(f"$O.attachments.C.{half_id}", b"half of a file")
    assert await bytes_of(whole_id)
    assert await bytes_of(half_id)
    assert await people.sweeper.sweep() == 2
    assert await bytes_of(whole_id) == await bytes_of(half_id) == 0
    assert (await people.get(token, fresh)).content == picture()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_what_nobody_sends_goes_after_a_day_and_what_was_sent_stays(
    people: People, db: asyncpg.Connection[Any]
) -> None:
    """Also when it is sent at the last moment: then it cannot be given up any more."""
    ben, _ = await people.user("ben")
    _, token = await people.user("anna")
    c = await people.conversation(token, ben)
    sent, unsent = await people.upload(token), await people.upload(token, picture(seed=2))
    await db.execute("UPDATE attachments SET created_at = now() - interval '25 h'")
    await people.send(token, c, sent)
    assert await people.sweeper.sweep() == 1
    await people.get(token, sent)
    await people.get(token, unsent, status=404)
    await people.send(token, c, unsent, status=422)


async def test_two_sweepers_at_once_are_harmless(people: People, db: asyncpg.Connection[Any]) -> None:
    """Several processes do it: everything goes, nothing breaks."""
    _, token = await people.user("anna")
    for seed in range(5):
        await people.upload(token, picture(1000, seed))
    await db.execute("UPDATE attachments SET deleted_at = now()")
    await asyncio.gather(people.sweeper.sweep(), people.sweeper.sweep())
    assert await db.fetchval("SELECT count(*) FROM attachments") == 0


async def test_the_sweeper_lives_through_outages(
    people: People, db: asyncpg.Connection[Any], background: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]
) -> None:
    """It works by itself, every few seconds, for ever."""
    _, token = await people.user("anna")
    await people.upload(token)
    quick = people.sweeper._settings.model_copy(update={"attachment_sweep_s": 0.05})
    background(AttachmentsSweeper(quick, people.sweeper._engine, people.blobs).run())
    await db.execute("UPDATE attachments SET deleted_at = now()")
    async with asyncio.timeout(10):
        while await db.fetchval("SELECT count(*) FROM attachments"):  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.02)


# --- a whole process --------------------------------------------------------------------------------------------------


async def test_25_mib_pass_through_without_being_held(api: Any) -> None:
    """The largest file in and out of a real process: its memory grows by less than 16 MiB at any moment."""
    process = psutil.Process(api.stack.part("chat-api").pid)
    data = PNG + random.Random(7).randbytes(ATTACHMENT_BYTES_MAX - len(PNG))
    headers = {"authorization": f"Bearer {api.stack.token('host', roles=('service',))}"}
    async with httpx.AsyncClient(base_url=api.stack.api_url, timeout=60, headers=headers) as http:

        async def round_trip(size: int) -> None:
            stored = await http.post(PATH, files={"file": ("a.png", data[:size], "image/png")})
            assert stored.status_code == 201, stored.text
            digest = hashlib.sha256()
            async with http.stream("GET", f"{PATH}/{stored.json()['id']}") as answer:
                async for chunk in answer.aiter_bytes():
                    digest.update(chunk)
            assert digest.hexdigest() == stored.json()["sha256"] == hashlib.sha256(data[:size]).hexdigest()

        # What a first request costs for ever (imports, caches, pools) is not the file's.
        await round_trip(MIB)
        before = peak = process.memory_info().rss
        worked = sum(process.cpu_times()[:2])

        async def watch() -> None:
            nonlocal peak
            while True:
                peak = max(peak, process.memory_info().rss)
                await asyncio.sleep(0.002)

        watching = asyncio.create_task(watch())
        await round_trip(len(data))
        watching.cancel()
        # It was this process that did it: what it hashed alone costs that much of a processor.
        assert sum(process.cpu_times()[:2]) - worked > 0.02
        assert peak - before < 16 * MIB


async def test_one_byte_more_than_25_mib_is_too_large(api: Any) -> None:
    """The limit of the whole service is the one that the pages name."""
    headers = {"authorization": f"Bearer {api.stack.token('host', roles=('service',))}"}
    data = PNG + bytes(ATTACHMENT_BYTES_MAX + 1 - len(PNG))
    async with httpx.AsyncClient(base_url=api.stack.api_url, timeout=60, headers=headers) as http:
        answer = await http.post(PATH, files={"file": ("a.png", data, "image/png")})
        assert answer.status_code == 413
        assert answer.json()["code"] == "payload_too_large"


async def test_a_slow_reader_holds_no_file(api: Any) -> None:
    """Who reads a little and waits keeps a few chunks of it in the process, not the rest."""
    process = psutil.Process(api.stack.part("chat-api").pid)
    data = PNG + random.Random(8).randbytes(20 * MIB)
    headers = {"authorization": f"Bearer {api.stack.token('host', roles=('service',))}"}
    async with httpx.AsyncClient(base_url=api.stack.api_url, timeout=60, headers=headers) as http:
        stored = (await http.post(PATH, files={"file": ("a.png", data, "image/png")})).json()
        before = process.memory_info().rss
        async with http.stream("GET", f"{PATH}/{stored['id']}") as answer:
            chunks = answer.aiter_raw(65536)
            await anext(chunks)
            # While it waits, others are served; after a hundred of them it would have read on.
            for _ in range(100):
                assert (await http.get("/healthz/live")).status_code == 200
            assert process.memory_info().rss - before < 8 * MIB
