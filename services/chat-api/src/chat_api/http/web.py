"""The pages of the browser, built by `web/`: served beside the API, and never in its way.

Everything of the page comes from this origin, and no script stands in a page: the policy says so to the browser. A
proxy that serves the pages itself says the same (`deploy/nginx`).
"""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from chat_api.settings import ChatApiSettings

PAGE = r"^/(?!(v1|docs|healthz|metrics|assets)(/|$)|chat/[^/]+/)[A-Za-z0-9_/-]*$"
"""Addresses of pages: all that are neither the API's nor a file's. Each is answered with the one document, and the
application in it knows which page it is, or that there is none; so a new page needs nothing here."""
INDEX, CONFIG = "index.html", "/config.json"
_FOREVER = "public, max-age=31536000, immutable"
_ASK_FIRST = "no-cache"

# Not every system knows them, and a browser runs no script of an unknown type.
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("application/manifest+json", ".webmanifest")


class PagesMissing(Exception):
    """`NATTER_WEB_DIR` names a folder without built pages."""


def install(app: FastAPI, settings: ChatApiSettings) -> None:
    """Add the pages to the application; without `NATTER_WEB_DIR` only what a proxy's pages ask. Raises `PagesMissing`.

    Comes after every other route: a path that the API knows is the API's.
    """
    installation = _Installation(settings)
    app.router.routes.append(Route(CONFIG, installation.answer, methods=["GET"]))
    if not settings.web_dir:
        return
    folder = Path(settings.web_dir).resolve()
    if not (folder / INDEX).is_file():
        raise PagesMissing(f"NATTER_WEB_DIR={settings.web_dir}: there is no {INDEX}; `make web` builds it")
    pages = _Pages(folder, installation.headers)
    app.router.routes.append(Route("/assets/{path:path}", pages.asset, methods=["GET"]))
    for file in sorted(folder.iterdir()):
        # What else lies beside the document: the service worker, an icon.
        if file.is_file() and file.name != INDEX:
            app.router.routes.append(Route(f"/{file.name}", pages.file(file), methods=["GET"]))
    app.router.routes.append(_PageRoute(PAGE, pages.index))


def policy(socket_urls: tuple[str, ...] = ()) -> str:
    """The Content-Security-Policy of each page; `socket_urls` are edges on other origins than the page's."""
    # Components set style elements and attributes; a style runs nothing.
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "worker-src": "'self'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' blob: data:",
        "media-src": "'self' blob:",
        "font-src": "'self'",
        "manifest-src": "'self'",
        # blob: for the waveform of a voice note, which is drawn from what the page has loaded already.
        "connect-src": " ".join(("'self'", "blob:", *(_origin(url) for url in socket_urls))),
        "form-action": "'self'",
        "base-uri": "'none'",
        "object-src": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def headers(socket_urls: tuple[str, ...] = ()) -> dict[str, str]:
    """What every answer with something of the page carries."""
    return {
        "Content-Security-Policy": policy(socket_urls),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    }


class _PageRoute(Route):
    """Somebody looks at a page; whatever else is asked of that address is not there."""

    def __init__(self, pattern: str, endpoint: Any) -> None:
        super().__init__("/", endpoint, methods=["GET"])
        self._pattern = re.compile(pattern)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        looks = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not looks or not self._pattern.search(scope["path"]):
            return Match.NONE, {}
        return Match.FULL, {"endpoint": self.endpoint, "path_params": {}}


class _Installation:
    """What pages read before anything else, whoever serves them: where things are, and what there is."""

    def __init__(self, settings: ChatApiSettings) -> None:
        sockets = tuple(url for url in (part.strip() for part in settings.web_ws_urls.split(",")) if url)
        self.headers = headers(sockets)
        self._said = {
            # Empty: the page's own origin.
            "api_url": "",
            "ws_urls": list(sockets),
            **({"vapid_public_key": settings.web_vapid_public_key} if settings.web_vapid_public_key else {}),
            "demo": settings.web_demo,
        }

    async def answer(self, _request: Request) -> Response:
        """Never from a cache: it is what an operator has just changed."""
        return JSONResponse(self._said, headers=self.headers | {"Cache-Control": "no-store"})


class _Pages:
    """Answers with files; the headers are made once."""

    def __init__(self, folder: Path, common: dict[str, str]) -> None:
        self._folder = folder
        self._headers = common

    async def index(self, _request: Request) -> Response:
        """The one document of all pages: it names the files of this build, so nobody keeps it."""
        return FileResponse(self._folder / INDEX, headers=self._headers | {"Cache-Control": _ASK_FIRST})

    async def asset(self, request: Request) -> Response:
        """A file with its content's hash in its name: the same for ever."""
        file = (self._folder / "assets" / request.path_params["path"]).resolve()
        if not file.is_relative_to(self._folder / "assets") or not file.is_file():
            raise HTTPException(404)
        return FileResponse(file, headers=self._headers | {"Cache-Control": _FOREVER})

    def file(self, file: Path) -> Any:
        """An endpoint for one file beside the document."""

        async def answer(_request: Request) -> Response:
            return FileResponse(file, headers=self._headers | {"Cache-Control": _ASK_FIRST})

        return answer


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
