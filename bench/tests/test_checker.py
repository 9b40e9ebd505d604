"""A run without fault is clean, and every kind of fault that is planted in it is found and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from bench.demo.checker import Accepted, Arrival, Evidence, Verdict, check
from bench.demo.plan import Device, Person

from contracts.delivery import OfflineReason
from contracts.devices import DeviceType
from contracts.ids import new_id
from contracts.pushes import PushRecord, PushState
from contracts.times import now
from kit.tokens import Role


def person(user_id: str, *kinds: DeviceType) -> Person:
    devices = tuple(Device(f"{user_id}-{kind}", user_id, kind, at) for at, kind in enumerate(kinds))
    return Person(user_id, user_id, Role.CUSTOMER, devices)


ANN = person("ann", DeviceType.DESKTOP, DeviceType.MOBILE)
BEN = person("ben", DeviceType.DESKTOP)
CAT = person("cat")
CHAT = new_id()


def message(seq: int, sender: str = "ann", *, important: bool = False) -> Accepted:
    return Accepted(new_id(), CHAT, seq, sender, f"text {seq}", important)


def push(event_id: str, user_id: str, reason: OfflineReason, state: PushState = PushState.SENT) -> PushRecord:
    return PushRecord(id=1, event_id=event_id, user_id=user_id, reason=reason, state=state, received_at=now())


@pytest.fixture
def clean() -> Evidence:
    """Ann (two devices) writes twice, once important; Ben is on a desktop, Cat is away."""
    accepted = [message(2), message(3, important=True), message(4, "ben")]
    arrivals = [Arrival(0.0, f"conversation:{CHAT}", one.seq, one.message_id, one.content) for one in accepted]
    record = [(one.message_id, new_id()) for one in accepted]
    events = [event_id for _, event_id in record]
    return Evidence(
        accepted=accepted,
        members={CHAT: [ANN, BEN, CAT]},
        arrivals={device.device_id: list(arrivals) for device in (*ANN.devices, *BEN.devices)},
        record=record,
        pushes=[
            *(push(event_id, "cat", OfflineReason.NO_CONNECTION) for event_id in events),
            push(events[1], "ben", OfflineReason.IMPORTANT_MOBILE),
        ],
    )


def test_a_clean_run_is_clean(clean: Evidence) -> None:
    """Three messages on three devices, four pushes, and nothing to complain about."""
    verdict = check(clean)
    assert verdict.clean
    assert not verdict.problems
    assert (verdict.sent, verdict.deliveries_expected, verdict.delivered, verdict.pushed) == (3, 9, 9, 4)


def test_a_skipped_push_is_none(clean: Evidence) -> None:
    """The notifier keeps a record of what it decided not to push."""
    skipped = push(clean.record[0][1], "ann", OfflineReason.UNACKNOWLEDGED, PushState.SKIPPED)
    assert check(replace(clean, pushes=[*clean.pushes, skipped])).clean


Plant = Callable[[Evidence], Evidence]
BEN_DESKTOP = BEN.devices[0].device_id


def at_ben(change: Callable[[list[Arrival]], list[Arrival]]) -> Plant:
    return lambda run: replace(run, arrivals={**run.arrivals, BEN_DESKTOP: change(list(run.arrivals[BEN_DESKTOP]))})


def among_pushes(change: Callable[[list[PushRecord], Evidence], list[PushRecord]]) -> Plant:
    return lambda run: replace(run, pushes=change(list(run.pushes), run))


def waiting(run: Evidence) -> PushRecord:
    return push(run.record[0][1], "ben", OfflineReason.UNACKNOWLEDGED, PushState.PENDING)


def counts(verdict: Verdict) -> tuple[int, int, int]:
    return verdict.lost, verdict.duplicated, verdict.out_of_order


@pytest.mark.parametrize(
    ("plant", "expected", "said"),
    [
        pytest.param(at_ben(lambda seen: seen[:-1]), (1, 0, 0), "never got", id="a frame is missing"),
        pytest.param(at_ben(lambda seen: []), (3, 0, 0), "never got", id="a device got nothing"),
        pytest.param(at_ben(lambda seen: [*seen, seen[0]]), (0, 1, 0), "again", id="a frame comes again at the end"),
        pytest.param(at_ben(lambda seen: [seen[0], *seen]), (0, 1, 0), "again", id="a frame comes twice in a row"),
        pytest.param(
            at_ben(lambda seen: [seen[1], seen[0], seen[2]]), (0, 0, 1), "out of order", id="two frames changed places"
        ),
        pytest.param(
            at_ben(lambda seen: [replace(seen[0], seq=1), *seen[1:]]), (0, 0, 1), "out of order", id="a wrong seq"
        ),
        pytest.param(
            at_ben(lambda seen: [replace(seen[0], stream="conversation:other"), *seen[1:]]),
            (0, 0, 1),
            "out of order",
            id="a frame of another stream",
        ),
        pytest.param(
            at_ben(lambda seen: [replace(seen[0], content="锟斤拷"), *seen[1:]]),
            (1, 0, 0),
            "mangled",
            id="another text",
        ),
        pytest.param(
            at_ben(lambda seen: [*seen, replace(seen[0], message_id=new_id(), seq=9)]),
            (0, 1, 0),
            "not for it",
            id="a message of strangers",
        ),
        pytest.param(among_pushes(lambda got, _: got[1:]), (1, 0, 0), "no push to cat", id="a push is missing"),
        pytest.param(
            among_pushes(lambda got, _: got[:-1]), (1, 0, 0), "no push to ben", id="an important push is missing"
        ),
        pytest.param(
            among_pushes(lambda got, _: [got[0].model_copy(update={"state": PushState.PENDING}), *got[1:]]),
            (1, 0, 0),
            "no push to cat",
            id="a push is still waiting",
        ),
        pytest.param(among_pushes(lambda got, _: [*got, got[0]]), (0, 1, 0), "second push", id="a push comes twice"),
        pytest.param(
            among_pushes(lambda got, run: [*got, push(run.record[0][1], "ben", OfflineReason.UNACKNOWLEDGED)]),
            (0, 1, 0),
            "not due",
            id="somebody online gets a push",
        ),
        pytest.param(
            among_pushes(lambda got, run: [*got, push(run.record[1][1], "ann", OfflineReason.IMPORTANT_MOBILE)]),
            (0, 1, 0),
            "not due",
            id="the sender gets a push",
        ),
        pytest.param(
            among_pushes(lambda got, _: [*got, push(new_id(), "cat", OfflineReason.NO_CONNECTION)]),
            (0, 1, 0),
            "not due",
            id="a push for no message",
        ),
        pytest.param(
            among_pushes(lambda got, run: [*got, waiting(run)]),
            (0, 1, 0),
            "none is due",
            id="a push that is not due waits",
        ),
        pytest.param(
            lambda run: replace(run, record=[*run.record, (new_id(), new_id())]),
            (0, 1, 0),
            "record",
            id="recorded twice",
        ),
    ],
)
def test_a_planted_fault_is_found(clean: Evidence, plant: Plant, expected: tuple[int, int, int], said: str) -> None:
    """Each fault is counted once, under its kind, and described."""
    verdict = check(plant(clean))
    assert counts(verdict) == expected
    assert not verdict.clean
    assert any(said in problem for problem in verdict.problems)


def test_a_message_that_is_not_in_the_record_is_lost(clean: Evidence) -> None:
    """Its push cannot be matched either: two complaints, one for the record, one for the push."""
    verdict = check(replace(clean, record=clean.record[1:]))
    assert verdict.lost == 2
    assert any("not in the record" in problem for problem in verdict.problems)


def test_each_kind_of_fault_is_described_a_few_times(clean: Evidence) -> None:
    """A disaster does not fill the screen, and does not hide another kind of fault; all of it is counted."""
    accepted = [message(seq) for seq in range(2, 102)]
    record = [(one.message_id, new_id()) for one in accepted]
    verdict = check(Evidence(accepted, {CHAT: [ANN, BEN, CAT]}, {}, record, []))
    assert verdict.lost == 100 * (3 + 1)
    assert {problem.partition(":")[0] for problem in verdict.problems} == {"lost", "push lost"}
    assert len(verdict.problems) == 8
