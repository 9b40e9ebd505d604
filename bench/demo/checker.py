"""The rules of delivery, held against what was seen: pure, and every kind of fault is planted in its tests.

- Every device of every online participant, the sender's own included, gets each accepted message once, with its text,
  and the messages of one conversation in the order of their seq.
- Every offline participant but the sender gets one push; so does, for an important message, who is online without a
  mobile. Nobody gets any other push.
- Every accepted message stands once in the conversation's record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.demo.plan import Person, expects_push
from contracts.delivery import OfflineReason
from contracts.pushes import PushRecord, PushState

PROBLEMS_MAX = 4
"""How many faults of each kind are described; all are counted."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message as the server answered for it."""

    message_id: str
    conversation_id: str
    seq: int
    sender_id: str
    content: str
    important: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """A `new_message` frame at a device; `at` in seconds of the measuring process's clock."""

    at: float
    stream: str
    seq: int
    message_id: str
    content: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen of one run."""

    accepted: Sequence[Accepted]
    members: Mapping[str, Sequence[Person]]
    """By conversation id, the owner included."""
    arrivals: Mapping[str, Sequence[Arrival]]
    """By device id, in the order of arrival."""
    record: Sequence[tuple[str, str]]
    """Message id and event id of every message event that the conversations' history holds."""
    pushes: Sequence[PushRecord]
    """Records of this run's users."""


@dataclass(slots=True)
class Verdict:
    """The counts of the last line, and the first faults in words."""

    sent: int = 0
    deliveries_expected: int = 0
    delivered: int = 0
    pushes_expected: int = 0
    pushed: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)
    """The first faults of each kind, in words."""

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing twice, nothing out of order."""
        return not (self.lost or self.duplicated or self.out_of_order)

    @property
    def problems(self) -> list[str]:
        """All that is described."""
        return [problem for kind in self.faults.values() for problem in kind]

    def note(self, problem: str) -> None:
        """Describe a fault (`kind: what`), unless enough of its kind are described."""
        known = self.faults.setdefault(problem.partition(":")[0], [])
        if len(known) < PROBLEMS_MAX:
            known.append(problem)


def check(evidence: Evidence) -> Verdict:
    """Hold the evidence against the rules."""
    verdict = Verdict(sent=len(evidence.accepted))
    _check_record(evidence, verdict)
    _check_devices(evidence, verdict)
    _check_pushes(evidence, verdict)
    return verdict


def _check_record(evidence: Evidence, verdict: Verdict) -> None:
    stored = Counter(message_id for message_id, _ in evidence.record)
    accepted = {message.message_id for message in evidence.accepted}
    for message_id in accepted - stored.keys():
        verdict.lost += 1
        verdict.note(f"record: message {message_id} was accepted, but is not in the record")
    for message_id, times in stored.items():
        extra = times - (message_id in accepted)
        if extra:
            verdict.duplicated += extra
            verdict.note(f"record: message {message_id} stands in the record {extra} time(s) too often")


def _check_devices(evidence: Evidence, verdict: Verdict) -> None:
    expected: dict[str, dict[str, Accepted]] = {device_id: {} for device_id in evidence.arrivals}
    for message in evidence.accepted:
        for person in evidence.members[message.conversation_id]:
            for device in person.devices:
                expected.setdefault(device.device_id, {})[message.message_id] = message
    for device_id, due in expected.items():
        verdict.deliveries_expected += len(due)
        _check_device(device_id, due, evidence.arrivals.get(device_id, ()), verdict)


def _check_device(device_id: str, due: Mapping[str, Accepted], arrivals: Iterable[Arrival], verdict: Verdict) -> None:
    seen: set[str] = set()
    last_seq: dict[str, int] = {}
    for arrival in arrivals:
        message = due.get(arrival.message_id)
        if message is None:
            verdict.duplicated += 1
            verdict.note(f"duplicated: {device_id} got message {arrival.message_id}, which is not for it")
            continue
        if arrival.message_id in seen:
            verdict.duplicated += 1
            verdict.note(f"duplicated: {device_id} got message {arrival.message_id} again")
            continue
        if arrival.content != message.content:
            # Not counted as delivered, so it is counted as lost below.
            verdict.note(f"mangled: {device_id} got message {arrival.message_id} with another text")
            continue
        seen.add(arrival.message_id)
        place = (f"conversation:{message.conversation_id}", message.seq)
        if (arrival.stream, arrival.seq) != place or arrival.seq <= last_seq.get(arrival.stream, 0):
            verdict.out_of_order += 1
            verdict.note(
                f"out of order: {device_id} got {arrival.stream} seq {arrival.seq}, message {message.message_id}"
            )
        last_seq[arrival.stream] = max(arrival.seq, last_seq.get(arrival.stream, 0))
    verdict.delivered += len(seen)
    for message_id in due.keys() - seen:
        verdict.lost += 1
        verdict.note(f"lost: {device_id} never got message {message_id} (seq {due[message_id].seq})")


def _check_pushes(evidence: Evidence, verdict: Verdict) -> None:
    message_of = {event_id: message_id for message_id, event_id in evidence.record}
    expected: dict[tuple[str, str], OfflineReason] = {}
    for message in evidence.accepted:
        for person in evidence.members[message.conversation_id]:
            if expects_push(person, sender_id=message.sender_id, important=message.important):
                reason = OfflineReason.IMPORTANT_MOBILE if person.online else OfflineReason.NO_CONNECTION
                expected[message.message_id, person.user_id] = reason
    verdict.pushes_expected = len(expected)
    seen: set[tuple[str, str]] = set()
    for push in evidence.pushes:
        if push.state is PushState.SKIPPED:
            continue
        key = (message_of.get(push.event_id, push.event_id), push.user_id)
        if push.state is not PushState.SENT:
            if key not in expected:
                verdict.duplicated += 1
                verdict.note(f"push not due: a push to {push.user_id} ({push.reason}) is {push.state}, none is due")
        elif expected.get(key) is not push.reason:
            verdict.duplicated += 1
            verdict.note(f"push not due: {push.user_id} got a push that is not due, {push.reason}, message {key[0]}")
        elif key in seen:
            verdict.duplicated += 1
            verdict.note(f"push duplicated: {push.user_id} got a second push for message {key[0]}")
        else:
            seen.add(key)
    verdict.pushed = len(seen)
    for message_id, user_id in expected.keys() - seen:
        verdict.lost += 1
        verdict.note(f"push lost: no push to {user_id} for message {message_id}")
