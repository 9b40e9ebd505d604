"""schemathesis over the live OpenAPI of a stack, with every check, as a service, an admin and a customer."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROLES = ("service", "admin", "customer")

SKIPPED_CHECKS: dict[str, str] = {
    "positive_data_acceptance": "what fits a schema may name a conversation that is not there: 404 or 422 is right",
    "use_after_free": "what is deleted leaves a tombstone that can still be read: that is promised",
    "ensure_resource_availability": "a conversation made by a service, for others, is not the service's to read",
}
"""Checks whose assumption is not ours, and why."""


@dataclass(frozen=True, slots=True)
class Found:
    """One run's end: 0 if nothing was found, and what schemathesis printed."""

    role: str
    status: int
    output: str


async def attack(
    url: str,
    token: str,
    role: str,
    *,
    seed: int,
    examples_max: int,
    seconds: int | None = None,
    known: Mapping[str, str] | None = None,
    shown: bool = False,
) -> Found:
    """Attack the chat-api at `url` with that token until all is tried, or `seconds` are over.

    `known` are path parameters (by name) with values that exist: made-up ids never come further than a 404.
    """
    arguments = [
        "run",
        f"{url}/openapi.json",
        "--header", f"Authorization: Bearer {token}",
        "--checks", "all",
        "--exclude-checks", ",".join(SKIPPED_CHECKS),
        "--seed", str(seed),
        "--max-examples", str(examples_max),
        "--continue-on-failure",
        "--suppress-health-check", "all",
        "--warnings", "off",
        "--generation-database", "none",
        "--request-timeout", "30",
        "--workers", "1",
        "--no-color",
    ]  # fmt: skip
    if seconds is not None:
        arguments += ["--max-time", str(max(1, seconds))]
    with tempfile.TemporaryDirectory() as folder:
        lines = [f'"path.{name}" = "{value}"' for name, value in (known or {}).items()]
        (Path(folder) / "schemathesis.toml").write_text("\n".join(["[parameters]", *lines, ""]))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", *arguments,
            cwd=folder,  # it leaves files where it runs
            stdout=None if shown else asyncio.subprocess.PIPE,
            stderr=None if shown else asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
    assert process.returncode is not None
    return Found(role, process.returncode, (output or b"").decode(errors="replace"))
