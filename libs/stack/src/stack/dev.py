"""`python -m stack dev`: the whole backend on fixed ports, with accounts to log in with, until Ctrl-C."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import httpx

from stack import ports
from stack.errors import StackError
from stack.options import StackOptions
from stack.stack import Stack

PASSWORD = "natter-demo"  # noqa: S105 - a published password of accounts that exist on developers' machines only
DATA_DIR = Path(".natter") / "dev"
PAGES_DIR = Path("web") / "dist"
"""What `make web` builds."""
DEFAULT_PORTS = {
    "chat-api": 8000,
    "edge-1": 8001,
    "edge-2": 8002,
    "notifier": 8003,
    "nats": 4222,
    "postgres": 5433,  # not 5432: developers have a Postgres of their own there
}
_SEED_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Account:
    """A demo account."""

    user_id: str
    name: str
    role: str


ACCOUNTS = (
    Account("alice", "Alice", "customer"),
    Account("bob", "Bob", "customer"),
    Account("carol", "Carol", "consultant"),
    Account("dora", "Dora", "doctor"),
    Account("admin", "Admin", "admin"),
)


def dev_options() -> StackOptions:
    """Return the options of `make dev`. Raises StackError if a NATTER_DEV_*_PORT is not a port."""
    variables = {part: f"NATTER_DEV_{part.upper().replace('-', '_')}_PORT" for part in DEFAULT_PORTS}
    chosen = {part: _port(variables[part], default) for part, default in DEFAULT_PORTS.items()}
    return StackOptions(
        data_dir=DATA_DIR,
        edges=2,
        rate_limits=True,
        ports=chosen,
        port_variables=variables,
        env=pages_env(PAGES_DIR, chosen),
        log_to=sys.stdout,
    )


def pages_env(pages: Path, chosen: Mapping[str, int]) -> dict[str, dict[str, str]]:
    """Return what the services are told about the built `pages`; nothing if there are none. The edges: `chosen`."""
    if not (pages / "index.html").is_file():
        return {}
    sockets = (f"ws://{ports.HOST}:{port}/v1/ws" for part, port in chosen.items() if part.startswith("edge-"))
    served = {
        "NATTER_WEB_DIR": str(pages.resolve()),
        "NATTER_WEB_WS_URLS": ",".join(sockets),
        "NATTER_WEB_DEMO": "true",
    }
    return {"chat-api": served}


async def dev(options: StackOptions, started: float) -> NoReturn:
    """Run the stack until cancelled; `started` (time.monotonic) is what the printed seconds count from.

    Raises PartFailed when a part dies while it runs.
    """
    first_time = not (options.data_dir or DATA_DIR).exists()
    _say(started, "starting NATS, Postgres and the services" + (" (first start: a new database)" if first_time else ""))
    pages = "NATTER_WEB_DIR" in options.env.get("chat-api", {})
    if not pages:
        _say(started, f"no pages in {PAGES_DIR}: `make web` builds them, with Node 20 or newer and npm")
    async with Stack(options) as stack:
        _say(started, "all parts are up; seeding the demo accounts")
        await seed(stack)
        _say(started, _summary(stack))
        opened = f"open {stack.api_url} - " if pages else ""
        _say(started, f"ready - {opened}Ctrl-C stops everything")
        raise await stack.until_a_part_dies()


async def seed(stack: Stack) -> None:
    """Create the demo accounts; one that exists already stays as it is. Raises StackError if chat-api refuses."""
    headers = {"Authorization": f"Bearer {stack.token('stack-dev', roles=['service'])}"}
    async with httpx.AsyncClient(base_url=stack.api_url, headers=headers, timeout=_SEED_TIMEOUT_S) as client:
        for account in ACCOUNTS:
            body = {"user_id": account.user_id, "name": account.name, "roles": [account.role], "password": PASSWORD}
            try:
                answer = await client.post("/v1/users", json=body)
            except httpx.HTTPError as error:
                raise StackError(f"POST /v1/users for {account.user_id} failed: {error!r}") from error
            if not answer.is_success and answer.status_code != httpx.codes.CONFLICT:
                raise StackError(f"POST /v1/users for {account.user_id}: {answer.status_code} {answer.text[:500]}")


def _summary(stack: Stack) -> str:
    token = (
        f"curl -s {stack.api_url}/v1/auth/token -H 'Content-Type: application/json'"
        f' -d \'{{"user_id": "alice", "password": "{PASSWORD}"}}\''
    )
    accounts = "".join(f"\n    {account.user_id:<8} {account.role}" for account in ACCOUNTS)
    return (
        f"Natter runs.\n"
        f"  chat-api  {stack.api_url}   (documentation: {stack.api_url}/docs)\n"
        f"  ws-edge   {'   '.join(stack.edge_urls)}\n"
        f"  notifier  {stack.notifier_url}\n"
        f"  NATS      {stack.nats_url}\n"
        f"  Postgres  {stack.database_url}\n"
        f"  passwords of NATS and Postgres, logs: {stack.data_dir}/\n"
        f"  accounts, password {PASSWORD}:{accounts}\n"
        f"  a token for alice:\n    {token}"
    )


def _say(started: float, text: str) -> None:
    # One write with its newline: print makes two, and a log line of a part could come between them.
    sys.stdout.write(f"[{time.monotonic() - started:5.1f} s] {text}\n")
    sys.stdout.flush()


def _port(variable: str, default: int) -> int:
    value = os.environ.get(variable, "")
    if not value:
        return default
    if not value.isdecimal() or not 0 < int(value) < 65_536:
        raise StackError(f"{variable}={value!r} is not a port")
    return int(value)


async def up(options: StackOptions, started: float) -> NoReturn:
    """Run a plain stack (free ports, no accounts) until cancelled, and print where everything is."""
    async with Stack(options) as stack:
        for name, part in stack.parts.items():
            print(f"{name:<10} {part.host}:{part.port}")
        _say(started, f"ready - data, logs and secrets: {stack.data_dir}")
        raise await stack.until_a_part_dies()
