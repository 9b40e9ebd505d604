"""The plan has the shape that the demo promises, and the same one for the same seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from bench.demo.corpus import Dialogue, Language
from bench.demo.errors import BadSize
from bench.demo.plan import Path, Plan, Size, expects_push, make_plan

from contracts.devices import DeviceType
from kit.tokens import Role

CORPUS = {
    Language.ENGLISH: [Dialogue(Language.ENGLISH, "food", ("Hungry?", "Always.", "Rice?", "Yes."))],
    Language.CHINESE: [
        Dialogue(Language.CHINESE, "food", ("饿吗?", "很饿.")),
        Dialogue(Language.CHINESE, "ai", ("是", "否")),
    ],
}


def plan(size: Size | None = None, *, seed: int = 1, run_id: str = "r") -> Plan:
    return make_plan(CORPUS, size or Size(), seed=seed, run_id=run_id)


def test_the_standard_plan_has_the_promised_size() -> None:
    """200 users, 60 conversations of 2 to 8, 2,000 messages, a third offline, 1 to 3 devices, half over sockets."""
    made = plan()
    people = made.people.values()
    assert (len(people), len(made.chats), len(made.lines)) == (200, 60, 2000)
    assert 66 <= sum(not person.online for person in people) <= 67
    assert {len(person.devices) for person in people if person.online} == {1, 2, 3}
    assert min(len(chat.member_ids) for chat in made.chats) == 2
    assert max(len(chat.member_ids) for chat in made.chats) == 8
    assert Counter(line.path for line in made.lines) == {Path.HTTP: 1000, Path.SOCKET: 1000}
    assert 50 <= sum(line.important for line in made.lines) <= 150


def test_everybody_takes_part() -> None:
    """No user is planned who does not sit in any conversation."""
    made = plan()
    assert {user_id for chat in made.chats for user_id in chat.member_ids} == set(made.people)


def test_each_conversation_joins_customers_and_consultants() -> None:
    """Both sides are there, nobody twice, and the owner is a member."""
    made = plan()
    for chat in made.chats:
        assert {made.people[user_id].role for user_id in chat.member_ids} == {Role.CUSTOMER, Role.CONSULTANT}
        assert len(set(chat.member_ids)) == len(chat.member_ids)
        assert chat.owner_id in chat.member_ids


def test_speakers_are_members_and_only_the_online_use_a_socket() -> None:
    """A message over a socket goes through one of its sender's own devices."""
    made = plan()
    for line in made.lines:
        assert line.sender_id in made.chats[line.chat].member_ids
        assert (line.path is Path.SOCKET) == (line.device_id is not None)
        if line.device_id is not None:
            assert line.device_id in {device.device_id for device in made.people[line.sender_id].devices}


def test_devices_of_one_user_use_different_entrances_and_kinds() -> None:
    """So both edges hold sockets of the same user."""
    for person in plan().people.values():
        assert len({device.kind for device in person.devices}) == len(person.devices)
        assert len({device.entrance for device in person.devices}) == len(person.devices)


def test_two_people_take_turns_in_a_dialogue() -> None:
    """Line by line, customer and consultant, in the order of the text."""
    made = plan(Size(users=8, conversations=1, messages=4))
    assert [line.turn for line in made.lines] == [0, 1, 2, 3]
    assert [line.content for line in made.lines] == list(CORPUS[Language.ENGLISH][0].lines)
    assert made.lines[0].sender_id == made.lines[2].sender_id != made.lines[1].sender_id == made.lines[3].sender_id


def test_the_same_seed_plays_the_same_scene_with_fresh_ids() -> None:
    """Two runs differ in the beginning of their ids, and in nothing else."""
    first, second, other = plan(run_id="aaa"), plan(run_id="bbb"), plan(seed=2)
    assert repr(first).replace("aaa-", "bbb-") == repr(second)
    assert not set(first.people) & set(second.people)
    assert [line.content for line in other.lines] != [line.content for line in first.lines]


def test_the_smallest_plan_works() -> None:
    """Four users, one conversation, one message."""
    made = plan(Size(users=4, conversations=1, messages=1))
    assert len(made.lines) == 1


@pytest.mark.parametrize("wrong", [{"users": 3}, {"conversations": 0}, {"messages": 0}, {"rate": 0.0}])
def test_a_size_that_makes_no_plan_is_refused(wrong: dict[str, int]) -> None:
    """With the option's name in the message."""
    with pytest.raises(BadSize, match="--" + next(iter(wrong))):
        replace(Size(), **wrong)


def test_who_is_due_a_push() -> None:
    """Offline: always. Online: for an important message without a mobile. The sender: never."""
    people = plan().people.values()
    offline = next(person for person in people if not person.online)
    on_desktop = next(person for person in people if [one.kind for one in person.devices] == [DeviceType.DESKTOP])
    on_mobile = next(person for person in people if DeviceType.MOBILE in {one.kind for one in person.devices})
    cases = [(offline, False), (offline, True), (on_desktop, False), (on_desktop, True), (on_mobile, True)]
    got = [expects_push(person, sender_id="somebody", important=important) for person, important in cases]
    assert got == [True, True, False, True, False]
    assert not expects_push(offline, sender_id=offline.user_id, important=True)
