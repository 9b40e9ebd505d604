"""The pages beside the API: what they are answered with, what the browser is told, and what is nobody's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from chat_api.http import web
from chat_api.settings import ChatApiSettings

Open = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A small build."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Natter</title>")
    (folder / "sw.js").write_text("self.addEventListener('push', () => {});")
    (folder / "assets" / "main-1a2b.js").write_text("export {};")
    (tmp_path / "secret.txt").write_text("not yours")
    return folder


@pytest.fixture
def pages(dist: Path) -> Open:
    """The application with those pages, and one route of the API."""

    @asynccontextmanager
    async def opened(**settings: object) -> AsyncIterator[httpx.AsyncClient]:
        app = FastAPI()
        app.add_api_route("/v1/ping", lambda: {"pong": True})
        web.install(app, ChatApiSettings.model_validate({"web_dir": str(dist)} | settings))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            yield client

    return opened


@pytest.mark.parametrize(
    "path", ["/", "/login", "/chat", "/chat/0190", "/admin", "/test-websocket", "/support", "/your/own"]
)
async def test_each_page_is_the_one_document(pages: Open, path: str) -> None:
    """Nobody keeps it: it names the files of this build. No script may stand in it, and nobody may frame it."""
    async with pages() as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-cache"
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert rules["script-src"] == "'self'"
    assert rules["connect-src"] == "'self' blob:"
    assert {rules[name] for name in ("default-src", "object-src", "base-uri", "frame-ancestors")} == {"'none'"}
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_files_of_the_build(pages: Open) -> None:
    """With a hash in the name for ever, the service worker asked for each time; both as scripts."""
    async with pages() as client:
        script, worker = await client.get("/assets/main-1a2b.js"), await client.get("/sw.js")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert worker.headers["cache-control"] == "no-cache"
    for answer in (script, worker):
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "script-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/nowhere",
        "/healthz/none",
        "/chat/0190/send",
        "/none.js",
        "/assets/",
        "/assets/none.js",
        "/assets/..%2f..%2fsecret.txt",
        "/index.html/x",
    ],
)
async def test_what_is_no_page_is_not_found(pages: Open, path: str) -> None:
    """No document for an address that nobody knows, and nothing from outside the folder."""
    async with pages() as client:
        assert (await client.get(path)).status_code == 404


async def test_the_api_stays_the_api(pages: Open) -> None:
    """Pages are behind every other route, and only to be looked at."""
    async with pages() as client:
        assert (await client.get("/v1/ping")).json() == {"pong": True}
        assert (await client.post("/login")).status_code == 404
        assert (await client.head("/login")).status_code == 200


async def test_the_page_is_told_what_this_installation_is(pages: Open) -> None:
    """Where the edges are, which the policy allows as well, and the key for pushes; never from a cache."""
    urls = "wss://edge-1.example/v1/ws, wss://edge-2.example:8443/v1/ws"
    async with pages(web_ws_urls=urls, web_vapid_public_key="BPub", web_demo=True) as client:
        answer = await client.get("/config.json")
    assert answer.json() == {
        "api_url": "",
        "ws_urls": ["wss://edge-1.example/v1/ws", "wss://edge-2.example:8443/v1/ws"],
        "vapid_public_key": "BPub",
        "demo": True,
    }
    assert answer.headers["cache-control"] == "no-store"
    assert (
        "connect-src 'self' blob: wss://edge-1.example wss://edge-2.example:8443;"
        in answer.headers["content-security-policy"]
    )


async def test_nothing_is_promised_by_default(pages: Open) -> None:
    """This origin, no pushes, no demo accounts."""
    async with pages() as client:
        assert (await client.get("/config.json")).json() == {"api_url": "", "ws_urls": [], "demo": False}


async def test_pages_of_a_proxy_are_told_as_well() -> None:
    """Without pages of its own chat-api says what the installation is, and nothing else."""
    app = FastAPI()
    web.install(app, ChatApiSettings(web_vapid_public_key="BPub"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/config.json")
        assert answer.json() == {"api_url": "", "ws_urls": [], "vapid_public_key": "BPub", "demo": False}
        assert (await client.get("/login")).status_code == 404


def test_a_folder_without_pages_is_told_at_the_start(tmp_path: Path) -> None:
    """With the word that builds them; an address of an edge that would change the policy is refused."""
    with pytest.raises(web.PagesMissing, match="make web"):
        web.install(FastAPI(), ChatApiSettings(web_dir=str(tmp_path)))
    for url in ("https://x.example", "wss://x.example; script-src *", "wss://x.example 'unsafe-inline'"):
        with pytest.raises(ValueError, match="web_ws_urls"):
            ChatApiSettings(web_ws_urls=url)
