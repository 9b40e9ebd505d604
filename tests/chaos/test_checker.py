"""The checker finds each kind of fault when it is planted, and nothing in a clean run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from .checker import check
from .evidence import Accepted, DeviceSeen, Evidence, Heal, PushRow, Recorded, Shown
from .verdict import (
    DUPLICATED,
    FINDINGS,
    LOST,
    MISSING_PUSH,
    OUT_OF_ORDER,
    PHANTOM,
    SECOND_PUSH,
    STUCK,
    WRONG_PUSH,
)

CHAT = "conversation:c"
T0 = 1000.0
ACK_TIMEOUT_S = 2.0


def message(seq: int, sender: str = "anna", *, important: bool = False) -> Recorded:
    """The message with that seq, recorded `seq` seconds after the start."""
    data = {"content": f"m{seq}", "sender_id": sender, "is_important": important}
    return Recorded(f"e{seq}", CHAT, seq, "message.created", T0 + seq, data)


def event(seq: int, kind: str, **data: object) -> Recorded:
    """Another event of the conversation."""
    return Recorded(f"e{seq}", CHAT, seq, kind, T0 + seq, data)


def shown(row: Recorded, *, late_s: float = 0.1) -> Shown:
    """An event as a device shows it."""
    return Shown(row.at + late_s, row.stream, row.seq, row.type, row.content)


def pushed(row: Recorded, user_id: str, *, late_s: float = 2.1, reason: str = "no_connection") -> PushRow:
    """A push of a message."""
    return PushRow(row.event_id, user_id, "sent", reason, row.at + late_s)


CREATED = event(1, "conversation.created", owner_id="anna", participant_ids=["ben", "carl"])
MESSAGES = [message(seq) for seq in range(2, 8)]
RECORD = [CREATED, *MESSAGES]


def device(name: str, user_id: str, **fields: object) -> DeviceSeen:
    """A device that is there from the first message to the end and shows everything."""
    seen = DeviceSeen(
        name,
        user_id,
        shown=[shown(row) for row in MESSAGES],
        frames={(row.stream, row.seq): row.at + 0.1 for row in MESSAGES},
        complete_since=T0 + 1.5,
        present_at_end=True,
        caught_up=True,
        sockets=[(T0, T0 + 100)],
    )
    for field, value in fields.items():
        setattr(seen, field, value)
    return seen


def clean() -> Evidence:
    """Anna talks, Ben is there with two devices, Carl is away and gets pushes."""
    return Evidence(
        devices=[device("anna-1", "anna"), device("ben-1", "ben"), device("ben-2", "ben")],
        record=list(RECORD),
        sent=frozenset(str(row.content) for row in MESSAGES),
        accepted=[Accepted(row.at, "anna", CHAT, row.seq, str(row.content)) for row in MESSAGES],
        unanswered=(),
        refused=(),
        pushes=[pushed(row, "carl") for row in MESSAGES],
        provider_pushes={(str(row.content), "carl"): 1 for row in MESSAGES},
        heals=(),
        ack_timeout_s=ACK_TIMEOUT_S,
        pushes_may_repeat=False,
    )


def ben(evidence: Evidence) -> DeviceSeen:
    """Ben's first device."""
    return evidence.devices[1]


def test_a_clean_run_is_clean() -> None:
    """Nothing is found where nothing is wrong, and messages are counted."""
    verdict = check(clean())
    assert verdict.clean, verdict.words
    assert verdict.messages == len(MESSAGES)


def lose_at_a_device(evidence: Evidence) -> Evidence:
    del ben(evidence).shown[-1]
    return evidence


def pass_over_at_an_absent_device(evidence: Evidence) -> Evidence:
    ben(evidence).present_at_end = False
    del ben(evidence).shown[2]
    return evidence


def lose_in_the_record(evidence: Evidence) -> Evidence:
    gone = evidence.record[-1]
    for one in evidence.devices:
        one.shown = [row for row in one.shown if row.seq != gone.seq]
    return replace(evidence, record=evidence.record[:-1], pushes=evidence.pushes[:-1])


def record_another_text(evidence: Evidence) -> Evidence:
    changed = replace(MESSAGES[-1], data={**MESSAGES[-1].data, "content": "m2"})
    return replace(evidence, record=[*evidence.record[:-1], changed])


def show_twice(evidence: Evidence) -> Evidence:
    ben(evidence).shown.append(ben(evidence).shown[-1])
    return evidence


def record_twice(evidence: Evidence) -> Evidence:
    again = replace(message(8), data=MESSAGES[-1].data)
    for one in evidence.devices:
        one.shown.append(shown(again))
    return replace(evidence, record=[*evidence.record, again], pushes=[*evidence.pushes, pushed(again, "carl")])


def swap(evidence: Evidence) -> Evidence:
    seen = ben(evidence).shown
    seen[1], seen[2] = seen[2], seen[1]
    return evidence


def show_what_is_not_recorded(evidence: Evidence) -> Evidence:
    ben(evidence).shown.append(shown(message(9)))
    return evidence


def show_another_text(evidence: Evidence) -> Evidence:
    ben(evidence).shown[-1] = replace(ben(evidence).shown[-1], content="what?")
    return evidence


def show_to_a_stranger(evidence: Evidence) -> Evidence:
    seen = device("eve-1", "eve", shown=[shown(MESSAGES[0])])
    return replace(evidence, devices=[*evidence.devices, seen])


def record_what_nobody_sent(evidence: Evidence) -> Evidence:
    return replace(evidence, sent=evidence.sent - {"m3"})


def leave_unanswered(evidence: Evidence) -> Evidence:
    return replace(evidence, unanswered=("m99",))


def refuse(evidence: Evidence) -> Evidence:
    return replace(evidence, refused=("m99: forbidden",))


def never_catch_up(evidence: Evidence) -> Evidence:
    ben(evidence).caught_up = False
    return evidence


def push_what_was_delivered(evidence: Evidence) -> Evidence:
    late = pushed(MESSAGES[0], "ben", late_s=0.1 + ACK_TIMEOUT_S + 1.1, reason="unacknowledged")
    return replace(evidence, pushes=[*evidence.pushes, late])


def push_to_the_sender(evidence: Evidence) -> Evidence:
    return replace(evidence, pushes=[*evidence.pushes, pushed(MESSAGES[0], "anna")])


def push_to_a_stranger(evidence: Evidence) -> Evidence:
    return replace(evidence, pushes=[*evidence.pushes, pushed(MESSAGES[0], "eve")])


def push_of_nothing(evidence: Evidence) -> Evidence:
    return replace(evidence, pushes=[*evidence.pushes, pushed(message(9), "carl")])


def push_not(evidence: Evidence) -> Evidence:
    return replace(evidence, pushes=evidence.pushes[1:])


def push_pending(evidence: Evidence) -> Evidence:
    return replace(evidence, pushes=[replace(evidence.pushes[0], state="pending"), *evidence.pushes[1:]])


def push_rows_twice(evidence: Evidence) -> Evidence:
    return replace(evidence, pushes=[*evidence.pushes, evidence.pushes[0]])


def push_twice(evidence: Evidence) -> Evidence:
    return replace(evidence, provider_pushes={**evidence.provider_pushes, ("m2", "carl"): 2})


PLANTED: list[tuple[Callable[[Evidence], Evidence], str]] = [
    (lose_at_a_device, LOST),
    (pass_over_at_an_absent_device, LOST),
    (lose_in_the_record, LOST),
    (show_twice, DUPLICATED),
    (record_twice, DUPLICATED),
    (swap, OUT_OF_ORDER),
    (show_what_is_not_recorded, PHANTOM),
    (show_another_text, PHANTOM),
    (show_to_a_stranger, PHANTOM),
    (record_what_nobody_sent, PHANTOM),
    (leave_unanswered, STUCK),
    (refuse, STUCK),
    (never_catch_up, STUCK),
    (push_what_was_delivered, WRONG_PUSH),
    (push_to_the_sender, WRONG_PUSH),
    (push_to_a_stranger, WRONG_PUSH),
    (push_of_nothing, WRONG_PUSH),
    (push_not, MISSING_PUSH),
    (push_pending, MISSING_PUSH),
    (push_rows_twice, SECOND_PUSH),
    (push_twice, SECOND_PUSH),
]


@pytest.mark.parametrize(("plant", "kind"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))
def test_each_planted_fault_is_found(plant: Callable[[Evidence], Evidence], kind: str) -> None:
    """A single fault is found as what it is, once, with words, and nothing else is."""
    verdict = check(plant(clean()))
    assert {name: count for name, count in verdict.counts.items() if count} == {kind: 1}
    assert len(verdict.words[kind]) == 1


def test_every_kind_of_finding_is_planted() -> None:
    """No kind of finding is without a test."""
    assert {kind for _, kind in PLANTED} == set(FINDINGS)


def test_a_message_under_another_ones_place_is_lost_and_duplicated() -> None:
    """An accepted message whose place holds another one's text is lost, and devices showed what is not so."""
    verdict = check(record_another_text(clean()))
    assert verdict.counts[LOST] == verdict.counts[DUPLICATED] == 1
    assert verdict.counts[PHANTOM] == 3


def test_history_is_nobodys_loss() -> None:
    """What was recorded before a device's first sync was over need not be shown, nor what it has never got to."""
    evidence = clean()
    ben(evidence).complete_since = MESSAGES[2].at + 0.5
    del ben(evidence).shown[:3]
    evidence.devices[2].present_at_end = False
    del evidence.devices[2].shown[3:]
    assert check(evidence).clean


def test_a_retry_without_an_answer_is_legitimate() -> None:
    """A message that was recorded, but whose sender died before the answer, is no phantom."""
    evidence = clean()
    assert check(replace(evidence, accepted=evidence.accepted[1:])).clean


def test_pushes_that_nobody_could_know_to_be_needless() -> None:
    """Inside the receipt timeout, around a lost socket, for what came by sync, for an important message."""
    first = MESSAGES[0]
    timeout = 0.1 + ACK_TIMEOUT_S + 1.1
    soon = clean()
    soon = replace(soon, pushes=[*soon.pushes, pushed(first, "ben", late_s=ACK_TIMEOUT_S + 1.0)])
    assert check(soon).clean
    dropped = clean()
    dropped = replace(dropped, pushes=[*dropped.pushes, pushed(first, "ben", late_s=timeout)])
    for one in dropped.devices[1:]:
        one.sockets = [(T0, first.at + 1), (first.at + 2, T0 + 100)]
    assert check(dropped).clean
    cut_off = clean()
    cut_off = replace(cut_off, pushes=[*cut_off.pushes, pushed(first, "ben", late_s=timeout)])
    for one in cut_off.devices[1:]:
        one.away = [(first.at + 0.5, first.at + 1)]
    assert check(cut_off).clean
    synced = clean()
    synced = replace(synced, pushes=[*synced.pushes, pushed(first, "ben", late_s=timeout)])
    for one in synced.devices[1:]:
        del one.frames[CHAT, first.seq]
    assert check(synced).clean
    important = clean()
    rows = [CREATED, message(2, important=True), *MESSAGES[1:]]
    extra = pushed(first, "ben", late_s=timeout, reason="important_mobile")
    assert check(replace(important, record=rows, pushes=[*important.pushes, extra])).clean


def test_a_frame_of_history_is_a_delivery() -> None:
    """A frame that came when the device knew the message from its first sync was confirmed: no push is due."""
    evidence = clean()
    evidence = replace(evidence, pushes=evidence.pushes[1:])
    first = MESSAGES[0]
    carls = device("carl-1", "carl", shown=[], frames={(CHAT, first.seq): first.at + 3}, complete_since=T0 + 50)
    assert check(replace(evidence, devices=[*evidence.devices, carls])).clean


def test_a_killed_notifier_may_repeat_itself() -> None:
    """Who dies between a push and its record pushes once more; in any other run that is a finding."""
    assert check(replace(push_twice(clean()), pushes_may_repeat=True)).clean


def test_members_come_and_go() -> None:
    """Who was taken out need not show the rest and gets no push for it; let in again, he must show what follows."""
    rows = [
        CREATED,
        *MESSAGES[:2],
        event(4, "participant.left", user_id="ben"),
        message(5),
        event(6, "participant.joined", user_id="ben"),
        message(7),
    ]
    evidence = replace(clean(), record=rows, sent=frozenset({"m2", "m3", "m5", "m7"}))
    evidence = replace(
        evidence,
        accepted=[one for one in evidence.accepted if one.seq in (2, 3, 5, 7)],
        pushes=[pushed(row, "carl") for row in rows if row.content],
    )
    for one in evidence.devices:
        one.shown = [shown(row) for row in rows[1:]]
    ben(evidence).shown = [shown(row) for row in rows[1:] if row.seq not in (4, 5)]
    assert check(evidence).clean, check(evidence).words
    assert check(replace(evidence, pushes=[*evidence.pushes, pushed(message(5), "ben")])).counts[WRONG_PUSH] == 1
    ben(evidence).shown.pop()
    assert check(evidence).counts[LOST] == 1
    # Taken out for good, he may not be shown what came after.
    forever = replace(evidence, record=rows[:5], accepted=evidence.accepted[:3], pushes=evidence.pushes[:3])
    for one in forever.devices:
        one.shown = [shown(row) for row in rows[1:5]]
    assert check(forever).counts[PHANTOM] == 2  # Ben has two devices


def test_time_to_heal() -> None:
    """From the heal until the last device present has what was recorded before; who is away itself does not count."""
    evidence = replace(clean(), heals=[Heal("kill edge", T0 + 4.5)])
    assert check(evidence).heal_s == [("kill edge", 0.0)]
    ben(evidence).shown[2] = replace(ben(evidence).shown[2], at=T0 + 7.5)  # seq 4, recorded at 4
    ((kind, seconds),) = check(evidence).heal_s
    assert (kind, round(seconds, 6)) == ("kill edge", 3.0)
    ben(evidence).away = [(T0 + 5, T0 + 7)]
    assert check(evidence).heal_s == [("kill edge", 0.0)]
    ben(evidence).away = [(T0 + 4, T0 + 7)]
    assert check(evidence).heal_s == [("kill edge", 0.0)]


def test_words_are_few_and_counts_are_whole() -> None:
    """A run in which everything is lost says so with numbers, not with pages."""
    evidence = clean()
    rows = [CREATED, *(message(seq) for seq in range(2, 102))]
    ben(evidence).shown.clear()
    verdict = check(replace(evidence, record=rows))
    assert verdict.counts[LOST] > 100
    assert len(verdict.words[LOST]) == 5
