import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from stack import DataDirInUse, DataDirUnusable, PartFailed, PortTaken, Programs, Stack, StackError, StackOptions
from stack.nats import NatsServer, probe_nats
from stack.ports import free_port

from .conftest import HERE, Descendants, alive, sql, until


async def test_everything_starts_and_nothing_stays(
    tmp_path: Path, standins: Programs, descendants: Descendants
) -> None:
    """A whole stack becomes ready, tells its addresses, and leaves no process behind when it ends."""
    async with Stack(StackOptions(data_dir=tmp_path / "data", programs=standins)) as stack:
        assert list(stack.parts) == ["nats", "postgres", "chat-api", "edge-1", "edge-2", "notifier"]
        assert stack.api_url == f"http://127.0.0.1:{stack.part('chat-api').port}"
        assert stack.edge_urls == [f"ws://127.0.0.1:{stack.part(e).port}/v1/ws" for e in ("edge-1", "edge-2")]
        assert await sql(stack, "SELECT 1") == "1"
        started = descendants()
        assert {part.pid for part in stack.parts.values()} <= started.keys()
    assert not [pid for pid, created in started.items() if alive(pid, created)]
    assert not descendants()


async def test_chat_api_can_be_split(tmp_path: Path, standins: Programs) -> None:
    """Each role of chat-api can be a process of its own, fan-out even several."""
    options = StackOptions(
        data_dir=tmp_path / "data", programs=standins, edges=0, notifier=False, split_chat_api=True, fanouts=2
    )
    async with Stack(options) as stack:
        services = ["chat-api-serve", "chat-api-relay", "chat-api-fanout-1", "chat-api-fanout-2"]
        assert list(stack.parts) == ["nats", "postgres", *services]
        assert stack.api_url.endswith(str(stack.part("chat-api-serve").port))


@pytest.mark.skipif(sys.platform != "linux", reason="shared memory is not visible as files elsewhere")
async def test_a_temporary_stack_disappears(standins: Programs) -> None:
    """Without a data directory everything is in a temporary one, and a killed Postgres leaves no memory behind."""
    shared_before = _shared_memory()
    async with Stack(StackOptions(programs=standins, edges=0, notifier=False, chat_api=False)) as stack:
        data_dir = stack.data_dir
        assert _shared_memory() - shared_before
        await stack.part("postgres").kill()
    assert not data_dir.exists()
    assert not _of_dead_servers(_shared_memory() - shared_before)


def _shared_memory() -> set[Path]:
    return set(Path("/dev/shm").glob("PostgreSQL.*"))


def _of_dead_servers(segments: set[Path]) -> set[Path]:
    # Other tests on this machine start their own Postgres meanwhile: what a living one maps is not left behind.
    mapped = set()
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            try:
                mapped |= {Path(entry.path) for entry in process.memory_maps()}
            except psutil.Error:
                continue
    return segments - mapped


@pytest.mark.parametrize("death_watch", ["kernel", "watchdog"])
async def test_a_killed_stack_leaves_no_process(tmp_path: Path, death_watch: str) -> None:
    """kill -9 of the process that holds the stack ends every part, and the next stack finds its data."""
    holder, said = await _hold(tmp_path / "data", death_watch)
    holder.kill()
    holder.wait()
    processes = {int(pid): created for pid, created in said["processes"].items()}
    await until(lambda: not any(alive(*one) for one in processes.items()), "the parts follow their stack")


async def test_sigterm_stops_in_order_and_exits_0(tmp_path: Path) -> None:
    """SIGTERM stops the parts; Postgres says that it was shut down and not interrupted."""
    holder, said = await _hold(tmp_path / "data", "kernel")
    holder.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(holder.wait, 30) == 0
    assert not [pid for pid, created in said["processes"].items() if alive(int(pid), created)]
    assert "database system is shut down" in (tmp_path / "data" / "logs" / "postgres.log").read_text()


async def test_a_signal_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    """SIGINT while parts are still starting stops those that have started."""
    holder = _start_holder(tmp_path / "data", "kernel")
    below = psutil.Process(holder.pid)
    await until(lambda: bool(below.children()), "the first part starts")
    children = {child.pid: child.create_time() for child in below.children(recursive=True)}
    holder.send_signal(signal.SIGINT)
    holder.communicate(timeout=30)
    assert not [pid for pid, created in children.items() if alive(pid, created)]


async def test_data_survives_when_everything_is_killed(servers_only: StackOptions, descendants: Descendants) -> None:
    """After kill -9 of NATS and of Postgres with all its children a new stack starts and has every committed row."""
    async with Stack(servers_only) as stack:
        await sql(stack, "CREATE TABLE kept (n int)")
        await sql(stack, "INSERT INTO kept VALUES (42)")
        for pid in descendants():
            # Postgres' children go by themselves when their parent is gone.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await until(lambda: not any(part.running for part in stack.parts.values()), "both are gone")
    async with Stack(servers_only) as stack:
        assert await sql(stack, "SELECT n FROM kept") == "42"


async def test_a_postgres_that_outlived_its_stack_is_stopped(servers_only: StackOptions) -> None:
    """A Postgres that still runs on the data directory is shut down cleanly before a new one starts."""
    data_dir = servers_only.data_dir
    assert data_dir is not None
    async with Stack(servers_only) as stack:
        await sql(stack, "CREATE TABLE kept (n int)")
        port = stack.part("postgres").port
    from stack.postgres_binaries import binary
    from stack.postgres_user import prepare_user

    user = prepare_user(data_dir, data_dir / "postgres")
    argv = [str(binary("postgres")), "-D", str(data_dir / "postgres"), "-c", f"port={port}"]
    argv += ["-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1"]
    with _popen(argv, user=user, group=user, extra_groups=[] if user else None, cwd="/") as outlived:
        pid_file = data_dir / "postgres" / "postmaster.pid"
        await until(lambda: pid_file.exists() and "ready" in pid_file.read_text(), "it runs")
        async with Stack(servers_only) as stack:
            assert await asyncio.to_thread(outlived.wait, 10) == 0
            assert await sql(stack, "SELECT count(*) FROM kept") == "0"


async def test_what_an_earlier_stack_left_running_is_ended(nats_only: StackOptions) -> None:
    """A recorded process that still runs is ended; one that only has a recorded process's number is left alone."""
    assert nats_only.data_dir is not None
    nats_only.data_dir.mkdir()
    sleep = [sys.executable, "-c", "input()"]
    with _popen(sleep, stdin=subprocess.PIPE) as left_over, _popen(sleep, stdin=subprocess.PIPE) as bystander:
        recorded = {
            left_over.pid: psutil.Process(left_over.pid).create_time(),
            bystander.pid: psutil.Process(bystander.pid).create_time() - 3600,
        }
        (nats_only.data_dir / "pids.json").write_text(json.dumps(recorded))
        async with Stack(nats_only):
            assert left_over.poll() is not None
            assert bystander.poll() is None
        bystander.communicate(b"\n")


async def test_a_pid_file_that_names_another_program_is_stale(servers_only: StackOptions) -> None:
    """The number in postmaster.pid may belong to another program by now: that one is left alone, Postgres starts."""
    data_dir = servers_only.data_dir
    assert data_dir is not None
    async with Stack(servers_only) as stack:
        await stack.part("postgres").kill()
    pid_file = data_dir / "postgres" / "postmaster.pid"
    with _popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        _, *rest = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(bystander.pid), *rest]) + "\n")
        async with Stack(servers_only) as stack:
            assert await sql(stack, "SELECT 1") == "1"
        assert bystander.poll() is None
        bystander.communicate(b"\n")


async def test_an_unexpected_end_is_noticed(tmp_path: Path, standins: Programs) -> None:
    """A service that ends by itself is reported with its name and its log."""
    async with Stack(StackOptions(data_dir=tmp_path / "data", programs=standins, edges=1, notifier=False)) as stack:
        waiting = asyncio.create_task(stack.until_a_part_dies())
        pid = stack.part("edge-1").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        failure = await asyncio.wait_for(waiting, 10)
        assert failure.part == "edge-1"
        assert any("NATTER_EDGE_ID" in line for line in failure.log_tail)


async def test_a_part_that_fails_says_why(tmp_path: Path, standins: Programs, descendants: Descendants) -> None:
    """A service that ends at its start makes the stack fail at once, with the last lines of that service's log."""
    options = StackOptions(data_dir=tmp_path / "data", programs=standins, env={"edge-2": {"STANDIN_FAILS": "1"}})
    with pytest.raises(PartFailed, match=r"edge-2: ended before it was ready \(exit code 3\)") as raised:
        await Stack(options).start()
    assert "the reason why it fails" in str(raised.value)
    assert not descendants()


async def test_a_part_that_is_never_ready_says_so(tmp_path: Path, standins: Programs, descendants: Descendants) -> None:
    """A service that runs but never becomes ready is given up after the timeout, with what it answered."""
    options = StackOptions(
        data_dir=tmp_path / "data",
        programs=standins,
        chat_api=False,
        notifier=False,
        edges=1,
        env={"*": {"STANDIN_NEVER_READY": "1"}},
    )
    stack = Stack(dataclasses.replace(options, ready_timeout_s=3.0))
    with pytest.raises(PartFailed, match=r"edge-1: was not ready within 3 s \(/healthz/ready says 503\)"):
        await stack.start()
    assert not descendants()


async def test_a_service_that_ignores_sigterm_is_killed(
    tmp_path: Path, standins: Programs, descendants: Descendants
) -> None:
    """The end of a stack never hangs on a service that does not want to end."""
    options = StackOptions(
        data_dir=tmp_path / "data",
        programs=standins,
        chat_api=False,
        notifier=False,
        edges=1,
        env={"edge-1": {"STANDIN_IGNORES_SIGTERM": "1"}},
        stop_grace_s=0.3,
    )
    async with Stack(options):
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert not descendants()


async def test_a_taken_port_is_named_with_its_owner_and_remedy(
    servers_only: StackOptions, descendants: Descendants
) -> None:
    """The message names the part, the port, the process that has it, and the variable that changes it."""
    with _popen(
        [
            sys.executable,
            "-c",
            "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1]); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as squatter:
        assert squatter.stdout is not None
        port = int(squatter.stdout.readline())
        options = dataclasses.replace(
            servers_only, ports={"nats": port}, port_variables={"nats": "NATTER_DEV_NATS_PORT"}
        )
        with pytest.raises(PortTaken) as raised:
            await Stack(options).start()
        squatter.communicate(b"\n")
    message = str(raised.value)
    assert message.startswith(f"nats: port {port} is taken by python")
    assert f"(pid {squatter.pid})" in message
    assert "NATTER_DEV_NATS_PORT=" in message
    assert not descendants()


async def test_fixed_ports_are_used(servers_only: StackOptions) -> None:
    """A part whose port is given listens on that port."""
    wanted = {"nats": free_port(), "postgres": free_port()}
    async with Stack(dataclasses.replace(servers_only, ports=wanted)) as stack:
        assert {name: part.port for name, part in stack.parts.items()} == wanted


async def test_two_stacks_on_one_directory_are_refused(nats_only: StackOptions) -> None:
    """The second stack on a data directory ends with a message that names the first; the first is not disturbed."""
    async with Stack(nats_only) as first:
        with pytest.raises(DataDirInUse, match=rf"is in use by process {os.getpid()}"):
            await Stack(nats_only).start()
        assert first.part("nats").running


async def test_secrets_are_for_their_owner_only(servers_only: StackOptions) -> None:
    """Secrets have mode 0600, stay the same over restarts, and appear in no log and on no command line."""
    async with Stack(servers_only) as stack:
        path = stack.data_dir / "secrets.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        first = path.read_text()
        secrets = [stack.database_password, stack.jwt_secret, stack.nats_password("chat-api")]
        shown = [_command_line(child) for child in psutil.Process().children(recursive=True)]
        shown += [log.read_text() for log in (stack.data_dir / "logs").iterdir()]
        shown += [repr(stack.options), repr(vars(stack))]
        assert not [secret for secret in secrets for text in shown if secret in text]
        assert not (stack.data_dir / "initdb.password").exists()
    async with Stack(servers_only) as stack:
        assert path.read_text() == first


async def test_lost_secrets_are_explained(servers_only: StackOptions) -> None:
    """A database whose password is gone is not started with another one."""
    async with Stack(servers_only) as stack:
        path = stack.data_dir / "secrets.json"
    path.unlink()
    with pytest.raises(DataDirUnusable, match=r"no secrets\.json"):
        await Stack(servers_only).start()


async def test_another_major_version_is_explained(servers_only: StackOptions) -> None:
    """A data directory of another Postgres is refused before Postgres sees it."""
    async with Stack(servers_only) as stack:
        version = stack.data_dir / "postgres" / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(DataDirUnusable, match="made by Postgres 17"):
        await Stack(servers_only).start()


async def test_services_get_the_contract_and_edges_no_database(tmp_path: Path, standins: Programs) -> None:
    """Every service finds the documented variables; an edge has no way to Postgres."""
    async with Stack(StackOptions(data_dir=tmp_path / "data", programs=standins)) as stack:
        await until(lambda: all(stack.part(name).log_tail() for name in ("notifier", "edge-1")), "they have spoken")
        notifier = " ".join(stack.part("notifier").log_tail())
        edge = " ".join(stack.part("edge-1").log_tail())
    for name in ("NATS_URL", "NATS_USER", "NATS_PASSWORD", "JWT_SECRET", "HOST", "PORT", "LOG_FORMAT"):
        assert f'"NATTER_{name}"' in notifier
        assert f'"NATTER_{name}"' in edge
    assert '"NATTER_DATABASE_URL"' in notifier
    assert "NATTER_DATABASE" not in edge


async def test_an_unknown_part_is_named_with_the_known_ones(nats_only: StackOptions) -> None:
    """Asking for a part that does not run says which do."""
    async with Stack(nats_only) as stack:
        with pytest.raises(StackError, match="no part 'postgres'; it has nats"):
            stack.part("postgres")


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # Postgres starts and ends helpers all the time
        return ""


async def _hold(data_dir: Path, death_watch: str) -> tuple["subprocess.Popen[bytes]", dict[str, dict[str, float]]]:
    holder = _start_holder(data_dir, death_watch)
    assert holder.stdout is not None
    said = json.loads(await asyncio.to_thread(holder.stdout.readline))
    holder.stdout.close()
    return holder, said


def _start_holder(data_dir: Path, death_watch: str) -> "subprocess.Popen[bytes]":
    return _popen([sys.executable, str(HERE / "holder.py"), str(data_dir), death_watch], stdout=subprocess.PIPE)


def _popen(argv: list[str], **options: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(argv, **options)


async def test_links_stand_between_a_service_and_its_servers(tmp_path: Path, standins: Programs) -> None:
    """A linked service is pointed at a proxy that survives restarts of either side; others connect directly."""
    links = (("edge-1", "nats"), ("chat-api-relay", "nats"), ("chat-api-relay", "postgres"))
    options = StackOptions(
        data_dir=tmp_path / "data", programs=standins, notifier=False, split_chat_api=True, links=links
    )
    async with Stack(options) as stack:
        link = stack.link("edge-1", "nats")
        before = link.port
        assert _environment(stack, "edge-1")["NATTER_NATS_URL"] == f"nats://127.0.0.1:{link.port}"
        assert _environment(stack, "edge-2")["NATTER_NATS_URL"] == stack.nats_url
        relay = _environment(stack, "chat-api-relay")
        assert relay["NATTER_NATS_URL"].endswith(f":{stack.link('chat-api-relay', 'nats').port}")
        assert f":{stack.link('chat-api-relay', 'postgres').port}/" in relay["NATTER_DATABASE_URL"]
        assert not await _ask_nats(stack, link.port)
        await stack.part("nats").kill()
        with pytest.raises(OSError):
            await _ask_nats(stack, link.port)
        await stack.part("nats").start()
        await stack.part("edge-1").kill()
        await stack.part("edge-1").start()
        assert not await _ask_nats(stack, link.port)
        assert _environment(stack, "edge-1")["NATTER_NATS_URL"].endswith(f":{before}")
        link.cut()
        with pytest.raises(OSError):
            await _ask_nats(stack, link.port)
        with pytest.raises(StackError, match=r"no link edge-2→nats; it has edge-1→nats"):
            stack.link("edge-2", "nats")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", before)


async def test_a_link_must_lead_from_a_service_to_a_server(
    tmp_path: Path, standins: Programs, descendants: Descendants
) -> None:
    """A link that nobody would use is refused before any service starts."""
    with pytest.raises(ValueError, match="nats or postgres"):
        StackOptions(links=(("edge-1", "notifier"),))
    options = StackOptions(
        data_dir=tmp_path / "data", programs=standins, chat_api=False, notifier=False, links=(("edge-9", "nats"),)
    )
    with pytest.raises(StackError, match="no service 'edge-9'"):
        await Stack(options).start()
    assert not descendants()


async def test_exit_code_of_a_part(tmp_path: Path, standins: Programs) -> None:
    """How a part ended last can be asked: nothing while it runs, the signal's number after a kill."""
    options = StackOptions(
        data_dir=tmp_path / "data", programs=standins, chat_api=False, notifier=False, postgres=False, edges=1
    )
    async with Stack(options) as stack:
        assert stack.part("nats").exit_code is None
        await stack.part("nats").terminate()
        assert stack.part("nats").exit_code in (0, 1)  # 1: nats-server's answer to SIGTERM
        await stack.part("nats").start()
        assert stack.part("nats").exit_code is None
        await stack.part("edge-1").kill()
        assert stack.part("edge-1").exit_code == -signal.SIGKILL


async def test_wiped_nats_has_lost_everything(nats_only: StackOptions) -> None:
    """wipe() removes JetStream's store, and refuses to while the server runs."""
    async with Stack(nats_only) as stack:
        nats = stack.part("nats")
        assert isinstance(nats, NatsServer)
        store = stack.data_dir / "nats"
        assert store.exists()
        with pytest.raises(StackError, match="nats runs"):
            await nats.wipe()
        await nats.kill()
        await nats.wipe()
        assert not store.exists()
        await nats.start()
        assert store.exists()


def _environment(stack: Stack, part: str) -> dict[str, str]:
    return psutil.Process(stack.part(part).pid).environ()


async def _ask_nats(stack: Stack, port: int) -> str:
    return await probe_nats("127.0.0.1", port, "observer", stack.nats_password("observer"))
