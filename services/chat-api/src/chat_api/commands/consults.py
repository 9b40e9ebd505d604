"""Consults: open one, and every step of it. Each step is one transaction: its event, who comes and goes, the words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chat_api.commands.ports import (
    Clash,
    KnownConsult,
    Once,
    Presence,
    Recordable,
    StoredResponse,
    Transaction,
    UnitOfWork,
)
from chat_api.domain import consult, consult_story, conversation, user
from chat_api.domain.commands import SendMessage
from chat_api.domain.consult import AssignConsult, Candidate, ConsultCommand, HandOverConsult, OpenConsult, TakeConsult
from chat_api.domain.consult_story import Step
from chat_api.domain.errors import Conflict, IdempotencyConflict, LimitReached, NotFound, UnknownUsers
from contracts.events import ConversationCreated, EventData, MessageCreated
from contracts.ids import new_id
from contracts.stream_ids import ConversationStream, StreamId, UserStream

TRIES = 5
"""So often a step is begun anew because the consult moved on while its locks were waited for."""


class _MovedOn(Exception):
    """Between the first look and the lock somebody else took a step: other streams are to be locked."""


@dataclass(frozen=True, slots=True)
class _Told:
    """Events of one conversation, and the seq before them."""

    stream: ConversationStream
    events: Sequence[EventData]
    last_seq: int


async def open_consult(
    command: OpenConsult, uow: UnitOfWork, once: Once | None, status: int, conversations_max: int = 2**31
) -> str:
    """Open a conversation that waits in the queue; returns its id. Nobody has more than `conversations_max`.

    The same Idempotency-Key, or the same first message by its client_msg_id, gives the first one again.
    """
    try:
        return await _open(command, uow, once, status, conversations_max)
    except Clash:
        # Somebody has just committed the same client_msg_id: now it can be seen what it was.
        return await _open(command, uow, once, status, conversations_max)


async def _open(command: OpenConsult, uow: UnitOfWork, once: Once | None, status: int, conversations_max: int) -> str:
    first = consult.opened(command)
    stream, customer = ConversationStream(command.conversation_id), UserStream(command.customer_id)
    async with uow.begin({stream, customer}, once=once) as transaction:
        if transaction.replay is not None:
            return transaction.replay.body
        names = await _names(transaction, [command.customer_id], required=command.customer_id)
        if (earlier := await _opened_before(transaction, command)) is not None:
            await transaction.remember(StoredResponse(status, earlier))
            return earlier
        if await transaction.conversations_of(command.customer_id, conversations_max) >= conversations_max:
            raise LimitReached(f"The customer takes part in {conversations_max} conversations already.")
        created = ConversationCreated(
            conversation_id=command.conversation_id,
            title=command.topic,
            owner_id=command.customer_id,
            participant_ids=(command.customer_id,),
            metadata=command.metadata,
            created_at=command.now,
        )
        step = Step(first, command.actor.user_id, names, command.now, first=True)
        begun = conversation.evolve(None, created)
        events = (created, *consult_story.in_conversation(begun, step, consult.Moves(), new_id()))
        said: tuple[EventData, ...] = ()
        beside: dict[str, str] = {}
        if (message := _first_words(command, names)) is not None:
            said = conversation.decide(consult_story.evolved(None, events), message)
            beside = {"fingerprint": message.fingerprint.hex()}
        await _append(transaction, [_Told(stream, (*events, *said), 0)], command, beside)
        await transaction.remember(StoredResponse(status, command.conversation_id))
    return command.conversation_id


def _first_words(command: OpenConsult, names: Mapping[str, str]) -> SendMessage | None:
    if command.draft is None:
        return None
    return SendMessage(
        conversation_id=command.conversation_id,
        message_id=new_id(),
        sender_id=command.customer_id,
        sender_name=names.get(command.customer_id),
        draft=command.draft,
        now=command.now,
    )


async def _opened_before(transaction: Transaction, command: OpenConsult) -> str | None:
    """The consult that the same first message has opened; raises `IdempotencyConflict` if it was said elsewhere."""
    message = _first_words(command, {})
    if message is None:
        return None
    (context,) = await transaction.send_contexts([message])
    if context.sent_id is None:
        return None
    earlier, _ = (await transaction.messages([context.sent_id]))[context.sent_id]
    known = await transaction.consult(earlier.conversation_id)
    if known is None or known.state.topic != command.topic or earlier.content != message.draft.content:
        raise IdempotencyConflict
    return earlier.conversation_id


async def take_step(
    command: ConsultCommand, uow: UnitOfWork, presence: Presence, once: Once | None, status: int
) -> None:
    """Carry out one step of a consult; nothing happens if things are that way already. Raises `Refused`."""
    for _ in range(TRIES):
        seen = await uow.consult(command.conversation_id)
        if seen is None:
            raise NotFound
        try:
            return await _step(command, seen, uow, presence, once, status)
        except _MovedOn:
            continue
    raise Conflict


async def _step(
    command: ConsultCommand, seen: KnownConsult, uow: UnitOfWork, presence: Presence, once: Once | None, status: int
) -> None:
    notes_id = seen.notes_id or new_id()
    comes, goes = _named(command), consult.assignee(seen.state)
    people = [user_id for user_id in (comes, goes) if user_id is not None]
    stream, notes = ConversationStream(command.conversation_id), ConversationStream(notes_id)
    streams: set[StreamId] = {stream, notes, *map(UserStream, people)}
    async with uow.begin(streams, once=once) as transaction:
        if transaction.replay is not None:
            return
        known = await transaction.consult(command.conversation_id)
        if known is None or known.notes_id != seen.notes_id or consult.assignee(known.state) != goes:
            raise _MovedOn
        asked = [command.actor.user_id, *people]
        state = await transaction.conversation(command.conversation_id, asked)
        candidate = await _candidate(transaction, command, presence)
        takes_part = state is not None and command.actor.user_id in state.members
        event = consult.decide(known.state, command, takes_part=takes_part, candidate=candidate)
        if event is not None:
            changed = consult.moves(known.state, consult.evolve(known.state, event))
            names = await _names(transaction, asked, required=changed.comes)
            step = Step(event, command.actor.user_id, names, command.now)
            told = [
                _Told(
                    stream,
                    consult_story.in_conversation(state, step, changed, new_id()),
                    state.last_seq if state is not None else 0,
                )
            ]
            kept = await transaction.conversation(notes_id, asked)
            reason = command.reason if isinstance(command, HandOverConsult) else None
            told.append(
                _Told(
                    notes,
                    consult_story.in_notes(kept, notes_id, step, changed, new_id(), reason),
                    kept.last_seq if kept is not None else 0,
                )
            )
            await _append(transaction, told, command, {})
        await transaction.remember(StoredResponse(status, command.conversation_id))


def _named(command: ConsultCommand) -> str | None:
    """Who would have the consult after this."""
    match command:
        case TakeConsult():
            return command.actor.user_id
        case AssignConsult() | HandOverConsult():
            return command.assignee_id
        case _:
            return None


async def _candidate(transaction: Transaction, command: ConsultCommand, presence: Presence) -> Candidate | None:
    if not isinstance(command, AssignConsult | HandOverConsult) or command.assignee_id is None:
        return None
    found = await transaction.user(command.assignee_id)
    if found is None:
        return None
    return Candidate(found.user_id, found.roles, presence.is_online(found.user_id))


async def _names(transaction: Transaction, user_ids: Sequence[str], *, required: str | None) -> dict[str, str]:
    """What the users are called; raises `UnknownUsers` if `required` is not registered."""
    names: dict[str, str] = {}
    for user_id in dict.fromkeys(user_ids):
        found = await transaction.user(user_id)
        if found is not None:
            names[user_id] = found.name or user_id
        elif user_id == required:
            raise UnknownUsers(f"Unknown users: {user_id}. Register them first with POST /v1/users.")
    return names


async def _append(
    transaction: Transaction, told: Sequence[_Told], command: OpenConsult | ConsultCommand, beside: Mapping[str, str]
) -> None:
    """Append every conversation's events, and to each user's own stream the note of a membership that they change."""
    metadata = {"actor": command.actor.user_id}
    records: list[Recordable] = []
    notes: list[Recordable] = []
    for one in told:
        for event in one.events:
            # What a repeat of the customer's first message is compared with.
            own = beside if isinstance(event, MessageCreated) and event.client_msg_id is not None else {}
            records.append(Recordable(one.stream, event, {**metadata, **own}))
        numbered = [(one.last_seq + offset, event) for offset, event in enumerate(one.events, start=1)]
        notes += [Recordable(UserStream(note.user_id), note, metadata) for note in user.memberships_noted(numbered)]
    await transaction.append(records + notes, command.now)
