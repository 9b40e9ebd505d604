"""`python -m ws_edge`: run one edge until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

import uvloop
from pydantic import ValidationError

from kit import logs, spans
from kit.logs import Stage, logger
from kit.settings import explain
from ws_edge.app import Edge
from ws_edge.settings import EdgeSettings

log = logger()


def read_settings(arguments: list[str]) -> EdgeSettings:
    """Environment first, then the few options that people type by hand; exits with the reason if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m ws_edge",
        description="Hold WebSockets, write each user's frames to them, and report which device has them.",
        epilog="All settings come from the environment (NATTER_*, WS_*); docs/config.md lists them.",
    )
    parser.add_argument("--host", help="address to listen on (NATTER_HOST)")
    parser.add_argument("--port", type=int, help="port to listen on (NATTER_PORT); 0 lets the system choose")
    parser.add_argument("--edge-id", help="name of this edge (NATTER_EDGE_ID)")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        return EdgeSettings(**given)
    except ValidationError as invalid:
        parser.exit(2, "".join(f"ws-edge: {line}\n" for line in explain(invalid)))


async def serve(settings: EdgeSettings) -> None:
    """Run; the first signal drains, a second one ends the process at once."""
    edge = Edge(settings)
    loop = asyncio.get_running_loop()
    signals = 0

    def on_signal(number: int) -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            os._exit(128 + number)
        log.info("stopping", stage=Stage.LIFECYCLE, signal=signal.Signals(number).name)
        edge.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await edge.run()


def main() -> None:
    """The command line."""
    settings = read_settings(sys.argv[1:])
    logs.configure("ws-edge", level=settings.log_level, fmt=settings.log_format)
    spans.configure("ws-edge")
    try:
        uvloop.run(serve(settings))
    except OSError as failed:
        log.error("cannot listen", stage=Stage.LIFECYCLE, host=settings.host, port=settings.port, reason=str(failed))
        sys.exit(1)
    finally:
        spans.shutdown()


if __name__ == "__main__":
    main()
