"""Every kind of fault that the suite knows, what it may hit, and for how long; names only, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

EDGES = ("edge-1", "edge-2", "edge-3")
FANOUTS = ("chat-api-fanout-1", "chat-api-fanout-2")
WITH_DATABASE = ("chat-api-serve", "chat-api-relay", *FANOUTS, "notifier")
SERVICES = (*WITH_DATABASE, *EDGES)

LINKS: tuple[tuple[str, str], ...] = (
    *((service, "nats") for service in SERVICES),
    *((service, "postgres") for service in WITH_DATABASE),
)
"""Where the stack has a proxy between a service and a server."""

CLIENT = "client"
API = "chat-api-serve"
NONE = "none"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault: `targets` are parts, or `from→to` for what hits a connection."""

    name: str
    says: str
    targets: tuple[str, ...]
    lasts_s: tuple[float, float] = (1.0, 3.0)


def link_target(service: str, server: str) -> str:
    """The name of a connection as a target."""
    return f"{service}→{server}"


def _kill(name: str, *parts: str) -> Kind:
    return Kind(f"kill {name}", f"kill -9 of {' or '.join(parts)}, started again later", parts, (0.3, 2.0))


def _freeze(name: str, *parts: str) -> Kind:
    return Kind(f"freeze {name}", f"SIGSTOP of {' or '.join(parts)}, SIGCONT later", parts, (1.0, 4.0))


def _connections(where: str, targets: tuple[str, ...]) -> tuple[Kind, ...]:
    return (
        Kind(f"cut {where}", "connections are reset, new ones too", targets),
        Kind(f"half-open {where}", "connections stay open and silent", targets, (1.0, 4.0)),
        Kind(f"delay {where}", "every byte is 50 to 400 ms late, with jitter", targets, (1.5, 4.0)),
    )


_TO_NATS = tuple(link_target(*link) for link in LINKS if link[1] == "nats")
_TO_POSTGRES = tuple(link_target(*link) for link in LINKS if link[1] == "postgres")
_TO_EDGES = tuple(link_target(CLIENT, edge) for edge in EDGES)
_TO_API = (link_target(CLIENT, API),)

KINDS: tuple[Kind, ...] = (
    Kind(NONE, "the control: nothing is broken", ("",)),
    _kill("serve", API),
    _kill("relay", "chat-api-relay"),
    _kill("fan-out", *FANOUTS),
    _kill("edge", *EDGES),
    _kill("notifier", "notifier"),
    _freeze("serve", API),
    _freeze("relay", "chat-api-relay"),
    _freeze("fan-out", *FANOUTS),
    _freeze("edge", *EDGES),
    _freeze("notifier", "notifier"),
    Kind("restart nats", "SIGTERM, started again later", ("nats",), (0.3, 3.0)),
    Kind("wipe nats", "kill -9, JetStream's directory deleted, started again later", ("nats",), (0.3, 2.0)),
    Kind("kill postgres", "kill -9, started again later", ("postgres",), (0.3, 2.0)),
    Kind("freeze postgres", "SIGSTOP of every process of it, SIGCONT later", ("postgres",), (1.0, 3.0)),
    *_connections("service-nats", _TO_NATS),
    *_connections("service-postgres", _TO_POSTGRES),
    *_connections("client-edge", _TO_EDGES),
    *_connections("client-api", _TO_API),
    Kind("full jetstream", "both streams refuse what does not fit, as on a full disk", ("nats",), (1.5, 3.5)),
    Kind("clock jump", "the clocks of some clients jump by ten minutes and stay wrong", ("+600", "-600"), (2.0, 4.0)),
)

BY_NAME = {kind.name: kind for kind in KINDS}
