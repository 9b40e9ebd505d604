"""The OpenAPI document as it is published: `python -m chat_api.http.published FILE` writes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from fastapi import FastAPI

from chat_api.http.app import create_app
from chat_api.http.context import Context
from chat_api.http.openapi import document
from chat_api.settings import ChatApiSettings
from kit.health import Health


def bare_app() -> FastAPI:
    """The application without anything behind it: enough to ask what it would answer."""
    # Not from this machine's environment: the document is the same everywhere.
    settings = ChatApiSettings.model_construct()
    return create_app(cast(Context, SimpleNamespace(settings=settings, health=Health(), access=None)))


def text(app: FastAPI) -> str:
    """The document, for people and programs alike."""
    return json.dumps(document(app), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(bare_app()))
