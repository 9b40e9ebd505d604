"""What the environment may say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from notifier.errors import ConfigError
from notifier.providers import build_all
from notifier.retry import RetryPolicy
from notifier.settings import NotifierSettings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine that runs the tests."""
    import os

    for name in os.environ:
        if name.startswith(("NATTER_", "NOTIFICATION_", "FIREBASE_")):
            monkeypatch.delenv(name)


def test_defaults_run_on_a_laptop() -> None:
    """Without any variable the notifier logs its pushes and listens on 8003."""
    settings = NotifierSettings()
    assert (settings.port, settings.notification_provider, settings.retry) == (8003, "logging", RetryPolicy())


def test_names_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed's two names stand without prefix, all others with it."""
    monkeypatch.setenv("NOTIFICATION_PROVIDER", "firebase")
    monkeypatch.setenv("NATTER_RETRY_ATTEMPTS_MAX", "3")
    monkeypatch.setenv("NATTER_DATABASE_PASSWORD", "p:w@d")
    settings = NotifierSettings()
    assert settings.notification_provider == "firebase"
    assert settings.retry.attempts_max == 3
    assert "p:w@d" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("NATTER_DATABASE_URL", "postgresql://natter:secret@db/natter", "NATTER_DATABASE_PASSWORD"),
        ("NATTER_DATABASE_URL", "mysql://db/natter", "postgresql://"),
        ("NATTER_DATABASE_URL", "no url", "postgresql://"),
        ("NATTER_PUSH_TIMEOUT_S", "31", "NATTER_LEASE_S"),
        ("NATTER_RETRY_BASE_S", "7200", "NATTER_RETRY_CAP_S"),
        ("NATTER_INBOX_BATCH", "0", "greater than or equal to 1"),
        ("NATTER_PORT", "http", "integer"),
        ("NOTIFICATION_PROVIDER", "", "at least 1 character"),
    ],
)
def test_what_cannot_work_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    """The message names what to change."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        NotifierSettings()
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("pigeon", "there is no provider 'pigeon'; known are"),
        ("LOGGING", "there is no provider 'LOGGING'"),
        ("logging,logging", "names 'logging' twice"),
        ("logging,pigeon", "'pigeon'"),
        (" , ", "is empty"),
    ],
)
def test_an_unknown_provider_is_refused_with_the_known_ones(names: str, says: str) -> None:
    """Before anything is started, and nothing is chosen instead."""
    with pytest.raises(ConfigError, match=says):
        build_all(names)


def test_logging_is_chosen_by_name() -> None:
    """With spaces around it, too."""
    assert [one.name for one in build_all(" logging ")] == ["logging"]
