"""Structured logs: one line per thing that happened, with the stage of the message's way in `stage`."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import Any

import structlog


class Stage(StrEnum):
    """Where on its way a message is; the same word in every service, so that one grep follows it."""

    BROADCAST = "broadcast"
    """chat-api accepted something that others must learn of."""
    RECIPIENTS = "recipients"
    """Fan-out knows who must get it."""
    DELIVER = "deliver"
    """Fan-out publishes, and learns whether it arrived."""
    ROUTE = "route"
    """The relay puts it on the road."""
    LISTENER = "listener"
    """A subscription or consumer starts, stops or fails."""
    RECEIVED = "received"
    """An edge or the notifier took it from NATS."""
    LOCAL_CHECK = "local_check"
    """An edge looks for the user's sockets."""
    LOCAL_PUSH = "local_push"
    """An edge writes to sockets, or the notifier hands a push to a provider."""
    PRESENCE = "presence"
    """Sockets come and go."""
    LIFECYCLE = "lifecycle"
    """The service itself starts, waits, becomes ready, stops."""


# structlog as it comes writes everything.
_debugging = True


def debugging() -> bool:
    """Whether lines of level DEBUG are written.

    To ask where a message passes: a line that is not written still costs its arguments, for every message.
    """
    return _debugging


def configure(service: str, *, level: str, fmt: str) -> None:
    """Send structlog and the standard library's loggers to stdout in one format; call once, at start."""
    global _debugging
    _debugging = getattr(logging, level) <= logging.DEBUG
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _name_service(service),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(getattr(logging, level), logging.INFO))
    # One line per request is what metrics are for; a proxy in front logs requests anyway.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    # Each service says itself when it starts and stops, and knows better how to stop it than "press CTRL+C".
    for chatty in ("httpx", "alembic.runtime.plugins", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _name_service(service: str) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault("service", service)
        return event

    return add


def logger() -> Any:
    """A logger; bind what is known once, then `log.info("text", stage=Stage.DELIVER, …)`."""
    return structlog.get_logger()
