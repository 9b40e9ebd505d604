import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stack import StackError
from stack.dev import DEFAULT_PORTS, dev_options, pages_env
from stack.ports import free_port

from .conftest import HERE, alive, until


async def test_dev_seeds_says_everything_and_stops_with_0(tmp_path: Path) -> None:
    """`make dev` prints addresses, accounts and a ready line, twice on the same data, and Ctrl-C ends it with 0."""
    for start in ("first", "second"):
        code, shown = await asyncio.to_thread(_run_until_ready, tmp_path / "data")
        assert code == 0
        assert re.search(r"^\[ *\d+\.\d s\] ready", shown, re.MULTILINE)
        assert ("first start" in shown) == (start == "first")
        for expected in ("alice", "dora", "natter-demo", "http://127.0.0.1:", "ws://127.0.0.1:", "curl "):
            assert expected in shown
        password = re.search(r'"jwt_secret": "(\w+)"', (tmp_path / "data" / "secrets.json").read_text())
        assert password is not None
        assert password[1] not in shown


async def test_dev_ends_with_its_parent(tmp_path: Path) -> None:
    """When the process that started it is killed, everything stops."""
    command = [sys.executable, str(HERE / "dev_holder.py"), str(tmp_path / "data"), "--with-parent"]
    script = f"import subprocess; subprocess.run({command!r})"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)  # noqa: ASYNC220
    log = tmp_path / "data" / "logs" / "notifier.log"
    await until(log.exists, "the last service starts")
    children = {child.pid: child.create_time() for child in psutil.Process(parent.pid).children(recursive=True)}
    parent.kill()
    parent.wait()
    await until(lambda: not any(alive(*child) for child in children.items()), "everything stops")


def test_ports_are_fixed_and_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part has its own variable; a value that is no port is refused by name."""
    assert dev_options().ports == DEFAULT_PORTS
    monkeypatch.setenv("NATTER_DEV_CHAT_API_PORT", "9000")
    monkeypatch.setenv("NATTER_DEV_EDGE_2_PORT", "9002")
    assert dev_options().ports == {**DEFAULT_PORTS, "chat-api": 9000, "edge-2": 9002}
    monkeypatch.setenv("NATTER_DEV_NATS_PORT", "many")
    with pytest.raises(StackError, match="NATTER_DEV_NATS_PORT='many' is not a port"):
        dev_options()


def test_a_taken_port_ends_dev_with_1_and_a_remedy(tmp_path: Path) -> None:
    """The command line says which variable moves the port, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = str(squatter.getsockname()[1])
        environment = {**os.environ, "NATTER_DEV_NATS_PORT": taken, "NATTER_DEV_POSTGRES_PORT": str(free_port())}
        done = subprocess.run(
            [sys.executable, "-m", "stack", "dev"], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
    assert done.returncode == 1
    assert f"error: nats: port {taken} is taken by" in done.stderr
    assert "NATTER_DEV_NATS_PORT=<port>" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_the_commands() -> None:
    """--help says what there is."""
    shown = subprocess.run([sys.executable, "-m", "stack", "--help"], capture_output=True, text=True, check=True).stdout
    assert "dev" in shown
    assert "up" in shown


def _run_until_ready(data_dir: Path) -> tuple[int, str]:
    command = [sys.executable, str(HERE / "dev_holder.py"), str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        shown = ""
        for line in process.stdout:
            shown += line
            if "ready - " in line:
                process.send_signal(signal.SIGINT)
        return process.wait(), shown


def test_the_pages_are_told_where_the_edges_are(tmp_path: Path) -> None:
    """Only if there are pages; without them everything else runs all the same."""
    assert pages_env(tmp_path, DEFAULT_PORTS) == {}
    (tmp_path / "index.html").write_text("<!doctype html>")
    told = pages_env(tmp_path, {**DEFAULT_PORTS, "edge-2": 9002})
    assert told == {
        "chat-api": {
            "NATTER_WEB_DIR": str(tmp_path),
            "NATTER_WEB_WS_URLS": "ws://127.0.0.1:8001/v1/ws,ws://127.0.0.1:9002/v1/ws",
            "NATTER_WEB_DEMO": "true",
        }
    }
