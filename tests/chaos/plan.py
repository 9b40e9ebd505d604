"""A seed becomes a whole run: who there is, who is away when, who says what, and what breaks; pure and repeatable."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from .kinds import BY_NAME, KINDS, NONE, Kind

PEOPLE = 8
DEVICES_MAX = 3
MESSAGES = 550
LENGTH_S = 6.0
"""How long people talk. Faults begin within it and may outlast it by a little."""
CLOCKS_JUMP_FOR = 3
"""Devices whose clocks jump together."""
SECOND_FAULT_ODDS = 0.35
_IMPORTANT_ODDS = 0.02
_HTTP_ODDS = 0.15
_DEVICE_TYPES = ("mobile", "desktop", "tablet")


class Away(Enum):
    """How a device is away."""

    CUT = "cut"
    """Its network is gone and its connections are reset."""
    SILENT = "silent"
    """Its network is gone and nobody was told: a phone in a lift."""
    CLOSED = "closed"
    """The application is closed, and later opened again without a memory."""
    RESTARTED = "restarted"
    """The application is closed, and later opened again where it left off."""


@dataclass(frozen=True, slots=True)
class Absence:
    """A device is away from `begin_s` to `end_s`; None: it does not come back in this run."""

    begin_s: float
    end_s: float | None
    how: Away


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """One device. Absences do not overlap."""

    name: str
    type: str
    absences: tuple[Absence, ...] = ()
    short_tokens: bool = False
    """Its tokens live for seconds, so that it has to renew them while things break."""

    def away_at(self, at_s: float) -> bool:
        """Whether it is away at that moment."""
        return any(one.begin_s <= at_s and (one.end_s is None or at_s < one.end_s) for one in self.absences)

    @property
    def stays_away(self) -> bool:
        """Whether it is away at the end."""
        return any(one.end_s is None for one in self.absences)


@dataclass(frozen=True, slots=True)
class PersonPlan:
    """A user and his devices."""

    name: str
    devices: tuple[DevicePlan, ...]


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation; the first member owns it."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Say:
    """Somebody sends a message: from a device that is there at that moment, or without one by plain HTTP."""

    at_s: float
    sender: str
    device: str | None
    chat: str
    content: str
    important: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """Somebody is let in or taken out."""

    at_s: float
    chat: str
    person: str
    joins: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """What breaks, when, and for how long; `variant` in [0, 1) decides the details, such as how late is late."""

    kind: str
    target: str
    begin_s: float
    lasts_s: float
    variant: float

    @property
    def end_s(self) -> float:
        """When it is healed."""
        return self.begin_s + self.lasts_s

    def __str__(self) -> str:
        where = f" ({self.target})" if self.target else ""
        return f"{self.kind}{where} from {self.begin_s:.2f} s for {self.lasts_s:.2f} s"


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. Times are seconds since its start, names are unique within it."""

    seed: int
    people: tuple[PersonPlan, ...]
    chats: tuple[Chat, ...]
    says: tuple[Say, ...]
    memberships: tuple[Membership, ...]
    faults: tuple[Fault, ...]
    jumping: tuple[str, ...]
    """Devices whose clocks a `clock jump` moves."""

    @property
    def kind(self) -> str:
        """The kind of fault that this run is about."""
        return self.faults[0].kind if self.faults else NONE

    @property
    def devices(self) -> tuple[DevicePlan, ...]:
        """All devices of all people."""
        return tuple(device for person in self.people for device in person.devices)


def make_plan(seed: int, *, fault: str | None = None, messages: int = MESSAGES) -> Plan:
    """Return the plan of `seed`; consecutive seeds go through all kinds of faults in turn.

    `fault` asks for one kind instead, and for no second one beside it. Raises KeyError for a kind that does not exist.
    """
    people = _people(_chance(seed, "people"))
    chats = _chats(_chance(seed, "chats"), people)
    memberships = _memberships(_chance(seed, "memberships"), chats)
    says = _says(_chance(seed, "says"), people, chats, memberships, messages)
    faults = _faults(_chance(seed, "faults"), seed, fault)
    present = [device.name for person in people for device in person.devices if not device.away_at(0.0)]
    jumping = tuple(_chance(seed, "clocks").sample(present, min(CLOCKS_JUMP_FOR, len(present))))
    return Plan(seed, people, chats, says, memberships, faults, jumping)


def _chance(seed: int, what: str) -> random.Random:
    """Dice for one part of the plan: fewer messages, or another fault, leave everything else as it is."""
    return random.Random(f"{seed} {what}")


def _people(chance: random.Random) -> tuple[PersonPlan, ...]:
    """One in four is away all the time, some come and go, the first never leaves."""
    people = []
    for number in range(PEOPLE):
        habit = "stays" if number == 0 else chance.choices(("stays", "goes", "away"), (4, 3, 2))[0]
        if number == PEOPLE - 1:
            habit = "away"  # somebody always is, so that every run has pushes to get right
        devices = tuple(
            DevicePlan(
                name=f"p{number}d{index}",
                type=_DEVICE_TYPES[index] if chance.random() < 0.8 else chance.choice(_DEVICE_TYPES),
                absences=_absences(chance, habit),
                short_tokens=chance.random() < 0.15,
            )
            for index in range(chance.randint(1, DEVICES_MAX))
        )
        people.append(PersonPlan(f"p{number}", devices))
    return tuple(people)


def _absences(chance: random.Random, habit: str) -> tuple[Absence, ...]:
    if habit == "away":
        return (Absence(0.0, None, Away.CLOSED),)
    if habit == "stays":
        return ()
    absences = []
    at = chance.uniform(-1.5, 3.0)
    while at < LENGTH_S:
        begin = max(0.0, at)
        how = Away.CLOSED if begin == 0.0 else chance.choice(tuple(Away))
        end = begin + chance.uniform(0.3, 3.5)
        if end > LENGTH_S and chance.random() < 0.5:
            absences.append(Absence(begin, None, how))
            break
        absences.append(Absence(begin, end, how))
        at = end + chance.uniform(0.8, 3.0)
    return tuple(absences)


def _chats(chance: random.Random, people: Sequence[PersonPlan]) -> tuple[Chat, ...]:
    names = [person.name for person in people]
    chats = [Chat("c0", tuple(names))]
    for number in range(1, chance.randint(4, 6)):
        members = chance.sample(names, chance.randint(2, 5))
        if all(_always_away(people, name) for name in members):
            members.append(names[0])
        chats.append(Chat(f"c{number}", tuple(members)))
    return tuple(chats)


def _always_away(people: Sequence[PersonPlan], name: str) -> bool:
    devices = next(person.devices for person in people if person.name == name)
    return all(device.absences and device.absences[0].begin_s == 0 and device.stays_away for device in devices)


def _memberships(chance: random.Random, chats: Sequence[Chat]) -> tuple[Membership, ...]:
    """In some runs somebody (never an owner) is taken out of a conversation; half of them are let in again."""
    if chance.random() < 0.6:
        return ()
    chat = chance.choice([chat for chat in chats if len(chat.members) > 2] or [chats[0]])
    person = chance.choice(chat.members[1:])
    leaves = chance.uniform(1.0, 3.0)
    changes = [Membership(leaves, chat.name, person, joins=False)]
    if chance.random() < 0.5:
        changes.append(Membership(leaves + chance.uniform(0.8, 2.0), chat.name, person, joins=True))
    return tuple(changes)


def _says(
    chance: random.Random,
    people: Sequence[PersonPlan],
    chats: Sequence[Chat],
    memberships: Sequence[Membership],
    messages: int,
) -> tuple[Say, ...]:
    by_name = {person.name: person for person in people}
    # Who is ever taken out says nothing there: whether it would be accepted is not for the plan to know.
    silent = {(change.chat, change.person) for change in memberships}
    says = []
    for number, at in enumerate(sorted(chance.uniform(0.0, LENGTH_S) for _ in range(messages))):
        chat = chance.choices(chats, [3] + [2] * (len(chats) - 1))[0]
        sender = by_name[chance.choice([name for name in chat.members if (chat.name, name) not in silent])]
        there = [device.name for device in sender.devices if not device.away_at(at)]
        device = chance.choice(there) if there and chance.random() >= _HTTP_ODDS else None
        says.append(Say(at, sender.name, device, chat.name, f"m{number}", important=chance.random() < _IMPORTANT_ODDS))
    return tuple(says)


def _faults(chance: random.Random, seed: int, wanted: str | None) -> tuple[Fault, ...]:
    first = BY_NAME[wanted] if wanted is not None else KINDS[seed % len(KINDS)]
    if first.name == NONE:
        return ()
    faults = [_fault(chance, first, 0.5, 2.5)]
    if wanted is None and chance.random() < SECOND_FAULT_ODDS:
        # Not the same target twice: who heals first would heal the other's.
        others = [kind for kind in KINDS if kind.name not in (NONE, first.name) and not _collide(kind, first)]
        faults.append(_fault(chance, chance.choice(others), 0.5, 3.5))
    return tuple(faults)


def _fault(chance: random.Random, kind: Kind, earliest: float, latest: float) -> Fault:
    return Fault(
        kind=kind.name,
        target=chance.choice(kind.targets),
        begin_s=chance.uniform(earliest, latest),
        lasts_s=chance.uniform(*kind.lasts_s),
        variant=chance.random(),
    )


def _collide(one: Kind, other: Kind) -> bool:
    return bool(set(one.targets) & set(other.targets))
