"""What kinds of device there are."""

from __future__ import annotations

from enum import StrEnum


class DeviceType(StrEnum):
    """What kind of device a socket belongs to."""

    MOBILE = "mobile"
    DESKTOP = "desktop"
    TABLET = "tablet"
