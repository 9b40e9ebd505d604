"""The operator's commands, on real Postgres."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from contracts.codec import encode
from contracts.pushes import PushState
from notifier import dead_letters
from notifier.__main__ import parser
from notifier.deliveries import about
from notifier.providers.base import PermanentPushError
from notifier.settings import NotifierSettings
from notifier.store import Incoming, Store
from notifier.testing import RecordingProvider

from .support import Bench, envelope, message, offline


async def command(settings: NotifierSettings, *words: str) -> list[str]:
    """What `notifier dead …` prints."""
    lines: list[str] = []
    await dead_letters.run(settings, parser().parse_args(["dead", *words]), lines.append)
    return lines


@pytest.fixture
async def dead(store: Store, benches: Callable[..., Bench]) -> list[int]:
    """Three dead deliveries, of alice, carol and alice; and one of dave that was sent."""
    bench = benches(RecordingProvider(failures=[PermanentPushError("no such \x1b[31mtoken")] * 3))
    for user_id in ("alice", "carol", "alice", "dave"):
        told = message()
        given = offline(user_id, envelope(told))
        await store.take_in([Incoming(given, encode(given).decode(), about(told))], [])
        assert await bench.round() == 1
    return [row.id for row in await store.pushes(state=PushState.DEAD)]


async def test_list_shows_exactly_what_is_dead(settings: NotifierSettings, dead: list[int]) -> None:
    """A line each with the error, escape characters made harmless; by user, by provider, or whole as JSON."""
    head, *rows, end = await command(settings, "list")
    assert head.split() == ["ID", "SETTLED", "USER", "PROVIDERS", "TRIES", "ERROR"]
    assert [int(row.split()[0]) for row in rows] == dead
    assert all("no such ?[31mtoken" in row for row in rows)
    assert end == "3 dead"
    assert (await command(settings, "list", "--user", "alice"))[-1] == "2 dead"
    assert (await command(settings, "list", "--provider", "pigeon"))[-1] == "nothing is dead"
    assert [json.loads(line)["id"] for line in await command(settings, "list", "--json")] == dead


async def test_replay_and_drop_say_how_many(settings: NotifierSettings, store: Store, dead: list[int]) -> None:
    """Ids that are not dead are told, and change nothing."""
    assert await command(settings, "drop", str(dead[0]), "999999") == ["1 dropped", "1 of these ids were not dead"]
    assert await command(settings, "replay", str(dead[1])) == ["1 due again"]
    assert await command(settings, "replay", "--all") == ["1 due again"]
    assert await command(settings, "list") == ["nothing is dead"]
    states = [row.state for row in await store.pushes()]
    assert states == [PushState.SKIPPED, PushState.PENDING, PushState.PENDING, PushState.SENT]


@pytest.mark.parametrize(
    "words", [["dead"], ["dead", "replay"], ["dead", "drop", "x"], ["dead", "replay", "--all", "1"]]
)
def test_a_command_that_is_not_clear_does_nothing(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is replayed by leaving something out."""
    with pytest.raises(SystemExit) as refused:
        parser().parse_args(words)
    assert refused.value.code == 2
    assert "usage:" in capsys.readouterr().err
