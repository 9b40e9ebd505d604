"""What commands run by hand show, on a terminal and in a log."""

from __future__ import annotations

import io

from chat_api.console import EventsProgress, table


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_progress_on_a_terminal_is_a_bar() -> None:
    """With the rate and the end; it grows with what others write meanwhile."""
    stream = Terminal()
    progress = EventsProgress("rebuild", stream)
    progress.started(100)
    progress.advanced(80)
    progress.advanced(40)
    progress.finished()
    assert "rebuild: 100%" in stream.getvalue()
    assert "120/120" in stream.getvalue()
    assert "events/s" in stream.getvalue()


def test_progress_elsewhere_is_lines() -> None:
    """One now and then and one at the end, each complete."""
    stream = io.StringIO()
    progress = EventsProgress("rebuild", stream, line_every_s=0)
    progress.started(1500)
    progress.advanced(1000)
    progress.advanced(500)
    progress.finished()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("rebuild: 1,000 of 1,500 events, ")
    assert lines[-1].startswith("rebuild: 1,500 of 1,500 events, ")
    assert lines[-1].endswith(" 0 s left")


def test_nothing_to_do_is_said_too() -> None:
    """An empty record is no division by zero."""
    stream = io.StringIO()
    progress = EventsProgress("rebuild", stream)
    progress.started(0)
    progress.finished()
    assert stream.getvalue() == "rebuild: 0 of 0 events, 0/s, 0 s left\n"


def test_columns_of_a_table_stand_below_each_other() -> None:
    """Names to the left, figures to the right."""
    assert table(("table", "rows"), [("users", "1,000"), ("messages", "7")]) == (
        "table      rows\nusers     1,000\nmessages      7"
    )
