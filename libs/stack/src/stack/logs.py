"""Log lines of many processes on one terminal: each whole, each with the name of its process in front."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TextIO

_COLOURS = (36, 32, 35, 33, 34, 96, 92, 95, 93, 94)
_LOG_FILE_BYTES_MAX = 20 * 1024 * 1024
_LINE_BYTES_MAX = 64 * 1024
_TAIL_LINES = 200
_NAME_WIDTH = 10


class LineSink:
    """A terminal (or any text stream) that several threads write whole lines to."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._coloured = bool(stream and stream.isatty() and "NO_COLOR" not in os.environ)
        self._colours: dict[str, int] = {}
        self._lock = threading.Lock()

    def write(self, name: str, line: str) -> None:
        """Print `line` with `name` in front; a closed stream is the end of printing, never an error."""
        if self._stream is None:
            return
        with self._lock:
            prefix = f"{name:<{_NAME_WIDTH}} | "
            if self._coloured:
                colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
                prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
            try:
                self._stream.write(f"{prefix}{line}\n")
                self._stream.flush()
            except (OSError, ValueError):  # `make dev | head`: the reader is gone, the stack goes on
                self._stream = None


class LogPump:
    """Reads the output of one process: to its file, to the terminal, and the end of it in memory.

    In a thread, not a task: a busy event loop (the bench runs in it) would let the pipe fill up, and a service that
    waits for room in its pipe is slower than the service that is being measured.
    """

    def __init__(self, name: str, log_dir: Path, sink: LineSink) -> None:
        self._name = name
        self._sink = sink
        self._path = log_dir / f"{name}.log"
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._thread: threading.Thread | None = None

    def follow(self, pipe: IO[bytes]) -> None:
        """Read `pipe` until its end, in the background, and close it."""

        def lines() -> Iterator[bytes]:
            with pipe:
                # A limit on readline: a process that never ends its line must not fill our memory.
                yield from iter(lambda: pipe.readline(_LINE_BYTES_MAX), b"")

        self.follow_lines(lines())

    def follow_lines(self, lines: Iterable[bytes]) -> None:
        """Read lines until their end, in the background."""
        self._thread = threading.Thread(target=self._run, args=(lines,), name=f"log-{self._name}", daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait until everything that was written has been read."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def tail(self, lines: int) -> list[str]:
        """Return the last lines, at most 200, oldest first."""
        return list(self._tail)[-lines:]

    def _run(self, lines: Iterable[bytes]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_size > _LOG_FILE_BYTES_MAX:
                self._path.rename(self._path.with_suffix(".log.1"))
        with open(self._path, "a", encoding="utf-8") as file:
            for raw in lines:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                self._tail.append(line)
                file.write(line + "\n")
                file.flush()
                self._sink.write(self._name, line)
