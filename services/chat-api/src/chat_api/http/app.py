"""The HTTP application: routes, limits, error handlers and the OpenAPI page."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from chat_api.http import auth, conversations, errors, health, messages, sync, users
from chat_api.http.context import Context
from chat_api.http.limits import RequestLimits
from chat_api.http.tracing import Traces
from contracts.problems import Problem
from kit.health import Health

DESCRIPTION = """Real-time chat to embed: conversations and messages with a gapless order, every send safe to repeat.

Errors are `application/problem+json` with a stable `code`. Sockets are at `/v1/ws` of the edges."""


def create_app(context: Context) -> FastAPI:
    """Everything that the role `serve` answers."""
    app = FastAPI(title="Natter", version="1", description=DESCRIPTION, redoc_url=None)
    app.state.context = context
    api = APIRouter(prefix="/v1")
    for router in (auth.router, users.router, conversations.router, messages.router, messages.seed_router, sync.router):
        api.include_router(router)
    app.include_router(api)
    # Host applications call the send path as they did before, without a version in front.
    app.include_router(messages.seed_router, include_in_schema=False)
    app.include_router(health.router(context.health))
    errors.install(app)
    # The one that is added last is the first to see a request.
    app.add_middleware(auth.BearerTokens, secret=context.settings.jwt_secret.get_secret_value())
    app.add_middleware(Traces)
    app.add_middleware(RequestLimits, body_bytes_max=context.settings.body_bytes_max)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def create_health_app(state: Health) -> FastAPI:
    """What the roles `relay` and `fanout` answer."""
    app = FastAPI(openapi_url=None)
    app.include_router(health.router(state))
    return app


def _openapi(app: FastAPI) -> dict[str, object]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        parts = schema.setdefault("components", {}).setdefault("schemas", {})
        parts.update(problem.pop("$defs", {}))
        parts["Problem"] = problem
        # Every 422 of ours is a Problem; FastAPI's own shape never leaves this service.
        for unused in ("HTTPValidationError", "ValidationError"):
            parts.pop(unused, None)
        app.openapi_schema = schema
    return app.openapi_schema
