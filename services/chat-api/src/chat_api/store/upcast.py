"""Stored events to the classes of this release: what an old release wrote is brought up to date version by version.

The record is never changed, so the steps from every version that was ever written stay here for ever. How a version is
retired: docs/decisions/0014-rebuild.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from pydantic import ValidationError

from contracts.errors import Undecodable, UnknownEvent
from contracts.events import EventData, event_class

Step: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""The data of one version as that of the next one."""

STEPS: Mapping[tuple[str, int], Step] = {}
"""By type and the version that is left behind. Every event is at its first version today."""


def upcast(
    event_type: str, version: int, data: dict[str, Any], steps: Mapping[tuple[str, int], Step] = STEPS
) -> EventData:
    """Stored data as the class of its type's current version.

    Raises `UnknownEvent` for a type or version that neither this release nor a step knows, and `Undecodable` for data
    that is not what its version says.
    """
    current = version
    while (step := steps.get((event_type, current))) is not None:
        data = step(data)
        current += 1
    try:
        cls = event_class(event_type, current)
    except UnknownEvent:
        way = f" (brought up to {current})" if current != version else ""
        raise UnknownEvent(
            f"event {event_type!r} version {version}{way} is unknown to this release: a later one wrote it, or the step"
            " from it is missing in chat_api.store.upcast"
        ) from None
    try:
        return cls.model_validate(data)
    except ValidationError as invalid:
        fields = ", ".join(sorted({".".join(map(str, error["loc"])) for error in invalid.errors(include_input=False)}))
        raise Undecodable(f"event {event_type!r} version {version} does not fit its class: {fields}") from None
