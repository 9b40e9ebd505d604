"""The composition root: builds every part once, owns every task, and stops them in order.

             ┌── link ───────── NATS (closed when nobody needs it any more)
             ├── inbox          OFFLINE_DELIVERY → table
signals ─► Stop                 │ wake
             ├── dispatch       table → facts → decision → providers
             ├── happened       EVENTS: read, deleted
             │                  │ wake
             ├── retractor      what devices take back
             ├── housekeeping   figures of the whole, forgetting
             └── HTTP           (last to go: it tells who asks that the rest is going)
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

import uvicorn

from kit.health import Health
from kit.logs import Stage, logger
from notifier import providers
from notifier.afterwards.happened import Happened
from notifier.afterwards.housekeeping import Housekeeping
from notifier.afterwards.record import AfterwardsRecord
from notifier.afterwards.retractor import Retractor
from notifier.api import create_api
from notifier.compose import Composer
from notifier.database import open_engine
from notifier.dispatch import POSTGRES, Dispatch
from notifier.facts import FactsClient
from notifier.inbox import Inbox
from notifier.link import NATS, Link
from notifier.metrics import Metrics
from notifier.planning import Parts
from notifier.providers.base import Provider
from notifier.sending import Sending
from notifier.settings import NotifierSettings
from notifier.stopping import Stop
from notifier.store import Store
from notifier.texts import Texts
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


async def serve(settings: NotifierSettings, stop: Stop, *, chosen: Sequence[Provider] | None = None) -> None:
    """Run until `stop` is set; `chosen` stand in for the configured providers in tests.

    Raises `ConfigError` before anything is started. NATS or Postgres away is never an error here.
    """
    composer = Composer(Texts(settings.push_texts, settings.push_locale), settings.push_content, settings.push_ttl_s)
    active = tuple(chosen) if chosen is not None else providers.build_all(settings.notification_provider)
    engine = open_engine(settings)
    health, metrics = Health(NATS, POSTGRES), Metrics()
    store, record = Store(engine), AfterwardsRecord(engine)
    api = create_api(
        store=store,
        record=record,
        metrics=metrics,
        health=health,
        jwt_secret=settings.jwt_secret.get_secret_value(),
    )
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
    wake, read_wake = Wake(), Wake()
    link = Link(settings, health, stop)
    facts = FactsClient(link)
    sending = Sending(settings, active, composer, facts, metrics)
    inbox = Inbox(settings, link, store, metrics, health, wake, stop)
    dispatch = Dispatch(settings, Parts(store, record, facts, sending), metrics, health, wake, stop)
    can_retract = [one.name for one in active if one.can_retract]
    happened = Happened(settings, link, record, can_retract, metrics, read_wake, stop)
    retractor = Retractor(settings, record, active, composer, facts, metrics, read_wake, stop)
    housekeeping = Housekeeping(settings, store, record, metrics, stop)

    async def workers() -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(link.open(), name="link")
                for worker in (inbox, dispatch, happened, retractor, housekeeping):
                    tasks.create_task(worker.run(), name=type(worker).__name__.lower())
        finally:
            await link.close()

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_serve_http(server, stop), name="http")
            tasks.create_task(_announce(health, stop), name="announce")
            tasks.create_task(_supervise(workers(), server, health, stop, settings.shutdown_grace_s), name="workers")
    finally:
        for provider in active:
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
