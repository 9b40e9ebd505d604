"""One line per thing that happened, in either format, for our own and for other people's loggers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from kit import logs
from kit.logs import Stage


@pytest.fixture(autouse=True)
def _put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging as it was before the test."""
    monkeypatch.setattr(logs, "_debugging", logs.debugging())
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line is an object with service, level, time, stage and text."""
    logs.configure("edge", level="INFO", fmt="json")
    structlog.get_logger().info("hello 你好", stage=Stage.DELIVER, event_id="e-1")
    logging.getLogger("somebody.else").warning("careful %s", "now")
    ours, theirs = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (ours["event"], ours["stage"], ours["service"], ours["level"]) == ("hello 你好", "deliver", "edge", "info")
    assert ours["event_id"] == "e-1"
    assert (theirs["event"], theirs["service"], theirs["level"]) == ("careful now", "edge", "warning")
    assert ours["timestamp"].endswith("Z")


def test_console_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A person reads the text first, and can still search for the stage."""
    logs.configure("edge", level="INFO", fmt="console")
    structlog.get_logger().info("hello", stage=Stage.LOCAL_PUSH)
    line = capsys.readouterr().out
    assert "hello" in line
    assert "stage=local_push" in line.replace("<Stage.LOCAL_PUSH: 'local_push'>", "local_push")
    assert "service=edge" in line


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_levels_are_kept(capsys: pytest.CaptureFixture[str], fmt: str) -> None:
    """What is below the level is not written."""
    logs.configure("edge", level="WARNING", fmt=fmt)
    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    structlog.get_logger().warning("loud")
    assert "quiet" not in (written := capsys.readouterr().out)
    assert "loud" in written


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "ERROR"])
def test_debugging_says_whether_debug_lines_are_written(capsys: pytest.CaptureFixture[str], level: str) -> None:
    """Whoever asks first leaves out what would not be written, and nothing else; also before anything is configured."""
    assert logs.debugging()
    logs.configure("edge", level=level, fmt="json")
    structlog.get_logger().debug("quiet")
    assert logs.debugging() is ("quiet" in capsys.readouterr().out)


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_exceptions_are_written(capsys: pytest.CaptureFixture[str], fmt: str) -> None:
    """An error's traceback stands in the log, in one JSON line if lines are counted."""
    logs.configure("edge", level="INFO", fmt=fmt)
    try:
        raise RuntimeError("broken thing")
    except RuntimeError as error:
        structlog.get_logger().error("failed", exc_info=error)
    written = capsys.readouterr().out
    assert "broken thing" in written
    if fmt == "json":
        assert len(written.splitlines()) == 1
        assert "RuntimeError" in json.loads(written)["exception"]


def test_stages_are_the_seed_s() -> None:
    """The words that operators search for do not change by accident."""
    assert [stage.value for stage in Stage] == [
        "broadcast",
        "recipients",
        "deliver",
        "route",
        "listener",
        "received",
        "local_check",
        "local_push",
        "presence",
        "lifecycle",
    ]
