"""Holds a stack with stand-in services and prints its processes as JSON, to be killed by a test."""

import asyncio
import json
import sys
from pathlib import Path

import psutil

from stack import DeathWatch, Programs, Stack, StackOptions
from stack.runner import run_until_signal


async def hold(data_dir: Path, death_watch: DeathWatch) -> None:
    standin = (sys.executable, str(Path(__file__).with_name("standin.py")))
    options = StackOptions(data_dir=data_dir, programs=Programs(standin, standin, standin), death_watch=death_watch)
    async with Stack(options) as stack:
        processes = {child.pid: child.create_time() for child in psutil.Process().children(recursive=True)}
        print(json.dumps({"processes": processes, "parts": {name: part.pid for name, part in stack.parts.items()}}))
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(run_until_signal(hold(Path(sys.argv[1]), DeathWatch(sys.argv[2]))))
