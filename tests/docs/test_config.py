"""docs/config.md lists every environment variable with its default and unit, and none that does not exist."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from chat_api.settings import ChatApiSettings
from kit.settings import DEVELOPMENT_SECRET, DatabaseSettings, ServiceSettings
from notifier.providers.apns.settings import ApnsSettings
from notifier.providers.fcm.settings import FcmSettings
from notifier.providers.getui.settings import GetuiSettings
from notifier.providers.jpush.settings import JPushSettings
from notifier.providers.logging.settings import LoggingSettings
from notifier.providers.stub.settings import StubSettings
from notifier.providers.umeng.settings import UmengSettings
from notifier.providers.webhook.settings import WebhookSettings
from notifier.providers.webpush.settings import WebPushSettings
from notifier.settings import NotifierSettings
from stack.dev import DEFAULT_PORTS
from ws_edge.settings import EdgeSettings

from .pages import ROOT, plain, rows, section

PAGE = (ROOT / "docs" / "config.md").read_text()

SECTIONS: dict[str, tuple[type[BaseSettings], ...]] = {
    "Every service": (ServiceSettings,),
    "Postgres: chat-api and notifier": (DatabaseSettings,),
    "chat-api": (ChatApiSettings,),
    "ws-edge": (EdgeSettings,),
    "notifier": (
        NotifierSettings,
        LoggingSettings,
        StubSettings,
        WebhookSettings,
        FcmSettings,
        ApnsSettings,
        WebPushSettings,
        JPushSettings,
        GetuiSettings,
        UmengSettings,
    ),
}
UNITS = {"_s": "s", "_ms": "ms", "_bytes_max": "bytes"}


def variable(settings: type[BaseSettings], name: str, field: FieldInfo) -> str:
    """The name that the documentation gives to a field: its first alias, or the prefix and the field's name."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = alias.choices[0]
    if alias is not None:
        assert isinstance(alias, str)
        return alias.upper()
    return (settings.model_config.get("env_prefix", "") + name).upper()


def default(field: FieldInfo) -> str:
    """A default as it stands in the documentation."""
    value: Any = field.default
    if value is PydanticUndefined:
        return "generated"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", ()):
        return "none"
    if value == DEVELOPMENT_SECRET:
        return "published development secret"
    return f"{value:g}" if isinstance(value, float) else str(value)


def expected(heading: str) -> dict[str, tuple[str, str | None]]:
    """Default and unit by variable; the unit where the field's name tells it."""
    found: dict[str, tuple[str, str | None]] = {}
    for settings in SECTIONS[heading]:
        # What a class inherits stands in its base's table.
        for name in inspect.get_annotations(settings).keys() & settings.model_fields.keys():
            field = settings.model_fields[name]
            if settings is LoggingSettings and name in ServiceSettings.model_fields:
                continue
            # A rate is so many of something in a second; of what, the table says.
            ends = () if name.endswith("_per_s") else UNITS.items()
            unit = next((unit for end, unit in ends if name.endswith(end)), None)
            found[variable(settings, name, field)] = (default(field), unit)
    return found


@pytest.mark.parametrize("heading", list(SECTIONS))
def test_every_setting_has_its_row(heading: str) -> None:
    """Each field of the settings classes, with its default and the unit that its name ends in; and no other row."""
    documented = {plain(row[0]): (plain(row[1]), plain(row[2])) for row in rows(section(PAGE, heading))}
    wanted = expected(heading)
    assert sorted(documented) == sorted(wanted)
    for name, (value, unit) in wanted.items():
        assert documented[name][0] == value, f"default of {name}"
        if unit is not None:
            assert documented[name][1] == unit, f"unit of {name}"


@pytest.mark.parametrize("heading", list(SECTIONS))
def test_every_row_says_something(heading: str) -> None:
    """Name, default, unit, and a sentence."""
    for row in rows(section(PAGE, heading)):
        assert len(row) == 4, row
        assert len(row[3]) > 15, row


def test_ports_of_make_dev() -> None:
    """Each part of the development stack has a variable for its port."""
    documented = {plain(row[0]): plain(row[1]) for row in rows(section(PAGE, "make dev and the tests"))}
    wanted = {f"NATTER_DEV_{part.upper().replace('-', '_')}_PORT": str(port) for part, port in DEFAULT_PORTS.items()}
    assert {name: value for name, value in documented.items() if name.startswith("NATTER_DEV_")} == wanted


def test_what_compose_takes_from_its_environment() -> None:
    """Every `${NAME:-default}` of docker-compose.yml."""
    compose = (ROOT / "docker-compose.yml").read_text()
    wanted = {
        name: "published development secret" if value == DEVELOPMENT_SECRET else value or "none"
        for name, value in re.findall(r"\$\{(\w+):-([^}]*)\}", compose)
    }
    documented = {plain(row[0]): plain(row[1]) for row in rows(section(PAGE, "docker compose"))}
    assert documented == wanted
