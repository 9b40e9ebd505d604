"""Which provider carries a push to which device; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.devices import PushDevice
from contracts.pushes import SkipReason
from notifier.providers.base import Provider


@dataclass(frozen=True, slots=True)
class Routed:
    """A provider and the device that it is to push; None: it finds the user's devices by itself."""

    provider: Provider
    device: PushDevice | None


def route(providers: Sequence[Provider], devices: Sequence[PushDevice]) -> tuple[Routed, ...] | SkipReason:
    """A device goes to the first provider that carries its service's tokens, else to the first that needs none; a user
    without devices to the latter."""
    for_users = next((one for one in providers if not one.services), None)
    if not devices:
        return (Routed(for_users, None),) if for_users is not None else SkipReason.NO_DEVICE
    found = []
    for device in devices:
        provider = next((one for one in providers if device.push_service in one.services), for_users)
        if provider is not None:
            found.append(Routed(provider, device))
    return tuple(found) or SkipReason.NO_PROVIDER
