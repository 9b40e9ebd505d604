"""The process as an orchestrator sees it: environment, signals, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest
from websockets.asyncio.client import connect

from kit import tokens
from kit.settings import DEVELOPMENT_SECRET
from stack.ports import free_port
from ws_edge.testing.servers import NatsServer


async def start(port: int, nats_url: str, **environment: str) -> asyncio.subprocess.Process:
    env = {**os.environ, "NATTER_PORT": str(port), "NATTER_NATS_URL": nats_url, "NATTER_LOG_FORMAT": "json"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ws_edge", env={**env, **environment}, stdout=asyncio.subprocess.PIPE
    )


async def said(process: asyncio.subprocess.Process, event: str) -> str:
    """Read the log until a line of this event."""
    assert process.stdout is not None
    async with asyncio.timeout(15):
        while line := (await process.stdout.readline()).decode():
            if json.loads(line)["event"] == event:
                return line
    raise AssertionError(f"{event!r} was never said")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_drains_and_exits_0(nats_server: NatsServer, number: signal.Signals) -> None:
    """The client is told, closed with 1012, and the process ends well; the token is in no log line."""
    port = free_port()
    process = await start(port, nats_server.url, NATTER_LOG_LEVEL="DEBUG")
    await said(process, "ready")
    token = tokens.issue(DEVELOPMENT_SECRET, "ann", (), ttl_s=60)
    url = f"ws://127.0.0.1:{port}/v1/ws"
    async with connect(url, additional_headers={"Authorization": f"Bearer {token}"}) as client:
        assert json.loads(await client.recv())["action"] == "connected"
        process.send_signal(number)
        assert json.loads(await client.recv())["action"] == "reconnect"
        await client.wait_closed()
        assert client.close_code == 1012
    rest, _ = await process.communicate()
    assert process.returncode == 0
    assert b'"stopped"' in rest
    assert token.encode() not in rest


async def test_second_signal_ends_at_once() -> None:
    """Who asks twice does not wait."""
    process = await start(free_port(), "nats://127.0.0.1:1")
    await said(process, "waiting for NATS")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        await process.communicate()
    assert process.returncode in (0, 130, 143)


async def test_signal_while_waiting_for_nats_exits_0() -> None:
    """Waiting for NATS is no reason to be killed."""
    process = await start(free_port(), "nats://127.0.0.1:1")
    await said(process, "waiting for NATS")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        await process.communicate()
    assert process.returncode == 0


async def test_wrong_settings_are_named() -> None:
    """Exit code 2 and the name of what is wrong."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ws_edge",
        env={**os.environ, "NATTER_EDGE_ID": "a.>"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"NATTER_EDGE_ID" in errors


async def test_taken_port_is_said_and_exits_1(nats_server: NatsServer) -> None:
    """Another process on the port is the commonest mistake of a first start."""
    process = await start(nats_server.port, nats_server.url)
    line = await said(process, "cannot listen")
    await process.communicate()
    assert process.returncode == 1
    assert str(nats_server.port) in line
