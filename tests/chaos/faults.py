"""What each kind of fault does to the world, and how it is undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from stack import FaultProxy
from stack.nats import NatsServer

from .doors import Weather
from .kinds import BY_NAME, CLIENT
from .plan import Fault, Plan
from .world import World

_ROOM_BYTES_MAX = 60_000
"""Room in a full stream, for up to some dozens of events."""
_LATE_S = (0.05, 0.4)

Step = Callable[[World, Plan, Fault], Awaitable[None]]


async def inject(world: World, plan: Plan, fault: Fault) -> None:
    """Break it. Raises StackError if that cannot be done."""
    await _STEPS[fault.kind][0](world, plan, fault)


async def heal(world: World, plan: Plan, fault: Fault) -> None:
    """Undo it; returns when the part runs again. Raises StackError if it does not."""
    await _STEPS[fault.kind][1](world, plan, fault)


async def _kill(world: World, _plan: Plan, fault: Fault) -> None:
    await world.stack.part(fault.target).kill()


async def _start(world: World, _plan: Plan, fault: Fault) -> None:
    await world.stack.part(fault.target).start()


async def _freeze(world: World, _plan: Plan, fault: Fault) -> None:
    await world.stack.part(fault.target).suspend()


async def _thaw(world: World, _plan: Plan, fault: Fault) -> None:
    await world.stack.part(fault.target).resume()


async def _terminate(world: World, _plan: Plan, fault: Fault) -> None:
    await world.stack.part(fault.target).terminate()


async def _kill_and_wipe(world: World, _plan: Plan, fault: Fault) -> None:
    nats = world.stack.part(fault.target)
    assert isinstance(nats, NatsServer), "only the embedded NATS can be wiped"
    await nats.kill()
    await nats.wipe()


async def _fill(world: World, _plan: Plan, fault: Fault) -> None:
    await world.fill_streams(int(_ROOM_BYTES_MAX * fault.variant))


async def _empty(world: World, _plan: Plan, _fault: Fault) -> None:
    await world.empty_disk()


async def _jump(world: World, plan: Plan, fault: Fault) -> None:
    for device in plan.jumping:
        world.jumps[device] = float(fault.target)


async def _jump_back(world: World, _plan: Plan, _fault: Fault) -> None:
    world.jumps.clear()


async def _break_connection(weather: Callable[[Fault, FaultProxy], None], world: World, _: Plan, fault: Fault) -> None:
    _change(world, fault.target, partial(weather, fault))


async def _heal_connection(world: World, _plan: Plan, fault: Fault) -> None:
    _change(world, fault.target, None)


def _change(world: World, target: str, weather: Weather | None) -> None:
    near, _, far = target.partition("→")
    if near == CLIENT:
        world.doors.change(target, weather)
    elif weather is None:
        world.stack.link(near, far).heal()
    else:
        weather(world.stack.link(near, far))


def _cut(_fault: Fault, proxy: FaultProxy) -> None:
    proxy.cut()


def _half_open(fault: Fault, proxy: FaultProxy) -> None:
    proxy.stall("both" if fault.variant < 0.5 else "up" if fault.variant < 0.75 else "down")


def _delay(fault: Fault, proxy: FaultProxy) -> None:
    least, most = _LATE_S
    late_s = least + (most - least) * fault.variant
    proxy.delay(late_s / 2, jitter_s=late_s / 2)


def _steps() -> dict[str, tuple[Step, Step]]:
    by_word: dict[str, tuple[Step, Step]] = {
        "kill": (_kill, _start),
        "freeze": (_freeze, _thaw),
        "restart": (_terminate, _start),
        "wipe": (_kill_and_wipe, _start),
        "cut": (partial(_break_connection, _cut), _heal_connection),
        "half-open": (partial(_break_connection, _half_open), _heal_connection),
        "delay": (partial(_break_connection, _delay), _heal_connection),
        "full": (_fill, _empty),
        "clock": (_jump, _jump_back),
    }
    return {name: by_word[name.split()[0]] for name in BY_NAME if name != "none"}


_STEPS = _steps()
