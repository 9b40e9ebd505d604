"""schemathesis over the live OpenAPI of a stack, with every check, as everybody who may come."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from .known import Known

ROLES = ("service", "admin", "consultant", "customer")

HERE = Path(__file__).parent
ACCOUNTS = "accounts.json"
STATUSES = "statuses.json"

PATHS = {
    "conversation_id": "conversation",
    "message_id": "message",
    "attachment_id": "attachment",
    "broadcast_id": "broadcast",
    "user_id": "user",
}
"""Path parameters, and the kind of id that leads somewhere."""

BODIES = {
    "attachment_id": "attachment",
    "reply_to": "message",
    "message_ids[*]": "message",
    "user_id": "user",
    "user_ids[*]": "user",
    "participant_ids[*]": "user",
    "exclude_user_ids[*]": "user",
    "sender_id": "user",
    "owner_id": "user",
    "customer_id": "user",
    "conversation_id": "conversation",
}
"""The same for what stands in bodies."""


class Ids(Enum):
    """Which ids an attack uses in paths; made-up ones never come further than a 404."""

    ONE = "with one of each that exists"
    MANY = "with ids that exist, and with any"


@dataclass(frozen=True, slots=True)
class Found:
    """One run's end: 0 if nothing was found, what schemathesis printed, and how often each status was answered."""

    status: int
    output: str
    answers: Counter[int]


async def attack(
    url: str,
    known: Known,
    ids: Ids,
    *,
    seed: int,
    examples_max: int,
    seconds: int | None = None,
    only: str | None = None,
    shown: bool = False,
) -> Found:
    """Attack the chat-api at `url` with what is known until all is tried, or `seconds` are over.

    `only`: nothing but paths that this pattern finds, and of them nothing that is drawn: it ends by itself, soon.
    """
    arguments = [
        "run",
        f"{url}/openapi.json",
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
    if only is not None:
        arguments += ["--include-path-regex", only, "--phases", "examples,coverage"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "schemathesis.toml").write_text(settings(known, ids))
        (folder / ACCOUNTS).write_text(accounts(known))
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
        answers = Counter({int(status): times for status, times in json.loads(_left(folder / STATUSES)).items()})
    assert process.returncode is not None
    return Found(process.returncode, (output or b"").decode(errors="replace"), answers)


def _left(file: Path) -> str:
    return file.read_text() if file.exists() else "{}"


def settings(known: Known, ids: Ids) -> str:
    """schemathesis.toml for one run: what stands in the file of that name here, who attacks, and with which ids."""
    lines = [f"hooks = {_quoted(str(HERE / 'checks.py'))}", (HERE / "schemathesis.toml").read_text()]
    lines += [
        "[auth.wfc]",
        f"path = {_quoted(ACCOUNTS)}",
        f"user = {_quoted(known.attacker.user_id)}",
        f"peers = {json.dumps([known.attacker.user_id, known.stranger.user_id])}",
    ]
    lines += ["[dictionaries]", *(f"{kind}.values = {json.dumps(values)}" for kind, values in known.ids.items())]
    lines += ["[parameters]", *_parameters(known, ids)]
    if known.attacker.token is not None:
        # It would be the end of the one token.
        lines += ["[[operations]]", 'include-path = "/v1/auth/logout"', "enabled = false"]
    # Whoever could block itself would be out for the rest of the attack.
    lines += [
        "[[operations]]",
        'include-path-regex = "^/v1/admin/users/"',
        f'parameters = {{ "path.user_id" = {_quoted(known.victim_id)} }}',
    ]
    return "\n".join([*lines, ""])


def accounts(known: Known) -> str:
    """How to sign in, in the format of Web Fuzzing Commons.

    A session that the attack has ended (it may sign out, or end all of its sessions) is followed by the next one.
    Who brings a token has only that one.
    """
    signing_in = {
        "endpoint": "/v1/auth/token",
        "verb": "POST",
        "contentType": "application/json",
        "token": {
            "extractFrom": "body",
            "extractSelector": "/access_token",
            "sendIn": "header",
            "sendName": "Authorization",
            "sendTemplate": "Bearer {token}",
        },
    }
    entries = []
    for one in (known.attacker, known.stranger):
        entry: dict[str, Any] = {"name": one.user_id}
        if one.token is None:
            body = {"user_id": one.user_id, "password": one.password}
            entry["loginEndpointAuth"] = {**signing_in, "payloadRaw": json.dumps(body)}
        else:
            entry["fixedHeaders"] = [{"name": "Authorization", "value": f"Bearer {one.token}"}]
        entries.append(entry)
    return json.dumps({"auth": entries})


def _parameters(known: Known, ids: Ids) -> Iterator[str]:
    for name, kind in PATHS.items():
        # Not a user's: who was let into a conversation is who can be taken out of it, as links tell.
        if ids is Ids.ONE and kind != "user":
            yield f'"path.{name}" = {_quoted(known.ids[kind][0])}'
        else:
            yield f'"path.{name}" = {_drawn(kind, 0.7)}'
    for name, kind in BODIES.items():
        yield f'"body.{name}" = {_drawn(kind, 0.5)}'


def _drawn(kind: str, probability: float) -> str:
    return f'{{ dictionary = "{kind}", probability = {probability} }}'


def _quoted(text: str) -> str:
    return json.dumps(text)
