"""`python -m ws_edge.testing echo --port N`: echo text and binary messages, for outside conformance suites."""

from __future__ import annotations

import argparse
import contextlib

import uvloop

from ws_edge.testing.echo import serve_echo


async def _echo(host: str, port: int) -> None:
    server = await serve_echo(host, port)
    bound = server.sockets[0].getsockname()[1]
    print(f"echo listens on ws://{host}:{bound}/", flush=True)  # noqa: T201 - a tool speaks on its standard output
    await server.serve_forever()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ws_edge.testing", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    echo = commands.add_parser("echo", help="echo text and binary messages through the production transport")
    echo.add_argument("--host", default="127.0.0.1")
    echo.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_echo(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
