"""What a consult allows in each of its states, and who comes and goes with its steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_api.domain import consult, consult_story, conversation
from chat_api.domain.commands import Actor, AddParticipants, RemoveParticipant, UpdateConversation
from chat_api.domain.consult import (
    Active,
    AssignConsult,
    Candidate,
    CloseConsult,
    Closed,
    ConsultCommand,
    ConsultState,
    HandOverConsult,
    Moves,
    OpenConsult,
    ReopenConsult,
    TakeConsult,
    Waiting,
    decide,
    evolve,
    moves,
)
from chat_api.domain.consult_story import Step
from chat_api.domain.conversation import Conversation
from chat_api.domain.errors import AssigneeOffline, Conflict, Forbidden, NotFound, Refused, UnfitAssignee
from chat_api.testing import AT, SERVICE, after, send
from contracts.events import (
    ConsultAssigned,
    ConsultClosed,
    ConsultHandedOver,
    ConsultOpened,
    ConsultTaken,
    ConversationCreated,
    EventData,
    MessageCreated,
    ParticipantLeft,
)
from contracts.ids import new_id
from contracts.messages import MessageType, SenderType

C, NOTES = new_id(), new_id()
ALICE, EVE = Actor("alice"), Actor("eve")
BOB, CAROL = Actor("bob", staff=True), Actor("carol", staff=True)
CAROL_ONLINE = Candidate("carol", ("consultant",), True)

WAITING = Waiting(C, "alice", "teeth")
ACTIVE = Active(C, "alice", "teeth", "bob")
CLOSED = Closed(C, "alice", "teeth", "bob")


def take(actor: Actor = BOB) -> TakeConsult:
    """Somebody takes it."""
    return TakeConsult(C, actor, AT)


def assign(to: str = "carol", actor: Actor = BOB) -> AssignConsult:
    """Somebody gives it to somebody."""
    return AssignConsult(C, actor, to, AT)


def hand_over(to: str | None = "carol", actor: Actor = BOB) -> HandOverConsult:
    """Somebody passes it on."""
    return HandOverConsult(C, actor, to, None, AT)


def refused(
    kind: type[Refused], state: ConsultState | None, command: ConsultCommand, candidate: Candidate | None = None
) -> None:
    """The command must be refused for this reason."""
    with pytest.raises(kind):
        decide(
            state, command, takes_part=command.actor.user_id in ("alice", consult.assignee(state)), candidate=candidate
        )


# --- who may do what --------------------------------------------------------------------------------------------------


def test_a_customer_opens_one_for_himself_and_a_service_for_anybody() -> None:
    """Nobody opens one in somebody else's name."""
    command = OpenConsult(C, ALICE, "alice", "teeth", None, None, AT)
    assert consult.opened(command) == ConsultOpened(conversation_id=C, customer_id="alice", topic="teeth", opened_at=AT)
    assert consult.opened(replace(command, actor=SERVICE)).customer_id == "alice"
    with pytest.raises(Forbidden):
        consult.opened(replace(command, actor=EVE))


def test_taking_is_for_staff_and_once() -> None:
    """The first one gets it; the same again changes nothing; anybody else comes too late."""
    event = decide(WAITING, take(), takes_part=False)
    assert event == ConsultTaken(conversation_id=C, consultant_id="bob", taken_at=AT)
    assert decide(ACTIVE, take(), takes_part=True) is None
    refused(Conflict, ACTIVE, take(CAROL))
    refused(Conflict, CLOSED, take(CAROL))
    refused(Forbidden, WAITING, take(ALICE))
    refused(Forbidden, WAITING, take(SERVICE))
    refused(Forbidden, WAITING, take(replace(ALICE, staff=True)))


def test_who_is_offline_or_unfit_is_given_nothing() -> None:
    """Only a consultant or doctor who is there; never the customer himself, whatever roles he has."""
    event = decide(WAITING, assign(), takes_part=False, candidate=CAROL_ONLINE)
    assert event == ConsultAssigned(conversation_id=C, consultant_id="carol", by="bob", assigned_at=AT)
    for state, command in ((WAITING, assign()), (ACTIVE, hand_over())):
        refused(AssigneeOffline, state, command, replace(CAROL_ONLINE, online=False))
        refused(UnfitAssignee, state, command, replace(CAROL_ONLINE, roles=("customer", "admin")))
        refused(UnfitAssignee, state, command, None)
    himself = Candidate("alice", ("doctor",), True)
    refused(UnfitAssignee, WAITING, assign("alice"), himself)
    refused(UnfitAssignee, ACTIVE, hand_over("alice"), himself)


def test_assigning_is_for_staff_and_services_while_it_waits() -> None:
    """What somebody has is handed over, not assigned; to give him what he has changes nothing."""
    assert decide(WAITING, assign(actor=SERVICE), takes_part=False, candidate=CAROL_ONLINE) is not None
    assert decide(ACTIVE, assign("bob"), takes_part=True) is None
    refused(Conflict, ACTIVE, assign(), CAROL_ONLINE)
    refused(Conflict, CLOSED, assign(), CAROL_ONLINE)
    refused(Forbidden, WAITING, assign(actor=ALICE), CAROL_ONLINE)


def test_handing_over_is_for_who_has_it() -> None:
    """To a colleague, or to nobody: then it waits again. A service may do it for him."""
    event = decide(ACTIVE, hand_over(), takes_part=True, candidate=CAROL_ONLINE)
    assert event == ConsultHandedOver(conversation_id=C, from_id="bob", to_id="carol", by="bob", handed_over_at=AT)
    assert evolve(ACTIVE, event) == Active(C, "alice", "teeth", "carol")
    back = decide(ACTIVE, hand_over(None, SERVICE), takes_part=False)
    assert back is not None
    assert evolve(ACTIVE, back) == WAITING
    assert decide(ACTIVE, hand_over("bob"), takes_part=True) is None
    refused(Forbidden, ACTIVE, hand_over(actor=CAROL), CAROL_ONLINE)
    refused(Forbidden, ACTIVE, hand_over(actor=ALICE), CAROL_ONLINE)
    refused(Forbidden, ACTIVE, hand_over(actor=Actor("bob")), CAROL_ONLINE)
    for state in (WAITING, CLOSED):
        refused(Conflict, state, hand_over(), CAROL_ONLINE)


def test_closing_and_reopening_is_for_those_concerned() -> None:
    """The customer, who has it, and services; again changes nothing; what somebody has is not reopened."""
    for actor in (ALICE, BOB, SERVICE):
        event = decide(ACTIVE, CloseConsult(C, actor, AT), takes_part=True)
        assert event == ConsultClosed(conversation_id=C, by=actor.user_id, closed_at=AT)
        assert evolve(ACTIVE, event) == CLOSED
        assert decide(CLOSED, CloseConsult(C, actor, AT), takes_part=True) is None
        again = decide(CLOSED, ReopenConsult(C, actor, after(1)), takes_part=True)
        assert again == ConsultOpened(conversation_id=C, customer_id="alice", topic="teeth", opened_at=after(1))
        refused(Conflict, ACTIVE, ReopenConsult(C, actor, AT))
    assert decide(WAITING, ReopenConsult(C, ALICE, AT), takes_part=True) is None
    for command in (CloseConsult(C, CAROL, AT), ReopenConsult(C, CAROL, AT)):
        refused(Forbidden, ACTIVE, command)
        refused(Forbidden, CLOSED, command)


def test_strangers_learn_nothing() -> None:
    """To everybody else a consult does not exist, nor does a conversation become one by asking."""
    every: list[ConsultCommand] = [
        take(EVE), assign(actor=EVE), hand_over(actor=EVE), CloseConsult(C, EVE, AT), ReopenConsult(C, EVE, AT)
    ]  # fmt: skip
    for state in (WAITING, ACTIVE, CLOSED, None):
        for command in every:
            refused(NotFound, state, command, CAROL_ONLINE)
    with pytest.raises(Forbidden):
        decide(ACTIVE, CloseConsult(C, EVE, AT), takes_part=True)


# --- what it looks like -----------------------------------------------------------------------------------------------


class Desk:
    """A consult with its two conversations, folded from events alone."""

    def __init__(self) -> None:
        self.state: ConsultState | None = None
        self.talk: Conversation | None = None
        self.notes: Conversation | None = None
        self.told: list[EventData] = []
        created = ConversationCreated(conversation_id=C, owner_id="alice", participant_ids=("alice",), created_at=AT)
        self.talk = conversation.evolve(None, created)
        opened = ConsultOpened(conversation_id=C, customer_id="alice", topic="teeth", opened_at=AT)
        self._record(Step(opened, "alice", {}, AT, first=True), None)

    def do(self, command: ConsultCommand, candidate: Candidate | None = None) -> bool:
        """Carry it out, if it is not refused; says whether anything happened."""
        assert self.talk is not None
        try:
            takes_part = command.actor.user_id in self.talk.members
            event = decide(self.state, command, takes_part=takes_part, candidate=candidate)
        except Refused:
            return False
        if event is None:
            return False
        reason = command.reason if isinstance(command, HandOverConsult) else None
        self._record(Step(event, command.actor.user_id, {"bob": "Bob"}, AT), reason)
        return True

    def _record(self, step: Step, reason: str | None) -> None:
        following = evolve(self.state, step.event)
        changed = moves(self.state, following)
        talk = consult_story.in_conversation(self.talk, step, changed, new_id())
        notes = consult_story.in_notes(self.notes, NOTES, step, changed, new_id(), reason)
        for state, events in ((self.talk, talk), (self.notes, notes)):
            seq = state.last_seq if state is not None else 0
            for event in events:
                seq += 1
                assert not isinstance(event, MessageCreated) or event.seq == seq
        self.talk, self.notes = consult_story.evolved(self.talk, talk), consult_story.evolved(self.notes, notes)
        self.state = following
        self.told = [*talk, *notes]


def test_each_step_comes_with_the_words_of_the_system() -> None:
    """The newcomer sees the step, the system says what happened, and who goes sees it as the last."""
    desk = Desk()
    assert [event.type for event in desk.told] == ["consult.opened", "message.created"]
    assert desk.do(take())
    assert [event.type for event in desk.told] == [
        "participant.joined", "consult.taken", "message.created", "conversation.created"
    ]  # fmt: skip
    said = desk.told[2]
    assert isinstance(said, MessageCreated)
    assert (said.sender_id, said.sender_type, said.message_type) == ("system", SenderType.SYSTEM, MessageType.SYSTEM)
    assert said.content == "Bob is here for you."
    assert said.notice is not None
    assert (said.notice.type, said.notice.data) == ("consult_taken", {"consultant_id": "bob"})
    assert desk.do(HandOverConsult(C, BOB, "carol", "allergic to latex", AT), CAROL_ONLINE)
    assert [event.type for event in desk.told] == [
        "participant.joined", "consult.handed_over", "message.created", "participant.left",
        "participant.joined", "message.created", "participant.left",
    ]  # fmt: skip
    told_customer, told_staff = desk.told[2], desk.told[5]
    assert isinstance(told_customer, MessageCreated)
    assert isinstance(told_staff, MessageCreated)
    assert told_customer.content == "Bob has handed over to carol."
    assert (told_staff.conversation_id, told_staff.content) == (NOTES, "allergic to latex")
    assert "latex" not in told_customer.model_dump_json()


def test_who_took_part_before_stays_a_participant_once() -> None:
    """A colleague who was let in by hand does not join twice when the consult is given to him."""
    desk = Desk()
    assert desk.talk is not None
    desk.talk = replace(desk.talk, members=desk.talk.members | {"carol"})
    assert desk.do(assign(), CAROL_ONLINE)
    assert [event.type for event in desk.told] == ["consult.assigned", "message.created", "conversation.created"]


def test_nobody_is_let_into_notes_by_hand() -> None:
    """Not by staff, not by a service: a customer let in would read what was said about him. Nor does anybody leave."""
    desk = Desk()
    assert desk.do(take())
    for actor in (BOB, SERVICE):
        for command in (
            AddParticipants(NOTES, actor, ("alice",), AT),
            RemoveParticipant(NOTES, actor, "bob", AT),
            UpdateConversation(NOTES, actor, "title", None, AT),
        ):
            with pytest.raises(Forbidden):
                conversation.decide(desk.notes, command)
    with pytest.raises(NotFound):
        conversation.decide(desk.notes, AddParticipants(NOTES, ALICE, ("alice",), AT))


def test_who_is_called_as_the_notes_owner_gets_nothing() -> None:
    """The notes belong to nobody: a user who calls himself `system` cannot write there, a service can."""
    desk = Desk()
    assert desk.do(take())
    with pytest.raises(NotFound):
        conversation.decide(desk.notes, send(NOTES, "system"))
    assert conversation.decide(desk.notes, replace(send(NOTES, "host-application"), as_outsider=True))
    with pytest.raises(NotFound):
        conversation.decide(desk.talk, replace(send(C, "host-application"), as_outsider=True))


PEOPLE = ["alice", "bob", "carol", "dave"]
actors = st.builds(Actor, st.sampled_from(PEOPLE), privileged=st.booleans(), staff=st.booleans())
roles = st.sampled_from([("customer",), ("consultant",), ("doctor", "customer")])


@st.composite
def _commands(draw: st.DrawFn) -> tuple[ConsultCommand, Candidate | None]:
    actor, to = draw(actors), draw(st.sampled_from(PEOPLE))
    candidate = Candidate(to, draw(roles), draw(st.booleans()))
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return TakeConsult(C, actor, AT), None
    if kind == 1:
        return AssignConsult(C, actor, to, AT), candidate
    if kind == 2:
        return HandOverConsult(C, actor, to, draw(st.none() | st.just("why")), AT), candidate
    if kind == 3:
        return HandOverConsult(C, actor, None, "why", AT), None
    return (CloseConsult(C, actor, AT) if kind == 4 else ReopenConsult(C, actor, AT)), None


@settings(max_examples=300)
@given(st.lists(_commands(), max_size=25))
def test_any_sequence_of_steps_keeps_the_customer_out_of_the_notes(
    commands: list[tuple[ConsultCommand, Candidate | None]],
) -> None:
    """Whatever staff comes and goes: the customer stays in the conversation, and never is in the notes; who has the
    consult is in both, and nobody else is left in either."""
    desk = Desk()
    for command, candidate in commands:
        desk.do(command, candidate)
        assert desk.talk is not None
        has_it = {consult.assignee(desk.state)} - {None}
        assert "alice" not in has_it
        assert desk.talk.members == {"alice"} | has_it
        if desk.notes is not None:
            assert desk.notes.members == has_it
        for event in desk.told:
            assert not (isinstance(event, ParticipantLeft) and event.user_id == "alice")


def test_moves_follow_from_the_states() -> None:
    """Nobody moves when a consult is closed; who had it goes when it is opened again."""
    assert moves(WAITING, ACTIVE) == Moves(comes="bob")
    assert moves(ACTIVE, CLOSED) == Moves()
    assert moves(CLOSED, WAITING) == Moves(goes="bob")
    assert moves(ACTIVE, Active(C, "alice", "teeth", "carol")) == Moves(comes="carol", goes="bob")
