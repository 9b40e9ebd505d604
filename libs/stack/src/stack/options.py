"""What a caller may decide about a stack; every default starts a whole one that disappears afterwards."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TextIO

from stack.errors import StackError


class Backend(Enum):
    """Where NATS and Postgres come from. The services are processes of this machine either way."""

    EMBEDDED = "embedded"
    """Programs from Python packages; data lives in the data directory."""
    CONTAINERS = "containers"
    """testcontainers; data lives as long as the containers, which is as long as the stack."""

    @classmethod
    def from_environment(cls) -> "Backend":
        """Read the variable BACKEND; embedded without it. Raises StackError for a value that is neither."""
        value = os.environ.get("BACKEND") or "embedded"
        try:
            return cls(value)
        except ValueError:
            raise StackError(f"BACKEND={value!r}: it must be {' or '.join(one.value for one in cls)}") from None


class DeathWatch(Enum):
    """How parts learn that the stack died without stopping them."""

    KERNEL = "kernel"
    """Linux: PR_SET_PDEATHSIG. Bound to the thread that starts the parts; run the stack in one that lives as long."""
    WATCHDOG = "watchdog"
    """Anywhere: a second process that holds the end of a pipe."""

    @classmethod
    def of_this_system(cls) -> "DeathWatch":
        """Return the kernel's where there is one."""
        return cls.KERNEL if sys.platform == "linux" else cls.WATCHDOG


@dataclass(frozen=True)
class Programs:
    """The command line of each service, to which its role is added. A test puts its own here."""

    chat_api: tuple[str, ...] = (sys.executable, "-m", "chat_api")
    ws_edge: tuple[str, ...] = (sys.executable, "-m", "ws_edge")
    notifier: tuple[str, ...] = (sys.executable, "-m", "notifier")


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """One stack: which parts, where, and with what environment."""

    data_dir: Path | None = None
    """Where data, logs and secrets live. None: a temporary directory, removed at the end."""
    backend: Backend = field(default_factory=Backend.from_environment)
    nats: bool = True
    postgres: bool = True
    chat_api: bool = True
    """Whether chat-api runs; it needs nats and postgres."""
    split_chat_api: bool = False
    """False: one process `chat-api` with every role. True: `chat-api-serve`, `chat-api-relay`, `chat-api-fanout`."""
    serves: int = 1
    """With split_chat_api: number of HTTP processes; from two on `chat-api-serve-1`, `chat-api-serve-2`, …"""
    fanouts: int = 1
    """With split_chat_api: number of fan-out processes; from two on `chat-api-fanout-1`, `chat-api-fanout-2`, …"""
    edges: int = 2
    """Number of ws-edge processes: `edge-1`, `edge-2`, …"""
    notifier: bool = True
    """Whether the notifier runs; it needs nats and postgres."""
    migrate: bool = True
    """Whether the services' migrations run before them."""
    rate_limits: bool = False
    """Whether chat-api holds back who asks too often. Off: tests and measurements ask as often as they like."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Fixed port by name of part; a part that is not named gets a free one."""
    port_variables: Mapping[str, str] = field(default_factory=dict)
    """By name of part: the environment variable that changes its port, for the message when that port is taken."""
    nats_monitoring_port: int | None = None
    """Where nats-server answers /varz and the like; None: nowhere."""
    links: tuple[tuple[str, str], ...] = ()
    """Pairs of a service's part and a server (nats or postgres) with a FaultProxy between them; see Stack.link."""
    env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Additional environment by name of part; "*" is for every service. It wins over what the stack sets."""
    log_to: TextIO | None = None
    """Where the log lines of all parts appear, each behind its part's name. None: in their files only."""
    log_format: str = "console"
    """NATTER_LOG_FORMAT of the services: console or json."""
    log_level: str | None = None
    """NATTER_LOG_LEVEL of the services; None: what the environment says, else their default."""
    ready_timeout_s: float = 60.0
    """How long one part may take until it is ready. Generous: a loaded machine is slow, a broken part fails at once."""
    stop_grace_s: float = 10.0
    """How long a service may take to end after SIGTERM before it is killed."""
    programs: Programs = field(default_factory=Programs)
    death_watch: DeathWatch = field(default_factory=DeathWatch.of_this_system)

    def __post_init__(self) -> None:
        if (self.chat_api or self.notifier) and not (self.nats and self.postgres):
            raise ValueError("chat-api and notifier need nats and postgres")
        if self.edges and not self.nats:
            raise ValueError("ws-edge needs nats")
        if self.serves != 1 and not self.split_chat_api:
            raise ValueError("several HTTP processes need split_chat_api")
        if self.fanouts != 1 and not self.split_chat_api:
            raise ValueError("several fan-outs need split_chat_api")
        for service, server in self.links:
            if server not in ("nats", "postgres"):
                raise ValueError(f"a link leads to nats or postgres, not to {server!r} (from {service!r})")
