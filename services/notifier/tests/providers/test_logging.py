"""The block and the line that the logging provider prints."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.devices import DeviceType
from notifier.providers.logging.client import LoggingProvider
from notifier.providers.logging.errors import OutputBroken
from notifier.providers.logging.payload import block, json_line
from notifier.providers.logging.settings import LoggingSettings
from notifier.push import Priority, Push

AT = datetime(2026, 1, 31, 8, 15, 30, tzinfo=UTC)
DATA = {"conversation_id": "c1", "action": "x"}


def push(title: str = "Bob", content: str = "hello") -> Push:
    return Push(
        id="p1",
        message_id="m1",
        user_id="alice",
        target=None,
        device_class=DeviceType.MOBILE,
        priority=Priority.HIGH,
        title=title,
        content=content,
        data={"conversation_id": "c1", "action": "x"},
    )


def test_the_block_shows_the_seeds_fields() -> None:
    """Device class, priority, user, title, content and data, one a line in a frame."""
    lines = block(push(content="你好\nagain")).splitlines()
    assert lines[0].startswith("┌─ push ")
    assert lines[1:-1] == [
        "│ device    mobile",
        "│ priority  high",
        "│ user      alice",
        "│ title     Bob",
        "│ content   你好",
        "│           again",
        '│ data      {"conversation_id": "c1", "action": "x"}',
    ]
    assert lines[-1].startswith("└─")
    assert len(lines[0]) == len(lines[-1])


@given(title=st.text(max_size=50), content=st.text(max_size=200))
def test_no_text_escapes_from_its_block(title: str, content: str) -> None:
    """Whatever is written in a message, each line keeps to the frame, and nothing recolours."""
    text = block(push(title, content))
    first, *middle, last = text.rstrip("\n").split("\n")
    assert first.startswith("┌")
    assert last.startswith("└")
    assert all(line.startswith("│ ") for line in middle)
    assert "\x1b" not in text
    assert "\r" not in text
    text.encode()


@given(title=st.text(max_size=50), content=st.text(max_size=200))
def test_the_json_form_is_one_line_with_the_same_fields(title: str, content: str) -> None:
    """Collectors get one line of JSON, whatever the text."""
    line = json_line(push(title, content), AT)
    assert line.count("\n") == 1
    fields = json.loads(line)
    assert (fields["title"], fields["content"], fields["user"]) == (title, content, "alice")
    assert (fields["device_class"], fields["priority"], fields["stage"]) == ("mobile", "high", "local_push")
    assert fields["data"] == {"conversation_id": "c1", "action": "x"}


class Written(io.StringIO):
    """Counts the writes."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


@pytest.mark.parametrize(("log_format", "begins"), [("console", "┌─ push"), ("json", "{")])
async def test_a_push_is_one_write_in_the_logs_format(log_format: str, begins: str) -> None:
    """Other log lines cannot land inside a block."""
    output = Written()
    provider = LoggingProvider(LoggingSettings.model_validate({"log_format": log_format}), output=output)
    assert await provider.send(push()) is None
    assert output.writes == 1
    assert output.getvalue().startswith(begins)
    await provider.close()


async def test_a_closed_output_is_a_transient_failure() -> None:
    """The push is not lost: it is tried again."""
    output = io.StringIO()
    output.close()
    with pytest.raises(OutputBroken):
        await LoggingProvider(LoggingSettings(), output=output).send(push())
