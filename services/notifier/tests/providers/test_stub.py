"""The stub answers as it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts.devices import PushService
from notifier.providers import build_all
from notifier.providers.base import (
    PermanentPushError,
    ProviderRefusedError,
    TokenGoneError,
    TransientPushError,
)
from notifier.providers.stub.client import StubProvider
from notifier.providers.stub.errors import StubAnswer
from notifier.providers.stub.settings import StubSettings

from .pushes import push, target

FAILURES = {
    StubAnswer.TRANSIENT: TransientPushError,
    StubAnswer.PERMANENT: PermanentPushError,
    StubAnswer.GONE: TokenGoneError,
    StubAnswer.REFUSED: ProviderRefusedError,
}


@pytest.mark.parametrize("answer", StubAnswer)
async def test_it_answers_as_its_setting_or_the_token_says(answer: StubAnswer) -> None:
    """The token has the last word, so that one device fails and its neighbours do not."""
    by_setting = StubProvider(StubSettings(stub_answer=answer, stub_slow_s=0.0))
    by_token = StubProvider(StubSettings(stub_slow_s=0.0))
    told = push(target(PushService.STUB, f"stub-{answer.value}-17"))
    for provider, asked in ((by_setting, push(target(PushService.STUB, "some token"))), (by_token, told)):
        if answer in FAILURES:
            with pytest.raises(FAILURES[answer]):
                await provider.send(asked)
        else:
            assert await provider.send(asked) == f"stub-{asked.id}"


async def test_a_running_stack_can_be_told_to_fail_and_to_work(tmp_path: Path) -> None:
    """The file is read for each push; without it, or with rubbish in it, the setting holds."""
    told = tmp_path / "answer"
    provider = StubProvider(StubSettings(stub_file=told))
    asked = push(target(PushService.STUB, "t"))
    assert await provider.send(asked)
    told.write_text("permanent\n")
    with pytest.raises(PermanentPushError):
        await provider.send(asked)
    told.write_text("nonsense")
    assert await provider.send(asked)


async def test_what_it_took_is_written_down_without_the_token(tmp_path: Path) -> None:
    """One JSON object per line, for assertions of a test in another process."""
    log = tmp_path / "pushes.ndjson"
    provider = StubProvider(StubSettings(stub_log=log))
    asked = push(target(PushService.STUB, "a secret token"))
    await provider.send(asked)
    await provider.send(asked)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["push_id"] for line in lines] == [asked.id] * 2
    assert lines[0]["content"] == "你好, hello"
    assert "a secret token" not in log.read_text()
    with pytest.raises(TransientPushError):
        await StubProvider(StubSettings(stub_log=tmp_path / "no" / "folder")).send(asked)


def test_alone_it_carries_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside others it carries its own tokens, and the others the rest."""
    monkeypatch.setenv("NATTER_STUB_ANSWER", "permanent")
    assert build_all("stub")[0].services == frozenset()
    assert [one.services for one in build_all("logging,stub")] == [frozenset(), frozenset({PushService.STUB})]
