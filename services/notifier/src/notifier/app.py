"""The composition root: builds every part once, owns every task, and stops them in order.

             ┌── inbox ──── NATS
signals ─► Stop              │ wake
             ├── dispatch ── provider
             └── HTTP        (last to go: it tells who asks that the rest is going)
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from typing import Any

import uvicorn

from kit.health import Health
from kit.logs import Stage, logger
from notifier import providers
from notifier.api import create_api
from notifier.database import open_engine
from notifier.dispatch import POSTGRES, Dispatch
from notifier.inbox import NATS, Inbox
from notifier.metrics import Metrics
from notifier.providers.base import Provider
from notifier.settings import NotifierSettings
from notifier.stopping import Stop
from notifier.store import Store
from notifier.wake import Wake

log = logger()

PROCESS = "process"
"""The need that goes missing when the process is told to stop."""


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the process has one owner of signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def serve(settings: NotifierSettings, stop: Stop, *, provider: Provider | None = None) -> None:
    """Run until `stop` is set; `provider` stands in for the configured one in tests.

    Raises `ConfigError` before anything is started. NATS or Postgres away is never an error here.
    """
    provider = provider or providers.build(settings.notification_provider)
    engine = open_engine(settings)
    health, metrics, wake, store = Health(NATS, POSTGRES), Metrics(), Wake(), Store(engine)
    api = create_api(store=store, metrics=metrics, health=health, jwt_secret=settings.jwt_secret.get_secret_value())
    server = Server(
        uvicorn.Config(
            api,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
    inbox = Inbox(settings, store, metrics, health, wake, stop)
    dispatch = Dispatch(settings, store, provider, metrics, health, wake, stop)

    async def workers() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(inbox.run(), name="inbox")
            tasks.create_task(dispatch.run(), name="dispatch")

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_serve_http(server, stop), name="http")
            tasks.create_task(_announce(health, stop), name="announce")
            tasks.create_task(_supervise(workers(), server, health, stop, settings.shutdown_grace_s), name="workers")
    finally:
        await provider.close()
        await engine.dispose()
        log.info("stopped", stage=Stage.LIFECYCLE)


async def _serve_http(server: Server, stop: Stop) -> None:
    try:
        await server.serve()
    except SystemExit:
        # uvicorn's way to say that it cannot listen; it has logged why.
        raise RuntimeError("cannot listen: is the port taken?") from None
    finally:
        stop.set()


async def _supervise(
    workers: Coroutine[Any, Any, None], server: Server, health: Health, stop: Stop, grace_s: float
) -> None:
    """Run the workers; once told to stop give them `grace_s` seconds, then let the HTTP listener go."""
    task = asyncio.ensure_future(workers)
    told = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        health.missing(PROCESS, "stopping")
        log.info("stopping", stage=Stage.LIFECYCLE)
        _, unfinished = await asyncio.wait({task}, timeout=grace_s)
        if unfinished:
            log.error("work in hand did not end in time, its leases run out by themselves", stage=Stage.LIFECYCLE)
        else:
            task.result()
    finally:
        for each in (task, told):
            each.cancel()
        await asyncio.gather(task, told, return_exceptions=True)
        server.should_exit = True


async def _announce(health: Health, stop: Stop) -> None:
    """Say in the log what is missing and when it is there, whenever that changes."""
    said: bytes | None = None
    while not stop:
        _, report = health.report()
        if report != said:
            log.info("readiness", stage=Stage.LIFECYCLE, ready=health.ready, report=report.decode())
            said = report
        await stop.pause(0.25)


def stop_on_signals(stop: Stop) -> None:
    """SIGTERM and SIGINT mean: finish what is in hand, then go."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
