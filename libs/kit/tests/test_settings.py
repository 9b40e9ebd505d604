"""Settings that every service shares."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from kit.settings import DEVELOPMENT_SECRET, DatabaseSettings, ServiceSettings


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the surroundings set is no part of these tests."""
    import os

    for name in list(os.environ):
        if name.startswith("NATTER_"):
            monkeypatch.delenv(name)


def test_defaults_run_on_a_laptop() -> None:
    """Nothing needs to be set for development."""
    settings = DatabaseSettings()
    assert settings.env == "development"
    assert settings.host == "127.0.0.1"


def test_production_refuses_the_published_secret() -> None:
    """A secret that everybody can read on the internet protects nothing."""
    with pytest.raises(ValidationError, match="NATTER_JWT_SECRET"):
        ServiceSettings(env="production")
    assert ServiceSettings(env="production", jwt_secret="x" * 32).env == "production"


@pytest.mark.parametrize("name", ["nats_password", "database_password"])
def test_production_refuses_published_passwords(name: str) -> None:
    """The passwords that docker-compose.yml uses where nobody has set any."""
    published = {"jwt_secret": "x" * 32, name: "natter-development-anything"}
    with pytest.raises(ValidationError, match=f"NATTER_{name.upper()}"):
        DatabaseSettings.model_validate({"env": "production", **published})
    assert DatabaseSettings.model_validate({"env": "development", **published}).env == "development"


@pytest.mark.parametrize("env", ["development", "production"])
def test_short_secrets_are_refused(env: str) -> None:
    """HS256 is as strong as its key."""
    with pytest.raises(ValidationError, match="32 bytes"):
        ServiceSettings(env=env, jwt_secret="x" * 31)


def test_secrets_count_bytes() -> None:
    """Sixteen two-byte characters are enough."""
    assert ServiceSettings(jwt_secret="é" * 16).jwt_secret.get_secret_value() == "é" * 16


def test_environment_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of the environment are the fields' with NATTER_ in front."""
    monkeypatch.setenv("NATTER_PORT", "9999")
    monkeypatch.setenv("NATTER_DATABASE_POOL_SIZE", "3")
    settings = DatabaseSettings()
    assert (settings.port, settings.database_pool_size) == (9999, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NATTER_PORT", "65536"),
        ("NATTER_PORT", "http"),
        ("NATTER_ENV", "staging"),
        ("NATTER_LOG_LEVEL", "LOUD"),
        ("NATTER_DATABASE_POOL_SIZE", "0"),
        ("NATTER_DATABASE_TIMEOUT_S", "0"),
    ],
)
def test_nonsense_is_refused_at_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A service does not start with a setting that it cannot keep."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        DatabaseSettings()


def test_settings_are_frozen() -> None:
    """Nobody changes a setting while the service runs."""
    settings = ServiceSettings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_secrets_do_not_show() -> None:
    """A settings object may be logged."""
    settings = DatabaseSettings(database_password="hunter2-hunter2", nats_password="hunter2-hunter2")
    assert "hunter2" not in repr(settings)
    assert DEVELOPMENT_SECRET not in repr(settings)
