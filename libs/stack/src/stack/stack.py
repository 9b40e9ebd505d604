"""The composition: NATS, Postgres and the services, started in order, stopped in the opposite order."""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from stack import ports, tokens
from stack.datadir import DataDirLock, PidJournal, stop_leftovers
from stack.errors import DataDirUnusable, PartFailed, StackError
from stack.logs import LineSink
from stack.nats import NatsServer
from stack.options import Backend, DeathWatch, StackOptions
from stack.part import LocalPart, Part, all_or_none
from stack.postgres import DATABASE, ROLE, PostgresServer
from stack.process import Runtime
from stack.proxy import FaultProxy
from stack.secrets import FILE_NAME, Secrets
from stack.services import Addresses, Service, migrate, numbered, service_specs
from stack.watchdog import Watchdog


class Stack:
    """A running Natter on this machine.

    `async with Stack(StackOptions(...)) as stack:` starts it, waits until every part is ready, and stops it at the end,
    in order. If the process that holds it dies in whatever way, every part dies with it.

    Raises StackError and its kinds (errors.py) when it cannot start; nothing is left running then.
    """

    def __init__(self, options: StackOptions | None = None) -> None:
        self.options = options or StackOptions()
        self._temporary = self.options.data_dir is None
        self._data_dir: Path | None = None
        self._lock: DataDirLock | None = None
        self._runtime: Runtime | None = None
        self._secrets: Secrets | None = None
        self._servers: dict[str, Part] = {}
        self._services: dict[str, Service] = {}
        self._links: dict[tuple[str, str], FaultProxy] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start every part and wait until it is ready. Raises StackError, having stopped everything again."""
        try:
            await self._open_data_dir()
            await self._start_servers()
            await self._start_links()
            await self._start_services()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop services, then NATS, then Postgres; give the data directory back. Harmless when nothing runs."""
        failures = await asyncio.gather(*(part.dispose() for part in self._services.values()), return_exceptions=True)
        for server in self._servers.values():
            failures += await asyncio.gather(server.dispose(), return_exceptions=True)
        failures += await asyncio.gather(*(link.close() for link in self._links.values()), return_exceptions=True)
        if self._runtime is not None and self._runtime.watchdog is not None:
            self._runtime.watchdog.close()
        self._runtime = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._temporary and self._data_dir is not None:
            await asyncio.to_thread(shutil.rmtree, self._data_dir, ignore_errors=True)
        # Only now: one part that cannot be stopped must not keep the others running.
        for failure in failures:
            if failure is not None:
                raise failure

    # --- where things are ---------------------------------------------------------------------------------------------

    @property
    def data_dir(self) -> Path:
        """Directory of data, logs (logs/<part>.log) and secrets."""
        if self._data_dir is None:
            raise StackError("the stack has not been started")
        return self._data_dir

    @property
    def api_url(self) -> str:
        """chat-api's address, without a trailing slash and without /v1."""
        return self.api_urls[0]

    @property
    def api_urls(self) -> list[str]:
        """The address of each chat-api process that serves HTTP, in order."""
        options = self.options
        return [
            self._http_url(part)
            for part in (numbered("chat-api-serve", options.serves) if options.split_chat_api else ["chat-api"])
        ]

    @property
    def edge_urls(self) -> list[str]:
        """The WebSocket address of each edge, in order."""
        edges = (f"edge-{number}" for number in range(1, self.options.edges + 1))
        return [f"ws://{self._address(edge)}/v1/ws" for edge in edges]

    @property
    def notifier_url(self) -> str:
        """The notifier's address (health and metrics)."""
        return self._http_url("notifier")

    @property
    def nats_url(self) -> str:
        """NATS without credentials; use nats_password."""
        return f"nats://{self._address('nats')}"

    @property
    def database_url(self) -> str:
        """Postgres without the password; use database_password."""
        return f"postgresql://{ROLE}@{self._address('postgres')}/{DATABASE}"

    # --- secrets ------------------------------------------------------------------------------------------------------

    @property
    def database_password(self) -> str:
        """Password of the role that owns the database."""
        return self._known_secrets.postgres_password

    @property
    def jwt_secret(self) -> str:
        """The shared secret of HS256 tokens."""
        return self._known_secrets.jwt_secret

    def nats_password(self, user: str) -> str:
        """Password of a NATS user: chat-api, ws-edge, notifier or observer (who may do everything; for tests)."""
        return self._known_secrets.nats_passwords[user]

    def token(self, user_id: str, *, roles: Sequence[str] = ("customer",), ttl_s: float = 3600.0) -> str:
        """Mint an access token for `user_id`, valid for `ttl_s` seconds; a negative number makes an expired one."""
        return tokens.mint(self.jwt_secret, user_id, roles=roles, ttl_s=ttl_s)

    # --- parts --------------------------------------------------------------------------------------------------------

    @property
    def parts(self) -> dict[str, Part]:
        """Every part by name, in the order of their start."""
        return {**self._servers, **self._services}

    def part(self, name: str) -> Part:
        """Return the handle of one part: nats, postgres, chat-api, edge-1, … Raises StackError for one it has not."""
        try:
            return self.parts[name]
        except KeyError:
            raise StackError(f"this stack has no part {name!r}; it has {', '.join(self.parts) or 'none'}") from None

    def link(self, service: str, server: str) -> FaultProxy:
        """Return the proxy between a service's part and `nats` or `postgres`; StackOptions.links must name the pair.

        It lives in the event loop that started the stack, and survives the end and restart of either side.
        """
        try:
            return self._links[service, server]
        except KeyError:
            named = ", ".join(f"{one}→{other}" for one, other in self._links) or "none"
            raise StackError(f"this stack has no link {service}→{server}; it has {named}") from None

    async def until_a_part_dies(self) -> PartFailed:
        """Wait until a part ends that nobody told to end, and return that as an error (to raise or to print)."""
        while True:
            for part in self.parts.values():
                if part.died:
                    return PartFailed(part.name, "ended unexpectedly", part.log_tail())
            await asyncio.sleep(0.25)

    # --- start --------------------------------------------------------------------------------------------------------

    async def _open_data_dir(self) -> None:
        given = self.options.data_dir
        self._data_dir = Path(tempfile.mkdtemp(prefix="natter-")) if given is None else given.resolve()
        self._data_dir.mkdir(parents=True, exist_ok=True)
        lock = DataDirLock(self._data_dir)
        lock.acquire()
        self._lock = lock
        if (self._data_dir / "postgres").exists() and not (self._data_dir / FILE_NAME).exists():
            raise DataDirUnusable(
                f"{self._data_dir} holds a database but no {FILE_NAME}, so nobody knows its password: bring the file"
                " back, or remove the directory to start afresh"
            )
        self._secrets = Secrets.load_or_generate(self._data_dir)
        sink = LineSink(self.options.log_to)
        journal = PidJournal(self._data_dir)
        for leftover in await asyncio.to_thread(stop_leftovers, journal):
            sink.write("stack", f"stopped {leftover}, left behind by an earlier stack")
        watchdog = Watchdog() if self.options.death_watch is DeathWatch.WATCHDOG else None
        self._runtime = Runtime(self._data_dir, sink, journal, watchdog)

    async def _start_servers(self) -> None:
        if self.options.backend is Backend.CONTAINERS:
            # Imported here only: nobody needs testcontainers, or a Docker engine, for the embedded stack.
            from stack.containers import container_parts

            self._servers = container_parts(self.options, self._known_runtime, self._known_secrets)
        else:
            self._servers = self._embedded_servers()
        await all_or_none(server.start() for server in self._servers.values())

    def _embedded_servers(self) -> dict[str, Part]:
        options, runtime, secrets = self.options, self._known_runtime, self._known_secrets
        servers: dict[str, LocalPart] = {}
        if options.nats:
            servers["nats"] = NatsServer(
                runtime,
                secrets,
                port=options.ports.get("nats"),
                port_variable=options.port_variables.get("nats"),
                monitoring_port=options.nats_monitoring_port,
                ready_timeout_s=options.ready_timeout_s,
            )
        if options.postgres:
            servers["postgres"] = PostgresServer(
                runtime,
                secrets,
                port=options.ports.get("postgres"),
                port_variable=options.port_variables.get("postgres"),
                disposable=self._temporary,
                ready_timeout_s=options.ready_timeout_s,
            )
        return dict(servers)

    async def _start_links(self) -> None:
        known = {spec.name for spec in service_specs(self.options)}
        for service, server in self.options.links:
            if service not in known:
                raise StackError(f"there is no service {service!r} for a link; there are {', '.join(sorted(known))}")
            target = self.part(server)
            link = FaultProxy(target.host, target.port)
            await link.start()
            self._links[service, server] = link

    async def _start_services(self) -> None:
        options, runtime, secrets = self._with_a_known_notifier(), self._known_runtime, self._known_secrets
        addresses = self._addresses_for(None)
        for spec in service_specs(options):
            self._services[spec.name] = Service(spec, options, runtime, secrets, self._addresses_for(spec.name))

        async def start_with_database() -> None:
            if options.migrate:
                await migrate(options, runtime, secrets, addresses)
            await all_or_none(service.start() for service in self._services.values() if service.needs_database)

        # Edges never see the database and need not wait for its migrations.
        edges = (service.start() for service in self._services.values() if not service.needs_database)
        await all_or_none([start_with_database(), *edges])

    def _with_a_known_notifier(self) -> StackOptions:
        """The options with a port for the notifier: chat-api, which starts beside it, asks it what became of pushes."""
        options = self.options
        if not (options.chat_api and options.notifier) or "notifier" in options.ports:
            return options
        return replace(options, ports={**options.ports, "notifier": ports.free_port()})

    def _addresses_for(self, service: str | None) -> Addresses:
        def at(server: str) -> str:
            link = self._links.get((service, server)) if service is not None else None
            return f"{ports.HOST}:{link.port}" if link is not None else self._address(server)

        return Addresses(
            nats_url=f"nats://{at('nats')}" if self.options.nats else None,
            database_url=f"postgresql://{ROLE}@{at('postgres')}/{DATABASE}" if self.options.postgres else None,
        )

    def _http_url(self, part: str) -> str:
        return f"http://{self._address(part)}"

    def _address(self, name: str) -> str:
        part = self.part(name)
        return f"{part.host}:{part.port}"

    @property
    def _known_runtime(self) -> Runtime:
        if self._runtime is None:
            raise StackError("the stack has not been started")
        return self._runtime

    @property
    def _known_secrets(self) -> Secrets:
        if self._secrets is None:
            raise StackError("the stack has not been started")
        return self._secrets
