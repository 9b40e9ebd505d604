"""The way from each device to the edges and the API: a proxy each, so that one device or everybody can lose the net."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from stack import FaultProxy, Stack

from .kinds import API, CLIENT, EDGES, link_target
from .plan import DEVICES_MAX, PEOPLE, Away

Weather = Callable[[FaultProxy], None]
"""Does to a proxy what is wrong with it."""

DOORS = PEOPLE * DEVICES_MAX


@dataclass
class Door:
    """One device's proxies by the part behind them, and whether the device itself is off the net."""

    proxies: dict[str, FaultProxy]
    away: Away | None = None

    @property
    def api_url(self) -> str:
        """Where this device finds the API."""
        return f"http://127.0.0.1:{self.proxies[API].port}"

    @property
    def socket_urls(self) -> list[str]:
        """Where this device finds the edges."""
        return [f"ws://127.0.0.1:{self.proxies[edge].port}/v1/ws" for edge in EDGES]


class Doors:
    """As many doors as a run can have devices, and one for who has none. They serve one run after the other."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._open = contextlib.AsyncExitStack()
        self._doors: list[Door] = []
        self._weather: dict[str, Weather] = {}

    async def __aenter__(self) -> Self:
        try:
            for _ in range(DOORS + 1):
                proxies = {}
                for name in (API, *EDGES):
                    part = self._stack.part(name)
                    proxies[name] = await self._open.enter_async_context(FaultProxy(part.host, part.port))
                self._doors.append(Door(proxies))
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    def of_device(self, index: int) -> Door:
        """The door of the device with that number in its run."""
        return self._doors[index]

    @property
    def of_nobody(self) -> Door:
        """For sends without a device."""
        return self._doors[-1]

    def leave(self, door: Door, how: Away) -> None:
        """Take one device off the net."""
        door.away = how
        self._apply(door)

    def come_back(self, door: Door) -> None:
        """Give it back its net."""
        door.away = None
        self._apply(door)

    def change(self, target: str, weather: Weather | None) -> None:
        """From now on the way of all clients to `target` (`client→edge-1`) is like that; None: as it should be."""
        if weather is None:
            self._weather.pop(target, None)
        else:
            self._weather[target] = weather
        for door in self._doors:
            self._apply(door, only=target)

    def heal(self) -> None:
        """Everything is as it should be, for everybody."""
        self._weather.clear()
        for door in self._doors:
            door.away = None
            self._apply(door)

    def _apply(self, door: Door, only: str | None = None) -> None:
        for name, proxy in door.proxies.items():
            target = link_target(CLIENT, name)
            if only not in (None, target):
                continue
            if door.away is Away.SILENT:
                proxy.stall()
            elif door.away is not None:
                proxy.cut()
            elif (weather := self._weather.get(target)) is not None:
                weather(proxy)
            else:
                proxy.heal()
