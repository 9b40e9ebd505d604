"""AsyncAPI 3 of the socket and of the NATS subjects: `python -m contracts.asyncapi FILE` writes it.

Which frame carries what is told here and nowhere else in a form that a program can read; shapes come from the classes.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from contracts.codec import Contract
from contracts.commands import (
    MARK_READ,
    PRESENCE,
    SEND_MESSAGE,
    STATS,
    TYPING,
    CommandReply,
    MarkReadCommand,
    PresenceCommand,
    SendMessageCommand,
    SendMessageReply,
    StatsCommand,
    TypingCommand,
)
from contracts.control import REVOCATIONS_BUCKET, Disconnect, Revocation
from contracts.delivery import DELIVERY_HEADER, DEVICES_HEADER, TRACE_HEADER, OfflineDelivery, Receipt
from contracts.devices import DeviceType
from contracts.envelope import Envelope
from contracts.events import EVENT_CLASSES
from contracts.frames import (
    ACTION_OF_EVENT,
    FRAME_BYTES_MAX,
    REF_CHARS_MAX,
    Ack,
    Activity,
    ClientAction,
    Connected,
    ConnectionType,
    ConsultUpdate,
    DeliveredUpdate,
    FrameError,
    MarkRead,
    PresenceStates,
    PresenceSubscribe,
    PresenceUpdate,
    ReadUpdate,
    RefreshToken,
    SendMessage,
    ServerAction,
    TokenRefreshed,
    Typing,
    TypingUpdate,
)
from contracts.messages import Message
from contracts.notices import Notification
from contracts.presence import EDGES_BUCKET, PRESENCE_BUCKET, EdgeLease, EdgePresence
from contracts.pushfacts import PushFacts, PushFactsCommand, TokenGone, TokenGoneReply
from contracts.stats import FIGURES_BUCKET, AdminStats, ProcessFigures


class Nothing(Contract):
    """No data: an empty object."""


class Reconnect(Contract):
    """Data of `reconnect`."""

    after_ms: int


LIVE_DATA: dict[ServerAction, tuple[type[BaseModel], ...]] = {
    ServerAction.CONNECTED: (Connected,),
    ServerAction.READ: (ReadUpdate,),
    ServerAction.DELIVERED: (DeliveredUpdate,),
    ServerAction.TYPING: (TypingUpdate,),
    ServerAction.PRESENCE: (PresenceUpdate,),
    ServerAction.CONSULT_UPDATED: (ConsultUpdate,),
    ServerAction.ACK: (Ack, ReadUpdate, PresenceStates, TokenRefreshed, Activity, Nothing),
    ServerAction.ERROR: (FrameError,),
    ServerAction.RESYNC: (Nothing,),
    ServerAction.RECONNECT: (Reconnect,),
    ServerAction.STATS: (AdminStats,),
    ServerAction.PONG: (Nothing,),
}
"""What frames carry that are no event of the record."""

CLIENT_DATA: dict[ClientAction, tuple[type[BaseModel], type[BaseModel] | None]] = {
    ClientAction.SEND_MESSAGE: (SendMessage, Ack),
    ClientAction.TYPING: (Typing, Nothing),
    ClientAction.MARK_READ: (MarkRead, ReadUpdate),
    ClientAction.PRESENCE_SUBSCRIBE: (PresenceSubscribe, PresenceStates),
    ClientAction.REFRESH_TOKEN: (RefreshToken, TokenRefreshed),
    ClientAction.ACTIVITY: (Activity, Activity),
    ClientAction.PING: (Nothing, None),
}
"""What a client's frame carries, and the data of its `ack`; a `ping` is answered by `pong`."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A NATS subject (or the key of a bucket), what is published there, and who does."""

    name: str
    address: str
    text: str
    payloads: tuple[type[BaseModel], ...]
    reply: type[BaseModel] | None = None
    frames: bool = False
    """Whether the payload is a frame of the socket, byte for byte."""


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "events_conversation",
        "natter.events.conversation.{conversation_id}.{event_type}",
        "JetStream stream EVENTS: every event of a conversation as CloudEvents. chat-api's relay publishes; anyone may "
        "consume. The dots of the type are `_` in the subject.",
        (Envelope,),
    ),
    Subject(
        "events_user",
        "natter.events.user.{user_id}.{event_type}",
        "JetStream stream EVENTS: every event of a user's own stream.",
        (Envelope,),
    ),
    Subject(
        "user",
        "natter.user.{user_id}",
        "A frame for all sockets of a user. Edges subscribe with a queue group of their own id. A reply subject asks "
        "for receipts.",
        (),
        reply=Receipt,
        frames=True,
    ),
    Subject(
        "room", "natter.room.{conversation_id}", "A frame for a large conversation, once per edge.", (), frames=True
    ),
    Subject("role", "natter.role.{role}", "A live frame for everybody with a role, once per edge.", (), frames=True),
    Subject(
        "receipt",
        "natter.receipt.{inbox_id}.{ticket}",
        "Where receipts go: the reply subject of one delivery to one user.",
        (Receipt,),
    ),
    Subject(
        "offline",
        "natter.offline.{user_id}",
        "JetStream stream OFFLINE_DELIVERY: what reached no device. fan-out publishes, the notifier consumes.",
        (OfflineDelivery,),
    ),
    *(
        Subject(
            f"command_{name}",
            f"natter.command.{name}",
            "Request and reply, queue group chat-api: an edge asks in the name of a socket; it has verified the token.",
            (command,),
            reply=reply,
        )
        for name, command, reply in (
            (SEND_MESSAGE, SendMessageCommand, SendMessageReply),
            (TYPING, TypingCommand, CommandReply),
            (MARK_READ, MarkReadCommand, CommandReply),
            (PRESENCE, PresenceCommand, CommandReply),
            (STATS, StatsCommand, CommandReply),
        )
    ),
    Subject(
        "notifier_facts",
        "natter.notifier.facts",
        "Request and reply, queue group chat-api: how deliveries and users stand now, before a push. The "
        "answer may also be a FactsRefused.",
        (PushFactsCommand,),
        reply=PushFacts,
    ),
    Subject(
        "notifier_gone",
        "natter.notifier.gone",
        "Request and reply, queue group chat-api: a push service says that a token is good no more.",
        (TokenGone,),
        reply=TokenGoneReply,
    ),
    Subject(
        "control_disconnect",
        "natter.control.disconnect",
        "Close sockets of a user, on every edge. Best effort.",
        (Disconnect,),
    ),
    Subject(
        "kv_presence",
        f"$KV.{PRESENCE_BUCKET}.{{user_id}}.{{edge_id}}",
        "Key-value bucket: the sockets that an edge holds of a user.",
        (EdgePresence,),
    ),
    Subject("kv_edges", f"$KV.{EDGES_BUCKET}.{{edge_id}}", "Key-value bucket: which edges live.", (EdgeLease,)),
    Subject(
        "kv_revocations",
        f"$KV.{REVOCATIONS_BUCKET}.{{kind}}.{{id}}",
        "Key-value bucket: tokens that are good no more. `kind` is `user` or `session`.",
        (Revocation,),
    ),
    Subject(
        "kv_figures",
        f"$KV.{FIGURES_BUCKET}.{{service}}.{{instance}}",
        "Key-value bucket: each process's counters.",
        (ProcessFigures,),
    ),
)


def document() -> dict[str, Any]:
    """The whole document."""
    schemas = _schemas()
    socket, operations = _socket()
    channels: dict[str, Any] = {"socket": socket}
    for subject in SUBJECTS:
        channels[subject.name] = _subject_channel(subject)
        operations.update(_subject_operations(subject))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Natter: socket and NATS subjects",
            "version": "1",
            "description": "What clients and edges say to each other over WebSockets, and what Natter's services "
            "say to each other over NATS. HTTP is described by openapi.json.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "edge": {
                "host": "edge.example",
                "protocol": "wss",
                "description": "Any ws-edge.",
                "security": [{"$ref": "#/components/securitySchemes/bearer"}],
            },
            "nats": {
                "host": "nats.example:4222",
                "protocol": "nats",
                "description": "Inside: no client ever comes here.",
            },
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Header Authorization, or the subprotocols `natter.v1, bearer.<JWT>`.",
                }
            },
        },
    }


def durable_data(action: ServerAction) -> tuple[type[BaseModel], ...]:
    """What a frame of the record carries under this action: the data of the events that become it."""
    if action is ServerAction.SYSTEM_NOTIFICATION:
        return (Message,)
    if action is ServerAction.DIRECT_MESSAGE:
        return (Notification,)
    events = [event for event in EVENT_CLASSES if ACTION_OF_EVENT.get(event.type) is action]
    return tuple(Message if event.type.startswith("message.") else event for event in events)


# --- parts ------------------------------------------------------------------------------------------------------------


def _schemas() -> dict[str, Any]:
    models: dict[str, type[BaseModel]] = {}
    for told in (
        *LIVE_DATA.values(),
        *(durable_data(action) for action in ServerAction),
        *((asked,) for asked, _ in CLIENT_DATA.values()),
        *((answered,) for _, answered in CLIENT_DATA.values() if answered is not None),
        *(subject.payloads for subject in SUBJECTS),
        *((subject.reply,) for subject in SUBJECTS if subject.reply is not None),
        EVENT_CLASSES,
    ):
        models.update({model.__name__: model for model in told})
    _, definitions = models_json_schema(
        [(models[name], "validation") for name in sorted(models)], ref_template="#/components/schemas/{model}"
    )
    found: dict[str, Any] = definitions["$defs"]
    return found


def _socket() -> tuple[dict[str, Any], dict[str, Any]]:
    """The channel, and its operations: from clients, and to clients."""
    messages: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for action in ServerAction:
        if durable_data(action):
            messages[f"server_{action.value}"] = _server_message(action, durable_data(action), durable=True)
        if action in LIVE_DATA:
            name = f"server_{action.value}" if not durable_data(action) else f"server_{action.value}_live"
            messages[name] = _server_message(action, LIVE_DATA[action], durable=False)
    for name in messages:
        operations[f"tell_{name.removeprefix('server_')}"] = _operation("send", "socket", [name])
    for asked, (data, answer) in CLIENT_DATA.items():
        name = f"client_{asked.value}"
        messages[name] = {
            "name": asked.value,
            "summary": _first_sentence(data) if data is not Nothing else "Asks whether the edge is there.",
            "payload": _frame(asked.value, (data,), {"ref": _REF}, required=["action"]),
        }
        operation = _operation("receive", "socket", [name])
        answers = ["server_pong"] if answer is None else ["server_ack", "server_error"]
        operation["reply"] = {
            "channel": {"$ref": "#/channels/socket"},
            "messages": [{"$ref": f"#/channels/socket/messages/{one}"} for one in answers],
        }
        if answer is not None:
            operation["description"] = f"The data of its `ack`: {answer.__name__}."
        operations[f"ask_{asked.value}"] = operation
    channel = {
        "address": "/v1/ws",
        "title": "The socket",
        "description": f"Text frames of JSON; from a client at most {FRAME_BYTES_MAX} bytes. See docs/socket.md.",
        "servers": [{"$ref": "#/servers/edge"}],
        "messages": messages,
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        "device_type": {"enum": [kind.value for kind in DeviceType], "default": "desktop"},
                        "device_id": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"},
                        "connection_type": {"enum": [kind.value for kind in ConnectionType], "default": "chat"},
                    },
                },
                "bindingVersion": "0.1.0",
            }
        },
    }
    return channel, operations


_REF: dict[str, Any] = {
    "description": f"Comes back in the answer: a whole number, or up to {REF_CHARS_MAX} characters.",
    "anyOf": [{"type": "string", "maxLength": REF_CHARS_MAX}, {"type": "integer"}],
}

_PLACE: dict[str, Any] = {
    "id": {"type": "string", "description": "The event's id."},
    "stream": {"type": "string", "description": "`conversation:<id>` or `user:<id>`."},
    "seq": {"type": "integer", "minimum": 1, "description": "The event's place in the stream, without gaps."},
    "time": {"type": "string", "format": "date-time"},
}


def _server_message(action: ServerAction, data: tuple[type[BaseModel], ...], *, durable: bool) -> dict[str, Any]:
    head: dict[str, Any] = dict(_PLACE) if durable else {}
    if action in (ServerAction.ACK, ServerAction.ERROR, ServerAction.PONG):
        head["ref"] = _REF
    return {
        "name": action.value,
        "summary": "Part of the record: it arrives, in the order of seq." if durable else "Now, and never again.",
        "payload": _frame(action.value, data, head, required=["action", "data", *(_PLACE if durable else ())]),
    }


def _frame(
    action: str, data: tuple[type[BaseModel], ...], head: dict[str, Any], *, required: list[str]
) -> dict[str, Any]:
    names = list(dict.fromkeys(model.__name__ for model in data))
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return {
        "type": "object",
        "required": required if names == ["Nothing"] or "data" in required else [*required, "data"],
        "properties": {"action": {"const": action}, **head, "data": refs[0] if len(refs) == 1 else {"anyOf": refs}},
    }


def _subject_channel(subject: Subject) -> dict[str, Any]:
    messages: dict[str, Any] = {
        payload.__name__: {
            "name": payload.__name__,
            "summary": _first_sentence(payload),
            "payload": {"$ref": f"#/components/schemas/{payload.__name__}"},
        }
        for payload in subject.payloads
    }
    if subject.frames:
        messages["frame"] = {
            "name": "frame",
            "summary": "A server frame of the socket, byte for byte what sockets get.",
            "headers": {
                "type": "object",
                "required": [DELIVERY_HEADER],
                "properties": {
                    DELIVERY_HEADER: {
                        "type": "string",
                        "description": "`d <seq> <stream>` durable, `l <key>` live, `x <ms> <key>` live until then.",
                    },
                    DEVICES_HEADER: {"type": "string", "description": "Only for sockets of these device types."},
                    TRACE_HEADER: {"type": "string", "description": "W3C trace context."},
                },
            },
            "payload": {"type": "object", "required": ["action", "data"]},
        }
    if subject.reply is not None:
        messages["reply"] = {
            "name": subject.reply.__name__,
            "summary": _first_sentence(subject.reply),
            "payload": {"$ref": f"#/components/schemas/{subject.reply.__name__}"},
        }
    channel: dict[str, Any] = {
        "address": subject.address,
        "description": subject.text,
        "servers": [{"$ref": "#/servers/nats"}],
        "messages": messages,
    }
    parameters = [part[1:-1] for part in subject.address.split(".") if part.startswith("{")]
    if parameters:
        channel["parameters"] = {name: {"description": _PARAMETERS[name]} for name in parameters}
    return channel


_PARAMETERS = {
    "conversation_id": "A UUID.",
    "user_id": "1 to 64 of A-Z a-z 0-9 _ -",
    "event_type": "An event's type with `_` for its dots.",
    "role": "consultant, doctor or admin.",
    "inbox_id": "A fan-out process.",
    "ticket": "One delivery of that process.",
    "edge_id": "An edge's name.",
    "kind": "user or session.",
    "id": "A user's or session's id.",
    "service": "chat-api, ws-edge or notifier.",
    "instance": "One life of a process.",
}


def _subject_operations(subject: Subject) -> dict[str, Any]:
    names = ["frame"] if subject.frames else [payload.__name__ for payload in subject.payloads]
    operation = _operation("send", subject.name, names)
    if subject.reply is not None:
        operation["reply"] = {
            "channel": {"$ref": f"#/channels/{subject.name}"},
            "messages": [{"$ref": f"#/channels/{subject.name}/messages/reply"}],
        }
    return {f"publish_{subject.name}": operation}


def _operation(action: str, channel: str, messages: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _first_sentence(model: type[BaseModel]) -> str:
    text = " ".join((model.__doc__ or "").split())
    return text if len(text) <= 120 else text.split(". ")[0].rstrip(".") + "."


def text() -> str:
    """The document as it is published."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text())
