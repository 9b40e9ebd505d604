"""NATS subjects: the only place that writes one or takes one apart.

A subject is code that the broker runs: `alice.>` as a user id would subscribe to everybody whose id begins with
`alice`. So every variable token is checked here, and refused rather than escaped.
"""

from __future__ import annotations

import re

from contracts.errors import InvalidSubjectToken, NotOurSubject
from contracts.ids import USER_ID_PATTERN, UUID_PATTERN
from contracts.stream_ids import ConversationStream, StreamId, UserStream

_USER_ID = re.compile(USER_ID_PATTERN)
_UUID = re.compile(UUID_PATTERN)
_EVENT_TYPE = re.compile(r"^[a-z]+(\.[a-z]+(_[a-z]+)*)+\Z")
_TOKEN = re.compile(r"^[A-Za-z0-9_-]{1,64}\Z")
_TICKET = re.compile(r"^[0-9]{1,19}\Z")

EVENTS_ALL = "natter.events.>"
EVENTS_CONVERSATIONS = "natter.events.conversation.>"
OFFLINE_ALL = "natter.offline.*"
COMMANDS_ALL = "natter.command.*"
CONTROL_ALL = "natter.control.>"
DISCONNECT = "natter.control.disconnect"
"""A `Disconnect` for all edges. Best effort, like every core message: what must hold stands in `revocations`."""

NOTIFIER_FACTS = "natter.notifier.facts"
"""`PushFactsCommand` → `PushFacts` or `FactsRefused`; notifier → chat-api, in the group `COMMAND_QUEUE`. Push
tokens are in the answer: no other service may ask."""
NOTIFIER_GONE = "natter.notifier.gone"
"""`TokenGone` → `TokenGoneReply` or `FactsRefused`; notifier → chat-api."""
NOTIFIER_ALL = "natter.notifier.*"
EVENTS_READ = "natter.events.user.*.user_read_advanced"
EVENTS_DELETED = "natter.events.conversation.*.message_deleted"

COMMAND_QUEUE = "chat-api"
"""Queue group of command handlers: each command is work that exactly one process must do."""

_RECEIPTS = "natter.receipt."
_USER = "natter.user."
_OFFLINE = "natter.offline."


def _checked(pattern: re.Pattern[str], token: str, what: str) -> str:
    if not pattern.match(token):
        raise InvalidSubjectToken(f"{what} {token[:80]!r} cannot be part of a subject")
    return token


def user(user_id: str) -> str:
    """Where one user's frames are published: `natter.user.<user_id>`."""
    return _USER + _checked(_USER_ID, user_id, "user id")


def parse_user(subject: str) -> str:
    """The user id of a `natter.user.<user_id>` subject."""
    if not subject.startswith(_USER) or not _USER_ID.match(subject[len(_USER) :]):
        raise NotOurSubject(f"{subject[:120]!r} is not a user's subject")
    return subject[len(_USER) :]


def room(conversation_id: str) -> str:
    """Where a large conversation's frames are published once per edge: `natter.room.<conversation_id>`."""
    return "natter.room." + _checked(_UUID, conversation_id, "conversation id")


def role(name: str) -> str:
    """Where live signals for everybody with a role are published once per edge: `natter.role.<role>`."""
    return "natter.role." + _checked(_TOKEN, name, "role")


def event(stream: StreamId, event_type: str) -> str:
    """Where an event is stored in EVENTS; the dots of its type become `_` so that the type is one token."""
    _checked(_EVENT_TYPE, event_type, "event type")
    name = event_type.replace(".", "_")
    match stream:
        case ConversationStream(conversation_id):
            return f"natter.events.conversation.{_checked(_UUID, conversation_id, 'conversation id')}.{name}"
        case UserStream(user_id):
            return f"natter.events.user.{_checked(_USER_ID, user_id, 'user id')}.{name}"


def parse_event(subject: str) -> StreamId:
    """The stream whose event a `natter.events.…` subject carries (the type is read from the event itself)."""
    match subject.split("."):
        case ["natter", "events", "conversation", conversation_id, _] if _UUID.match(conversation_id):
            return ConversationStream(conversation_id)
        case ["natter", "events", "user", user_id, _] if _USER_ID.match(user_id):
            return UserStream(user_id)
    raise NotOurSubject(f"{subject[:120]!r} is not an event's subject")


def command(name: str) -> str:
    """Where a command is requested: `natter.command.<name>`."""
    return "natter.command." + _checked(_TOKEN, name, "command name")


def offline(user_id: str) -> str:
    """Where a delivery that reached no device is handed to the notifier: `natter.offline.<user_id>`."""
    return _OFFLINE + _checked(_USER_ID, user_id, "user id")


def parse_offline(subject: str) -> str:
    """The user id of a `natter.offline.<user_id>` subject."""
    if not subject.startswith(_OFFLINE) or not _USER_ID.match(subject[len(_OFFLINE) :]):
        raise NotOurSubject(f"{subject[:120]!r} is not an offline subject")
    return subject[len(_OFFLINE) :]


def receipts(inbox_id: str) -> str:
    """What one fan-out process subscribes to for all its receipts: `natter.receipt.<inbox_id>.*`."""
    return f"{_RECEIPTS}{_checked(_TOKEN, inbox_id, 'inbox id')}.*"


def receipt(inbox_id: str, ticket: int) -> str:
    """The reply subject of one delivery; `ticket` finds it again without a parse of the body."""
    return f"{_RECEIPTS}{_checked(_TOKEN, inbox_id, 'inbox id')}.{ticket:d}"


def parse_receipt(subject: str) -> int:
    """The ticket of a receipt subject."""
    head, _, ticket = subject.rpartition(".")
    if not head.startswith(_RECEIPTS) or not _TICKET.match(ticket):
        raise NotOurSubject(f"{subject[:120]!r} is not a receipt's subject")
    return int(ticket)


def control(*tokens: str) -> str:
    """A control subject such as `natter.control.canary.edge-1`."""
    return ".".join(("natter.control", *(_checked(_TOKEN, token, "control token") for token in tokens)))
