"""Who talks with whom, on which devices, and who says what when: pure, and the same for the same seed.

Only the ids are fresh for every run, so that several runs against one target do not meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from bench.demo.corpus import Dialogue, Language
from bench.demo.errors import BadSize
from contracts.devices import DeviceType
from kit.tokens import Role

MEMBERS_MIN, MEMBERS_MAX = 2, 8
OFFLINE_SHARE = 1 / 3
CONSULTANT_SHARE = 1 / 5
IMPORTANT_SHARE = 1 / 20
SOCKET_SHARE = 1 / 2
DEVICE_COUNTS = (1, 1, 2, 2, 3)
"""How many devices an online user has, drawn evenly from here."""

_NAMES = (
    "Alice", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Henry", "Iris", "Jack", "Kate", "Liam", "Mia", "Noah",
    "王芳", "李伟", "张敏", "刘洋", "陈静", "杨磊", "赵丽", "黄强", "周杰", "吴霞", "徐明", "孙燕", "胡军", "朱琳",
)  # fmt: skip


class Path(StrEnum):
    """How a message is sent."""

    HTTP = "http"
    SOCKET = "socket"


@dataclass(frozen=True, slots=True)
class Size:
    """How much to play; messages per second in `rate`."""

    users: int = 200
    conversations: int = 60
    messages: int = 2000
    rate: float = 200.0

    def __post_init__(self) -> None:
        if self.users < 4:
            raise BadSize("--users must be at least 4")
        if self.conversations < 1 or self.messages < 1:
            raise BadSize("--conversations and --messages must be at least 1")
        if self.rate <= 0:
            raise BadSize("--rate must be above 0")


@dataclass(frozen=True, slots=True)
class Device:
    """One socket. `entrance` chooses among the edges that the place offers."""

    device_id: str
    user_id: str
    kind: DeviceType
    entrance: int


@dataclass(frozen=True, slots=True)
class Person:
    """A user; without devices: offline."""

    user_id: str
    name: str
    role: Role
    devices: tuple[Device, ...]

    @property
    def online(self) -> bool:
        """Whether any socket is open."""
        return bool(self.devices)


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation to open; the owner is one of the members."""

    language: Language
    title: str
    owner_id: str
    member_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One message. `device_id` is the sending socket; None over HTTP. Same chat and `dialogue`: one exchange."""

    client_msg_id: str
    chat: int
    sender_id: str
    content: str
    important: bool
    path: Path
    device_id: str | None
    dialogue: int
    turn: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will happen; `lines` in the order of sending."""

    people: Mapping[str, Person]
    chats: tuple[Chat, ...]
    lines: tuple[Line, ...]

    @property
    def devices(self) -> list[Device]:
        """Every socket."""
        return [device for person in self.people.values() for device in person.devices]

    def recipients(self, line: Line) -> list[Person]:
        """Everybody whom a message concerns, its sender included."""
        return [self.people[user_id] for user_id in self.chats[line.chat].member_ids]

    @property
    def deliveries(self) -> int:
        """Frames that must arrive: one for each message and device."""
        return sum(len(person.devices) for line in self.lines for person in self.recipients(line))

    @property
    def pushes(self) -> int:
        """Pushes that must be recorded."""
        return sum(
            expects_push(person, sender_id=line.sender_id, important=line.important)
            for line in self.lines
            for person in self.recipients(line)
        )


def expects_push(person: Person, *, sender_id: str, important: bool) -> bool:
    """Whether a message must become a push for a recipient: offline, or important and without a mobile online."""
    if person.user_id == sender_id:
        return False
    on_mobile = any(device.kind is DeviceType.MOBILE for device in person.devices)
    return not person.online or (important and not on_mobile)


def make_plan(corpus: Mapping[Language, Sequence[Dialogue]], size: Size, *, seed: int, run_id: str) -> Plan:
    """Plan one run. `run_id` begins every id; it must be new for each run and fit a user id."""
    random = Random(seed)
    people = _people(size.users, run_id, random)
    chats = tuple(_chats(size.conversations, people, random))
    spoken = _spoken(chats, people, corpus, size.messages, random)
    return Plan({person.user_id: person for person in people}, chats, _on_paths(spoken, people, run_id, random))


def _people(count: int, run_id: str, random: Random) -> list[Person]:
    consultants = max(1, round(count * CONSULTANT_SHARE))
    offline = set(random.sample(range(count), round(count * OFFLINE_SHARE)))
    # Nobody could answer if every consultant were away.
    offline.discard(0)
    people = []
    for number in range(count):
        role = Role.CONSULTANT if number < consultants else Role.CUSTOMER
        user_id = f"{run_id}-{role.value}-{number}"
        devices = () if number in offline else _devices(user_id, number, random)
        people.append(Person(user_id, random.choice(_NAMES), role, devices))
    return people


def _devices(user_id: str, number: int, random: Random) -> tuple[Device, ...]:
    kinds = random.sample(list(DeviceType), random.choice(DEVICE_COUNTS))
    # One user's devices go to different edges.
    return tuple(Device(f"{user_id}-{kind.value}", user_id, kind, number + at) for at, kind in enumerate(kinds))


def _chats(count: int, people: Sequence[Person], random: Random) -> Iterator[Chat]:
    consultants = [person for person in people if person.role is Role.CONSULTANT]
    customers = [person for person in people if person.role is not Role.CONSULTANT]
    next_customer, next_consultant = _dealt(customers, random), _dealt(consultants, random)
    languages = list(Language)
    for number in range(count):
        seats = random.randint(MEMBERS_MIN, min(MEMBERS_MAX, len(people)))
        staff = min(1 if seats < 5 else 2, len(consultants))
        members = {next(next_consultant).user_id: None for _ in range(staff)}
        members |= {next(next_customer).user_id: None for _ in range(min(seats - len(members), len(customers)))}
        language = languages[number % len(languages)]
        # A dict, because a set of strings has another order in every process.
        yield Chat(language, f"{language.value.title()} {number + 1}", random.choice(list(members)), tuple(members))


def _dealt(people: Sequence[Person], random: Random) -> Iterator[Person]:
    """Everybody once in random order, and again: nobody is left out while somebody sits in many chats."""
    order = list(people)
    while True:
        random.shuffle(order)
        yield from order


@dataclass(frozen=True, slots=True)
class _Spoken:
    chat: int
    sender_id: str
    content: str
    dialogue: int
    turn: int


def _spoken(
    chats: Sequence[Chat],
    people: Sequence[Person],
    corpus: Mapping[Language, Sequence[Dialogue]],
    messages: int,
    random: Random,
) -> list[_Spoken]:
    """What is said, all chats at once: in each round every chat, in random order, gets one line further."""
    by_id = {person.user_id: person for person in people}
    decks = {language: _deck(corpus[language], random) for language in sorted({chat.language for chat in chats})}
    scripts = [_script(at, chat, by_id, decks[chat.language], random) for at, chat in enumerate(chats)]
    spoken: list[_Spoken] = []
    while len(spoken) < messages:
        spoken.extend(next(script) for script in random.sample(scripts, len(scripts)))
    return spoken[:messages]


def _deck(dialogues: Sequence[Dialogue], random: Random) -> Iterator[Dialogue]:
    """Dialogues without end, the real exchanges of four lines and more first."""
    order = list(dialogues)
    random.shuffle(order)
    order.sort(key=lambda dialogue: len(dialogue.lines) < 4)
    while True:
        yield from order
        random.shuffle(order)


def _script(
    at: int, chat: Chat, people: Mapping[str, Person], deck: Iterator[Dialogue], random: Random
) -> Iterator[_Spoken]:
    staff = [user_id for user_id in chat.member_ids if people[user_id].role is Role.CONSULTANT]
    others = [user_id for user_id in chat.member_ids if people[user_id].role is not Role.CONSULTANT]
    for number, dialogue in enumerate(deck):
        pair = (random.choice(others), random.choice(staff))
        for turn, content in enumerate(dialogue.lines):
            yield _Spoken(at, pair[turn % 2], content, number, turn)


def _on_paths(spoken: Sequence[_Spoken], people: Sequence[Person], run_id: str, random: Random) -> tuple[Line, ...]:
    """Half of everything goes over sockets; who is offline speaks over HTTP, as through the host application."""
    devices = {person.user_id: person.devices for person in people}
    able = [at for at, one in enumerate(spoken) if devices[one.sender_id]]
    on_socket = set(random.sample(able, min(len(able), round(len(spoken) * SOCKET_SHARE))))
    return tuple(
        Line(
            client_msg_id=f"{run_id}-{at}",
            chat=one.chat,
            sender_id=one.sender_id,
            content=one.content,
            important=random.random() < IMPORTANT_SHARE,
            path=Path.SOCKET if at in on_socket else Path.HTTP,
            device_id=random.choice(devices[one.sender_id]).device_id if at in on_socket else None,
            dialogue=one.dialogue,
            turn=one.turn,
        )
        for at, one in enumerate(spoken)
    )
