"""A consult: a conversation that a customer opened for whoever is free, and who may do what with it.

                 take, assign                     close
    ┌─────────┐ ──────────────► ┌────────┐ ──────────────► ┌────────┐
    │ Waiting │                 │ Active │                 │ Closed │
    └─────────┘ ◄────────────── └────────┘                 └────────┘
      ▲      │   hand over to nobody   ▲ │ hand over to another   ▲ │
      │      │                         └─┘                        │ │
      │      └───────────────────── close ────────────────────────┘ │
      └──────────────────────────── reopen ─────────────────────────┘

Staff come and go with its steps, into the conversation and into that of the notes alike; the customer is never moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from chat_api.domain.commands import Actor
from chat_api.domain.errors import AssigneeOffline, Conflict, Forbidden, NotFound, UnfitAssignee
from contracts.events import (
    ConsultAssigned,
    ConsultClosed,
    ConsultHandedOver,
    ConsultOpened,
    ConsultTaken,
    EventData,
)
from contracts.messages import MessageDraft

FIT_ROLES = frozenset({"consultant", "doctor"})
"""Who may have a consult."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """In the queue: nobody has it."""

    conversation_id: str
    customer_id: str
    topic: str | None


@dataclass(frozen=True, slots=True)
class Active:
    """Somebody has it."""

    conversation_id: str
    customer_id: str
    topic: str | None
    assignee_id: str


@dataclass(frozen=True, slots=True)
class Closed:
    """It is over. Who had it last still takes part, until it is opened again."""

    conversation_id: str
    customer_id: str
    topic: str | None
    assignee_id: str | None


ConsultState: TypeAlias = Waiting | Active | Closed


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who is to have a consult, as registered, and whether an edge holds a socket of his."""

    user_id: str
    roles: tuple[str, ...]
    online: bool


@dataclass(frozen=True, slots=True)
class OpenConsult:
    """Ask for somebody; with `draft` the customer says at once what it is about."""

    conversation_id: str
    actor: Actor
    customer_id: str
    topic: str | None
    metadata: dict[str, Any] | None
    draft: MessageDraft | None
    now: datetime


@dataclass(frozen=True, slots=True)
class TakeConsult:
    """Take it from the queue, for oneself."""

    conversation_id: str
    actor: Actor
    now: datetime


@dataclass(frozen=True, slots=True)
class AssignConsult:
    """Give a waiting one to somebody."""

    conversation_id: str
    actor: Actor
    assignee_id: str
    now: datetime


@dataclass(frozen=True, slots=True)
class HandOverConsult:
    """Pass it on; to nobody: back into the queue. The reason becomes a note, which customers never see."""

    conversation_id: str
    actor: Actor
    assignee_id: str | None
    reason: str | None
    now: datetime


@dataclass(frozen=True, slots=True)
class CloseConsult:
    """It is over."""

    conversation_id: str
    actor: Actor
    now: datetime


@dataclass(frozen=True, slots=True)
class ReopenConsult:
    """It is not over: into the queue again."""

    conversation_id: str
    actor: Actor
    now: datetime


ConsultCommand: TypeAlias = TakeConsult | AssignConsult | HandOverConsult | CloseConsult | ReopenConsult
ConsultEvent: TypeAlias = ConsultOpened | ConsultTaken | ConsultAssigned | ConsultHandedOver | ConsultClosed


def opened(command: OpenConsult) -> ConsultOpened:
    """The first event of a consult; raises `Refused`."""
    if command.customer_id != command.actor.user_id and not command.actor.privileged:
        raise Forbidden("Only a service or an admin may open a consult for somebody else.")
    return ConsultOpened(
        conversation_id=command.conversation_id,
        customer_id=command.customer_id,
        topic=command.topic,
        opened_at=command.now,
    )


def decide(
    state: ConsultState | None, command: ConsultCommand, *, takes_part: bool, candidate: Candidate | None = None
) -> ConsultEvent | None:
    """The event that `command` causes, None if things are that way already; raises `Refused`.

    `takes_part`: whether the actor is a participant of the conversation. `candidate`: whom the command names.
    """
    actor = command.actor
    if state is None or not (actor.privileged or actor.staff or takes_part or actor.user_id == state.customer_id):
        # Not "forbidden": that there is a consult is nobody else's business.
        raise NotFound
    match command:
        case TakeConsult():
            return _take(state, command)
        case AssignConsult():
            return _assign(state, command, candidate)
        case HandOverConsult():
            return _hand_over(state, command, candidate)
        case CloseConsult():
            return _close(state, command)
        case ReopenConsult():
            return _reopen(state, command)


def _take(state: ConsultState, command: TakeConsult) -> ConsultEvent | None:
    actor = command.actor
    if not actor.staff:
        raise Forbidden("Only a consultant or a doctor may take a consult; a service or an admin assigns it.")
    if actor.user_id == state.customer_id:
        raise Forbidden("Nobody can take his own consult.")
    if isinstance(state, Active) and state.assignee_id == actor.user_id:
        return None
    _require_waiting(state)
    return ConsultTaken(conversation_id=state.conversation_id, consultant_id=actor.user_id, taken_at=command.now)


def _assign(state: ConsultState, command: AssignConsult, candidate: Candidate | None) -> ConsultEvent | None:
    if not (command.actor.staff or command.actor.privileged):
        raise Forbidden("Only staff may assign a consult.")
    if isinstance(state, Active) and state.assignee_id == command.assignee_id:
        return None
    _require_waiting(state)
    _require_fit(state, candidate)
    return ConsultAssigned(
        conversation_id=state.conversation_id,
        consultant_id=command.assignee_id,
        by=command.actor.user_id,
        assigned_at=command.now,
    )


def _hand_over(state: ConsultState, command: HandOverConsult, candidate: Candidate | None) -> ConsultEvent | None:
    actor = command.actor
    if not (actor.staff or actor.privileged):
        raise Forbidden("Only staff may hand a consult over.")
    if not isinstance(state, Active):
        raise Conflict("Nobody has this consult, so there is nothing to hand over.")
    if actor.user_id != state.assignee_id and not actor.privileged:
        raise Forbidden("Only who has a consult may hand it over.")
    if command.assignee_id == state.assignee_id:
        return None
    if command.assignee_id is not None:
        _require_fit(state, candidate)
    return ConsultHandedOver(
        conversation_id=state.conversation_id,
        from_id=state.assignee_id,
        to_id=command.assignee_id,
        by=actor.user_id,
        handed_over_at=command.now,
    )


def _close(state: ConsultState, command: CloseConsult) -> ConsultEvent | None:
    _require_concerned(state, command.actor)
    if isinstance(state, Closed):
        return None
    return ConsultClosed(conversation_id=state.conversation_id, by=command.actor.user_id, closed_at=command.now)


def _reopen(state: ConsultState, command: ReopenConsult) -> ConsultEvent | None:
    _require_concerned(state, command.actor)
    if isinstance(state, Waiting):
        return None
    if isinstance(state, Active):
        raise Conflict("The consult is open, and somebody has it.")
    return ConsultOpened(
        conversation_id=state.conversation_id,
        customer_id=state.customer_id,
        topic=state.topic,
        opened_at=command.now,
    )


def _require_waiting(state: ConsultState) -> None:
    if isinstance(state, Active):
        raise Conflict("Somebody has taken this consult.")
    if isinstance(state, Closed):
        raise Conflict("The consult is closed: reopen it first.")


def _require_fit(state: ConsultState, candidate: Candidate | None) -> None:
    if candidate is None or candidate.user_id == state.customer_id or not FIT_ROLES.intersection(candidate.roles):
        # Were a customer his own consultant, he would be let into the notes about himself.
        raise UnfitAssignee
    if not candidate.online:
        raise AssigneeOffline


def _require_concerned(state: ConsultState, actor: Actor) -> None:
    if not actor.privileged and actor.user_id not in (state.customer_id, assignee(state)):
        raise Forbidden("Only the customer and who has the consult may do that.")


def assignee(state: ConsultState | None) -> str | None:
    """Who has the consult, or had it when it was closed."""
    return None if state is None or isinstance(state, Waiting) else state.assignee_id


def evolve(state: ConsultState | None, event: EventData) -> ConsultState | None:
    """The consult after an event of its conversation; those that are none of its own change nothing."""
    if isinstance(event, ConsultOpened):
        return Waiting(event.conversation_id, event.customer_id, event.topic)
    if state is None:
        return None
    about = (state.conversation_id, state.customer_id, state.topic)
    match event:
        case ConsultTaken() | ConsultAssigned():
            return Active(*about, event.consultant_id)
        case ConsultHandedOver(to_id=None):
            return Waiting(*about)
        case ConsultHandedOver(to_id=str() as to_id):
            return Active(*about, to_id)
        case ConsultClosed():
            return Closed(*about, assignee(state))
        case _:
            return state


@dataclass(frozen=True, slots=True)
class Moves:
    """Which member of staff an event lets in, and which one it sends away."""

    comes: str | None = None
    goes: str | None = None


def moves(before: ConsultState | None, after: ConsultState | None) -> Moves:
    """What an event that led from `before` to `after` means for who takes part."""
    old, new = assignee(before), assignee(after)
    return Moves() if old == new else Moves(comes=new, goes=old)
