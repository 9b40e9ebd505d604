"""The ways to a device, by the name that `NOTIFICATION_PROVIDER` chooses.

A new provider is a folder beside `logging` (client, payload, errors, settings) and one line in `FACTORIES`; nothing
else in the notifier changes.
"""

from __future__ import annotations

from collections.abc import Callable

from notifier.errors import ConfigError
from notifier.providers.base import Provider
from notifier.providers.logging.client import LoggingProvider
from notifier.providers.logging.settings import LoggingSettings

FACTORIES: dict[str, Callable[[], Provider]] = {
    "logging": lambda: LoggingProvider(LoggingSettings()),
}


def build(name: str) -> Provider:
    """The provider of that name, with its settings from the environment; raises `ConfigError`."""
    try:
        factory = FACTORIES[name]
    except KeyError:
        raise ConfigError(
            f"NOTIFICATION_PROVIDER={name!r}: this release knows only {', '.join(sorted(FACTORIES))}"
        ) from None
    return factory()
