"""The ways to a device, by the names that `NOTIFICATION_PROVIDER` chooses.

A new provider is a folder beside `logging` (client, payload, errors, settings) and one line in `PROVIDERS`; nothing
else in the notifier changes. A folder is imported only when it is chosen.
"""

from __future__ import annotations

from importlib import import_module

from notifier.errors import ConfigError
from notifier.providers.base import Provider

PROVIDERS = ("logging", "stub", "webhook", "fcm", "apns", "webpush", "jpush", "getui", "umeng")
"""Each has a function `from_environment` in its `client`."""

ALIASES = {"firebase": "fcm"}


def build_all(names: str) -> tuple[Provider, ...]:
    """The providers of a list with commas, in its order, each with its settings from the environment.

    Raises `ConfigError`: a name that is unknown or comes twice, or settings that are missing.
    """
    chosen = [ALIASES.get(name, name) for name in (one.strip() for one in names.split(",")) if name]
    known = ", ".join(sorted((*PROVIDERS, *ALIASES)))
    if not chosen:
        raise ConfigError(f"NOTIFICATION_PROVIDER is empty; known are {known}")
    for name in chosen:
        if name not in PROVIDERS:
            raise ConfigError(f"NOTIFICATION_PROVIDER: there is no provider {name!r}; known are {known}")
        if chosen.count(name) > 1:
            raise ConfigError(f"NOTIFICATION_PROVIDER names {name!r} twice")
    return tuple(_build(name, alone=len(chosen) == 1) for name in chosen)


def _build(name: str, *, alone: bool) -> Provider:
    make = import_module(f"notifier.providers.{name}.client").from_environment
    # The only provider is the stub: then it is what users without a device have, too.
    provider: Provider = make(alone=alone) if name == "stub" else make()
    return provider
