"""Settings of the stub."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from notifier.providers.stub.errors import StubAnswer


class StubSettings(BaseSettings):
    """What it answers, and where that can be changed while it runs."""

    model_config = SettingsConfigDict(env_prefix="NATTER_", frozen=True, extra="ignore")

    stub_answer: StubAnswer = StubAnswer.OK
    """What it answers to every push whose token says nothing else."""
    stub_file: Path | None = None
    """A file whose first word is the answer instead, read for each push: a running stack can fail, and work again."""
    stub_log: Path | None = None
    """A file to which every push that it takes is added, one JSON object per line."""
    stub_slow_s: float = 3.0
    """How long `slow` takes."""
