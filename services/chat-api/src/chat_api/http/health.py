"""Live, ready, metrics: for orchestrators and Prometheus; not part of the public API."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kit.health import Health


def router(health: Health) -> APIRouter:
    """The routes for one process's health."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/healthz/live")
    async def live() -> Response:
        status, body = health.live_report()
        return Response(body, status, media_type="application/json")

    @routes.get("/healthz/ready")
    async def ready() -> Response:
        status, body = health.report()
        return Response(body, status, media_type="application/json")

    @routes.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes
