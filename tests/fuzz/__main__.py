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
from .place import Place, calm, open_place

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
    console.print("starting a stack", style="dim")
    async with open_place() as place:
        good = True
        if only != "http":
            good = await _frames(place, seed, count)
        if only != "frames":
            good = await _http(place, seed, minutes) and good
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


async def _http(place: Place, seed: int, minutes: float) -> bool:
    """schemathesis, a third of the time in each role: with ids that exist, and with whatever comes."""
    stack = place.world.stack
    good = True
    for role in http.ROLES:
        user = await place.world.person(role, roles=(role,))
        token = stack.token(user.user_id, roles=(role,), ttl_s=86_400)
        for known in (await place.known(user), None):
            console.print(f"HTTP as {role}, {'with ids that exist' if known else 'with any ids'}", style="bold")
            found = await http.attack(
                stack.api_url,
                token,
                role,
                seed=seed,
                examples_max=10_000,
                seconds=int(minutes * 60 / len(http.ROLES) / 2),
                known=known,
                shown=True,
            )
            good = found.status == 0 and good
    await place.still_well()
    return good


if __name__ == "__main__":
    sys.exit(main())
