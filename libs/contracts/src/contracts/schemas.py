"""JSON Schemas of everything public: `python -m contracts.schemas DIR` writes one file per type."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from contracts.attachments import Attachment
from contracts.commands import (
    CommandReply,
    MarkReadCommand,
    PresenceCommand,
    SendMessageCommand,
    SendMessageReply,
    StatsCommand,
    TypingCommand,
)
from contracts.control import Disconnect, Revocation
from contracts.delivery import OfflineDelivery, Receipt
from contracts.devices import Device, DeviceDraft, PushDevice, RegisteredDevice
from contracts.envelope import Envelope
from contracts.events import EVENT_CLASSES
from contracts.frames import (
    Ack,
    Activity,
    ClientFrame,
    Connected,
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
    TokenRefreshed,
    Typing,
    TypingUpdate,
)
from contracts.messages import Message, MessageDraft
from contracts.notices import Notification, NotificationDraft, SystemNotificationDraft
from contracts.preferences import Mute, MuteDraft, NotificationSettings
from contracts.presence import AdminConnection, EdgeLease, EdgePresence, UserConnection, UserPresence
from contracts.problems import Problem
from contracts.pushes import PushRecord
from contracts.pushfacts import FactsRefused, PushFacts, PushFactsCommand, TokenGone, TokenGoneReply
from contracts.stats import AdminStats, ProcessFigures
from contracts.sync import SyncPage

PUBLIC_TYPES: tuple[type[BaseModel], ...] = (
    Envelope,
    Message,
    MessageDraft,
    SendMessage,
    ClientFrame,
    Connected,
    Ack,
    FrameError,
    SendMessageCommand,
    SendMessageReply,
    Receipt,
    OfflineDelivery,
    PushRecord,
    RefreshToken,
    TokenRefreshed,
    SyncPage,
    Problem,
    Attachment,
    Notification,
    NotificationDraft,
    SystemNotificationDraft,
    Typing,
    TypingUpdate,
    MarkRead,
    ReadUpdate,
    DeliveredUpdate,
    PresenceSubscribe,
    PresenceStates,
    PresenceUpdate,
    ConsultUpdate,
    UserPresence,
    UserConnection,
    EdgePresence,
    EdgeLease,
    TypingCommand,
    MarkReadCommand,
    PresenceCommand,
    StatsCommand,
    CommandReply,
    Disconnect,
    Revocation,
    ProcessFigures,
    AdminStats,
    AdminConnection,
    Activity,
    Device,
    DeviceDraft,
    RegisteredDevice,
    PushDevice,
    NotificationSettings,
    Mute,
    MuteDraft,
    PushFactsCommand,
    PushFacts,
    FactsRefused,
    TokenGone,
    TokenGoneReply,
)


def all_schemas() -> dict[str, str]:
    """File name to schema text, for every public type and every event version."""
    files: dict[str, str] = {}
    for model in PUBLIC_TYPES:
        files[f"{model.__name__}.json"] = _schema(model)
    for event in EVENT_CLASSES:
        files[f"events/{event.type}.v{event.version}.json"] = _schema(event)
    return files


def _schema(model: type[BaseModel]) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def write(folder: Path) -> None:
    """Write every schema below `folder`, replacing what is there."""
    for name, text in all_schemas().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
