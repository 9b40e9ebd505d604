"""`python -m tests.fuzz`: attack a fresh stack over sockets and over HTTP; exit 0 only if nothing is found."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from . import frames, http
from .http import Found, Ids
from .known import known
from .place import Place, calm, hurried, open_place

FRAMES_PER_MINUTE = 10_000
RSS_GROWTH_BYTES_MAX = 64 * 1024 * 1024
WARM_UP_FRAMES = 2_000

console = Console()


def main() -> int:
    """Parse the command line and run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to attack HTTP (all roles together)")
    parser.add_argument("--frames", type=int, help=f"frames to send; {FRAMES_PER_MINUTE:,} per minute if not given")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same")
    parser.add_argument("--only", choices=("frames", "http"), help="one half alone")
    given = parser.parse_args()
    count = given.frames if given.frames is not None else int(given.minutes * FRAMES_PER_MINUTE)
    return asyncio.run(_run(given.seed, count, given.minutes, given.only))


async def _run(seed: int, count: int, minutes: float, only: str | None) -> int:
    # Each role twice, and once in a hurry.
    seconds = int(minutes * 60 / (2 * len(http.ROLES) + 1))
    good = True
    console.print("starting a stack", style="dim")
    async with open_place() as place:
        if only != "http":
            good = await _frames(place, seed, count)
        if only != "frames":
            good = await _http(place, seed, seconds) and good
    if only != "frames":
        good = await _hurried(seed, seconds) and good
    console.print("nothing found" if good else "something was found", style="green" if good else "red")
    return 0 if good else 1


async def _frames(place: Place, seed: int, count: int) -> bool:
    """Play hostile frames; the edge's memory is looked at after the first few thousand, and at the end."""
    tally = frames.Tally()
    sockets, files = place.edge.sockets(), place.edge.open_files()
    warm = min(WARM_UP_FRAMES, count // 2)
    began = time.monotonic()
    with tqdm(total=count, unit="frame", desc="socket", mininterval=1.0) as bar:

        def progress(sent: int) -> None:
            bar.update(min(sent, count) - bar.n)

        await frames.play(place.attackers, frames=warm, seed=seed, tally=tally, progress=progress)
        rss = place.edge.rss_bytes()
        await frames.play(place.attackers, frames=count, seed=seed + 1, tally=tally, progress=progress)
    took_s = time.monotonic() - began
    growth = place.edge.rss_bytes() - rss
    quiet = await calm(place.edge, sockets, files)
    table = Table(title=f"{tally.frames:,} frames in {tally.dialogues:,} sockets, {took_s:.0f} s", title_justify="left")
    table.add_column("answer or close")
    table.add_column("times", justify="right")
    for name, times in tally.answers.most_common():
        table.add_row(name, f"{times:,}")
    for code, times in tally.closes.most_common():
        table.add_row(f"close {code}", f"{times:,}")
    console.print(table)
    for wrong in tally.wrong:
        console.print(wrong, style="red", markup=False)
    console.print(f"memory grew by {growth / 2**20:.1f} MiB after the first {warm:,} frames")
    if not quiet:
        console.print(f"the edge holds {place.edge.sockets()} sockets, {sockets} before", style="red")
    await place.still_well()
    return not tally.wrong and quiet and growth < RSS_GROWTH_BYTES_MAX


async def _http(place: Place, seed: int, seconds: int) -> bool:
    """schemathesis, as each role in turn: with ids that exist, and with whatever comes."""
    good = True
    for role in http.ROLES:
        async with known(place.world, role) as things:
            for ids in Ids:
                console.print(f"HTTP as {role}, {ids.value}", style="bold")
                found = await http.attack(
                    place.world.stack.api_url, things, ids, seed=seed, examples_max=10_000, seconds=seconds, shown=True
                )
                good = _told(found) and good
    await place.still_well()
    return good


async def _hurried(seed: int, seconds: int) -> bool:
    """The same as a customer for whom the limits on how often HTTP may be asked are in force."""
    console.print("HTTP in a hurry: a stack with rate limits", style="bold")
    async with open_place(hurried(per_s=5.0)) as place, known(place.world, "customer", signing_in=False) as things:
        url = place.world.stack.api_url
        found = await http.attack(url, things, Ids.MANY, seed=seed, examples_max=10_000, seconds=seconds, shown=True)
        await place.still_well()
    return _told(found) and found.answers[429] > 0


def _told(found: Found) -> bool:
    answers = ", ".join(f"{status} {times:,} times" for status, times in sorted(found.answers.items()))
    console.print(f"answered: {answers}")
    return found.status == 0


if __name__ == "__main__":
    sys.exit(main())
