import io
import os
import re
import threading
from pathlib import Path

from stack import Programs, Stack, StackOptions
from stack.logs import LineSink, LogPump

from .conftest import until


async def test_lines_of_all_parts_are_whole_and_named(tmp_path: Path, standins: Programs) -> None:
    """Lines that two services write in pieces at the same time appear whole, each behind its service's name."""
    shown = io.StringIO()
    options = StackOptions(
        data_dir=tmp_path / "data",
        programs=standins,
        chat_api=False,
        notifier=False,
        log_to=shown,
        env={"*": {"STANDIN_LINES": "500"}},
    )
    async with Stack(options) as stack:
        await until(lambda: shown.getvalue().count("line 499 of many") == 2, "both have written everything")
        logs = stack.data_dir / "logs"
        kept = (logs / "edge-1.log").read_text()
    assert all(re.match(r"\S+ +\| ", line) for line in shown.getvalue().splitlines())
    for edge in ("edge-1", "edge-2"):
        lines = [line for line in shown.getvalue().splitlines() if line.startswith(edge) and " line " in line]
        assert lines == [f"{edge:<10} | line {number} of many" for number in range(500)]
    assert kept.count("of many\n") == 500
    assert {path.name for path in logs.iterdir()} >= {"nats.log", "postgres.log", "edge-1.log", "edge-2.log"}


def test_a_last_line_without_an_end_is_kept(tmp_path: Path) -> None:
    """What a dying process managed to write is worth most."""
    lines = _pump(tmp_path, b"first\nlast wor")
    assert lines == ["first", "last wor"]


def test_bytes_that_are_no_text_are_shown_anyway(tmp_path: Path) -> None:
    """A process that prints no UTF-8 loses its characters, not its log."""
    assert _pump(tmp_path, b"\xff ok\r\n") == ["\N{REPLACEMENT CHARACTER} ok"]


def test_an_endless_line_is_cut(tmp_path: Path) -> None:
    """A line is at most 64 KiB, so that memory stays bounded."""
    lines = _pump(tmp_path, b"x" * 150_000)
    assert [len(line) for line in lines] == [65_536, 65_536, 18_928]


def test_a_closed_terminal_ends_the_printing_only() -> None:
    """When the reader of our output is gone, writing goes on without an error."""
    stream = io.StringIO()
    sink = LineSink(stream)
    stream.close()
    sink.write("nats", "nobody hears this")
    sink.write("nats", "nor this")


def test_a_terminal_gets_colours() -> None:
    """Each name has a colour of its own on a terminal, and none elsewhere."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        sink = LineSink(stream)
        sink.write("nats", "a")
        sink.write("edge-1", "b")
    coloured = terminal.getvalue()
    assert coloured.startswith("\x1b[36mnats       | \x1b[0ma\n\x1b[32medge-1")
    assert "\x1b" not in file.getvalue()


def _pump(tmp_path: Path, written: bytes) -> list[str]:
    reading, writing = os.pipe()
    pump = LogPump("part", tmp_path, LineSink(None))
    pump.follow(os.fdopen(reading, "rb"))

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(written)

    writer = threading.Thread(target=write)
    writer.start()
    writer.join()
    pump.join(5.0)
    assert (tmp_path / "part.log").read_text().splitlines() == pump.tail(200)
    return pump.tail(200)
