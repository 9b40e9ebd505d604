"""Who used the processor between two moments: ours by name, and everybody else on the machine."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

DRIVER = "driver"
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Moment:
    """CPU seconds used so far."""

    at: float
    by_name: Mapping[str, float]
    machine: float


def moment(pids: Mapping[str, int]) -> Moment:
    """Now: each process with the processes it started, this one as `driver`."""
    used = {name: sum(_seconds(process) for process in _family(pid)) for name, pid in pids.items()}
    used[DRIVER] = _seconds(psutil.Process(os.getpid()))
    times = psutil.cpu_times()
    # Linux counts a guest's time as user time, too; iowait is idle.
    busy = times.user + times.system + times.nice + getattr(times, "irq", 0.0) + getattr(times, "softirq", 0.0)
    return Moment(time.monotonic(), used, busy)


def cores_between(before: Moment, after: Moment) -> dict[str, float]:
    """Cores in use on average, by name, and those that `others` used."""
    seconds = max(after.at - before.at, 1e-9)
    cores = {name: (after.by_name[name] - before.by_name.get(name, 0.0)) / seconds for name in after.by_name}
    cores[OTHERS] = max(0.0, (after.machine - before.machine) / seconds - sum(cores.values()))
    return {name: round(value, 2) for name, value in cores.items()}


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def _seconds(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
