"""Our own services as parts: which processes a stack has, with which command and environment."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stack import ports
from stack.options import StackOptions
from stack.part import LocalPart, all_or_none
from stack.process import Command, Runtime, run_to_end
from stack.secrets import Secrets

_MIGRATION_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class ServiceSpec:
    """One process of one service."""

    name: str
    service: str
    """Also its NATS user."""
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Addresses:
    """Where the servers are that services connect to; None for one that the stack does not have."""

    nats_url: str | None
    database_url: str | None


def numbered(name: str, count: int) -> list[str]:
    """Return the names of `count` processes of one kind: a lone one needs no number."""
    return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]


def service_specs(options: StackOptions) -> Iterator[ServiceSpec]:
    """Yield the processes of a stack in the order of their start."""
    programs = options.programs
    if options.chat_api:
        if options.split_chat_api:
            for name in numbered("chat-api-serve", options.serves):
                yield ServiceSpec(name, "chat-api", (*programs.chat_api, "serve"))
            yield ServiceSpec("chat-api-relay", "chat-api", (*programs.chat_api, "relay"))
            for name in numbered("chat-api-fanout", options.fanouts):
                yield ServiceSpec(name, "chat-api", (*programs.chat_api, "fanout"))
        else:
            yield ServiceSpec("chat-api", "chat-api", (*programs.chat_api, "all"))
    for number in range(1, options.edges + 1):
        yield ServiceSpec(f"edge-{number}", "ws-edge", programs.ws_edge)
    if options.notifier:
        yield ServiceSpec("notifier", "notifier", (*programs.notifier, "serve"))


class Service(LocalPart):
    """A process of chat-api, ws-edge or notifier; ready when GET /healthz/ready says 200."""

    def __init__(
        self,
        spec: ServiceSpec,
        options: StackOptions,
        runtime: Runtime,
        secrets: Secrets,
        addresses: Addresses,
    ) -> None:
        super().__init__(
            spec.name,
            runtime,
            port=options.ports.get(spec.name),
            port_variable=options.port_variables.get(spec.name),
            ready_timeout_s=options.ready_timeout_s,
            stop_grace_s=options.stop_grace_s,
        )
        self._spec = spec
        self._options = options
        self._secrets = secrets
        self._addresses = addresses

    @property
    def needs_database(self) -> bool:
        """Whether this service reads and writes Postgres."""
        return self._spec.service != "ws-edge"

    def _command(self, port: int) -> Command:
        environment = {
            **environment_of(self._spec.service, self._options, self._secrets, self._addresses),
            "NATTER_HOST": ports.HOST,
            "NATTER_PORT": str(port),
        }
        if self._spec.service == "ws-edge":
            environment["NATTER_EDGE_ID"] = self.name
        environment |= {**self._options.env.get("*", {}), **self._options.env.get(self.name, {})}
        return Command(argv=self._spec.argv, env=environment, cwd=Path.cwd())

    async def _probe(self, port: int) -> str:
        status = await http_status(port, "/healthz/ready")
        return "" if status == 200 else f"/healthz/ready says {status}"


def environment_of(service: str, options: StackOptions, secrets: Secrets, addresses: Addresses) -> dict[str, str]:
    """Return the environment that every process of `service` shares: ours, and the contract's variables over it."""
    environment: dict[str, str] = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "NATTER_JWT_SECRET": secrets.jwt_secret,
        "NATTER_LOG_FORMAT": options.log_format,
        "NATTER_NATS_USER": service,
        "NATTER_NATS_PASSWORD": secrets.nats_passwords[service],
    }
    if not options.rate_limits:
        environment["NATTER_RATE_LIMITS"] = "false"
    if options.log_level is not None:
        environment["NATTER_LOG_LEVEL"] = options.log_level
    if addresses.nats_url is not None:
        environment["NATTER_NATS_URL"] = addresses.nats_url
    if addresses.database_url is not None and service != "ws-edge":  # an edge never opens Postgres
        environment["NATTER_DATABASE_URL"] = addresses.database_url
        environment["NATTER_DATABASE_PASSWORD"] = secrets.postgres_password
    if service == "chat-api" and options.notifier and "notifier" in options.ports:
        environment["NATTER_NOTIFIER_URL"] = f"http://{ports.HOST}:{options.ports['notifier']}"
    return environment


async def migrate(options: StackOptions, runtime: Runtime, secrets: Secrets, addresses: Addresses) -> None:
    """Bring the schemas of chat-api and notifier up to date. Raises PartFailed with the migration's last lines."""
    programs: Mapping[str, tuple[str, ...]] = {
        **({"chat-api": options.programs.chat_api} if options.chat_api else {}),
        **({"notifier": options.programs.notifier} if options.notifier else {}),
    }

    async def migrate_one(service: str, program: tuple[str, ...]) -> None:
        environment = environment_of(service, options, secrets, addresses) | dict(options.env.get("*", {}))
        command = Command((*program, "migrate"), environment, Path.cwd())
        await run_to_end(f"{service}-migrate", command, runtime, _MIGRATION_TIMEOUT_S)

    # Side by side: each has a schema of its own, and most of the time is Python's start.
    await all_or_none(migrate_one(*one) for one in programs.items())


async def http_status(port: int, path: str) -> int:
    """GET `path` on the loopback interface and return the status. Raises OSError if nobody speaks HTTP there."""
    reader, writer = await asyncio.open_connection(ports.HOST, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {ports.HOST}\r\nConnection: close\r\n\r\n".encode())
        words = (await reader.readline()).split()
        if len(words) < 2 or not words[1].isdigit():
            raise OSError("no HTTP answer")
        return int(words[1])
    finally:
        writer.close()
