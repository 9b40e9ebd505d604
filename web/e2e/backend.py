"""A whole Natter for the browser's tests: starts it, says where it is, and does to its parts what a line of JSON says.

`python e2e/backend.py --web dist` prints one line when everything is ready, and then one answer for each line it reads:

    {"do": "kill" | "start" | "terminate" | "suspend" | "resume", "part": "edge-1"}   →  {"done": true}
    {"do": "ensure", "part": "edge-1"}      (starts it only if it does not run)       →  {"done": true}
    {"do": "log", "part": "notifier", "lines": 200}                                   →  {"lines": […]}
    {"do": "token", "user_id": "anna", "roles": ["customer"], "ttl_s": 60}            →  {"token": "…"}

What cannot be done is answered by {"error": "…"}. It ends, with all its parts, when its input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from stack import Stack, StackOptions, ports
from stack.dev import PASSWORD, pages_env, seed
from stack.errors import StackError
from stack.runner import run_until_signal

LOG_LINES_MAX = 200


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--web", type=Path, required=True, help="the built pages, which chat-api serves")
    parser.add_argument("--edges", type=int, default=2, help="number of edges (default: %(default)s)")
    return parser.parse_args()


def options(web: Path, edges: int) -> StackOptions:
    """A stack that disappears at the end; who is away is pushed at once."""
    chosen = {"chat-api": ports.free_port(), **{f"edge-{number + 1}": ports.free_port() for number in range(edges)}}
    everyone = {
        "NATTER_ALLOWED_ORIGINS": f"http://{ports.HOST}:{chosen['chat-api']}",
        "NATTER_PUSH_GRACE_OFFLINE_S": "0",
        "NATTER_IMPORTANT_MOBILE_WAIT_S": "0.5",
        "DELIVERY_ACK_TIMEOUT": "2",
    }
    return StackOptions(edges=edges, ports=chosen, env={"*": everyone, **pages_env(web, chosen)})


async def obey(stack: Stack, told: dict[str, Any]) -> dict[str, Any]:
    """Do one thing; raises StackError for a part that is not there."""
    match told["do"]:
        case "kill" | "start" | "terminate" | "suspend" | "resume" as verb:
            await getattr(stack.part(told["part"]), verb)()
            return {"done": True}
        case "ensure":
            if not stack.part(told["part"]).running:
                await stack.part(told["part"]).start()
            return {"done": True}
        case "log":
            return {"lines": stack.part(told["part"]).log_tail(min(int(told.get("lines", 50)), LOG_LINES_MAX))}
        case "token":
            return {
                "token": stack.token(
                    told["user_id"], roles=told.get("roles", ["customer"]), ttl_s=float(told.get("ttl_s", 3600))
                )
            }
        case unknown:
            return {"error": f"nobody knows how to {unknown!r}"}


def say(line: dict[str, Any]) -> None:
    """One line for whoever started this."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def serve(web: Path, edges: int) -> None:
    """Until the input ends."""
    async with Stack(options(web, edges)) as stack:
        await seed(stack)
        say(
            {"url": stack.api_url, "edges": stack.edge_urls, "password": PASSWORD, "logs": str(stack.data_dir / "logs")}
        )
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                say(await obey(stack, json.loads(line)))
            except (StackError, ValueError, KeyError) as wrong:
                say({"error": f"{type(wrong).__name__}: {wrong}"})


if __name__ == "__main__":
    chosen = arguments()
    sys.exit(run_until_signal(serve(chosen.web, chosen.edges), with_parent=True))
