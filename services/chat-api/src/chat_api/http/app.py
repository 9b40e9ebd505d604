"""The HTTP application: routes, limits, error handlers and the OpenAPI page."""

from __future__ import annotations

import functools

from fastapi import APIRouter, FastAPI

from chat_api.http import (
    accounts,
    admin,
    admin_users,
    attachments,
    auth,
    consults,
    conversations,
    delivery,
    devices,
    errors,
    health,
    messages,
    notes,
    notices,
    presence,
    pushes,
    signals,
    sync,
    users,
    web,
)
from chat_api.http.context import Context
from chat_api.http.limits import RequestLimits
from chat_api.http.openapi import document
from chat_api.http.rates import RateLimits
from chat_api.http.tracing import Traces
from chat_api.http.uploads import FORM_BYTES_MAX
from chat_api.push_records import PushRecords
from kit.health import Health

DESCRIPTION = """Real-time chat to embed: conversations and messages with a gapless order, every send safe to repeat.

Errors are `application/problem+json` with a stable `code`. Sockets are at `/v1/ws` of the edges."""


def create_app(context: Context) -> FastAPI:
    """Everything that the role `serve` answers."""
    app = FastAPI(title="Natter", version="1", description=DESCRIPTION, redoc_url=None)
    app.state.context = context
    app.state.push_records = PushRecords(context.settings.notifier_url, context.settings.jwt_secret)
    api = APIRouter(prefix="/v1")
    for router in (
        accounts.router,
        users.router,
        conversations.router,
        messages.router,
        messages.seed_router,
        sync.router,
    ):
        api.include_router(router)
    for router in (presence.router, signals.router, admin_users.router, devices.router, pushes.router):
        api.include_router(router)
    for router in (consults.router, notes.router):
        api.include_router(router)
    for router in (notices.router, admin.router, delivery.router):
        api.include_router(router)
    api.include_router(attachments.router)
    app.include_router(api)
    # Host applications call the send path as they did before, without a version in front.
    app.include_router(messages.seed_router, include_in_schema=False)
    app.include_router(health.router(context.health))
    web.install(app, context.settings)
    errors.install(app)
    # The one that is added last is the first to see a request.
    app.add_middleware(RateLimits, access=context.access)
    app.add_middleware(auth.BearerTokens, access=context.access)
    app.add_middleware(Traces)
    app.add_middleware(
        RequestLimits,
        body_bytes_max=context.settings.body_bytes_max,
        larger={attachments.PATH: context.settings.attachment_bytes_max + FORM_BYTES_MAX},
    )
    app.openapi = functools.cache(lambda: document(app))  # type: ignore[method-assign]
    return app


def create_health_app(state: Health) -> FastAPI:
    """What the roles `relay` and `fanout` answer."""
    app = FastAPI(openapi_url=None)
    app.include_router(health.router(state))
    return app
