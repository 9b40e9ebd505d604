"""Examples for the OpenAPI document, made from the schemas, so that none is forgotten and none is out of date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_ID = "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e"
_TIME = "2026-01-31T08:15:00.000Z"

BY_NAME: dict[str, Any] = {
    "access_token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl",
    "actor": "anna",
    "assignee_id": "carla",
    "by_device": {"desktop": 2, "mobile": 1},
    "by_edge": {"edge-1": 2, "edge-2": 1},
    "by_role": {"consultant": 1, "customer": 2},
    "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
    "code": "not_found",
    "consultant_id": "carla",
    "content": "Good morning! Is Friday at ten still free?",
    "customer_id": "anna",
    "app_id": "com.example.clinic",
    "app_version": "4.2.0",
    "device_id": "phone-1",
    "end": "07:30",
    "locale": "zh-CN",
    "mentions": ["ben"],
    "start": "22:00",
    "token": "cE9vL2pLQ2t3ZHk6QVBBOTFi",
    "unregister_key": "pZ3kQ2vX8yB1nM5cR7tL0wE4uI6oA9sDfG3hJ1kL5zX",
    "zone": "Asia/Shanghai",
    "edge_id": "edge-1",
    "event": "message.created",
    "expires_in": 900,
    "last_seq": 42,
    "message": "Tonight from two to three o'clock Natter is updated.",
    "name": "Anna",
    "owner_id": "anna",
    "participant_ids": ["anna", "ben"],
    "password": "correct horse battery staple",
    "new_password": "staple battery horse correct",
    "old_password": "correct horse battery staple",
    "read_seq": 40,
    "reason": "no_connection",
    "refresh_token": "pZ3kQ2vX8yB1nM5cR7tL0wE4uI6oA9sD",
    "sender_id": "anna",
    "sender_name": "Anna",
    "seq": 42,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "size_bytes": 48213,
    "sort": "newest",
    "status": "sent",
    "stream": f"conversation:{_ID}",
    "title": "Your appointment",
    "topic": "A question about my appointment",
    "type": "appointment_reminder",
    "unread_count": 2,
    "user_id": "anna",
    "user_ids": ["anna", "ben"],
}
"""What fields of this name hold in an example, where the schema allows it."""

WHOLE: dict[str, Any] = {
    "ConversationChange": {"title": "Your appointment"},
    "NewUser": {"user_id": "anna", "name": "Anna", "roles": ["customer"]},
    "NewConversation": {"title": "Your appointment", "participant_ids": ["ben"]},
    "NewParticipants": {"user_ids": ["carla"]},
    "ChatSendBody": {"content": BY_NAME["content"]},
    "SendBody": {"client_msg_id": BY_NAME["client_msg_id"], "message_type": "text", "content": BY_NAME["content"]},
    "Problem": None,
    "DeviceBody": {
        "device_id": "phone-1",
        "app_id": "com.example.clinic",
        "platform": "android",
        "token": "cE9vL2pLQ2t3ZHk6QVBBOTFi",
        "locale": "zh-CN",
    },
    "NotificationSettings": {
        "pushes": True,
        "quiet_hours": {"zone": "Asia/Shanghai", "start": "22:00", "end": "07:30"},
        "important_past_quiet_hours": True,
    },
    "SettingsBody": {"quiet_hours": {"zone": "Asia/Shanghai", "start": "22:00", "end": "07:30"}},
    "MuteBody": {"muted": True, "until": _TIME},
    "DeadLettersBody": {"ids": [1207]},
}
"""Whole examples by name of the schema, where one made of its parts would mislead."""


def example(schema: Schema, parts: Mapping[str, Schema], *, sparse: bool = False) -> Any:
    """A value that fits `schema`; with `sparse` only what an object must have (or all, if that is nothing)."""
    return _made(schema, parts, None, sparse, 0)


def _made(schema: Schema, parts: Mapping[str, Schema], name: str | None, sparse: bool, depth: int) -> Any:
    if "$ref" in schema:
        named = schema["$ref"].rpartition("/")[2]
        if WHOLE.get(named) is not None:
            return WHOLE[named]
        return _made(parts[named], parts, name, sparse, depth)
    if "const" in schema:
        return schema["const"]
    if schema.get("examples"):
        return schema["examples"][0]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            choice = next((one for one in schema[several] if one.get("type") != "null"), {"type": "null"})
            return _made(
                {**{key: schema[key] for key in schema if key != several}, **choice}, parts, name, sparse, depth
            )
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else None)
    if name in BY_NAME and _fits(BY_NAME[name], kind, schema):
        return BY_NAME[name]
    return _plain(schema, parts, kind, sparse, depth)


def _plain(schema: Schema, parts: Mapping[str, Schema], kind: str | None, sparse: bool, depth: int) -> Any:
    match kind:
        case "object":
            return _object(schema, parts, sparse, depth)
        case "array":
            return [] if depth > 6 else [_made(schema.get("items", {}), parts, None, sparse, depth + 1)]
        case "string":
            return _string(schema)
        case "integer" | "number":
            return schema.get("default") or max(schema.get("minimum", 0), schema.get("exclusiveMinimum", -1) + 1)
        case "boolean":
            return bool(schema.get("default", False))
    return None if kind == "null" else {}


def _object(schema: Schema, parts: Mapping[str, Schema], sparse: bool, depth: int) -> dict[str, Any]:
    required = schema.get("required", [])
    wanted = [
        (name, inner)
        for name, inner in schema.get("properties", {}).items()
        if name in required or ((not sparse or not required) and depth < 3)
    ]
    return {name: _made(inner, parts, name, sparse, depth + 1) for name, inner in wanted}


def _string(schema: Schema) -> str:
    pattern = schema.get("pattern", "")
    if schema.get("format") == "date-time":
        return _TIME
    if schema.get("format") == "time":
        return "08:15:00"
    if "[0-9a-f]{8}-" in pattern or schema.get("format") == "uuid":
        return _ID
    if pattern.startswith("^[A-Za-z0-9_-]{1,64}"):
        return "anna"
    if pattern.startswith("^[a-z]"):
        return "open_appointment"
    return "text".ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 100)]


def _fits(value: object, kind: str | None, schema: Schema) -> bool:
    if isinstance(value, str):
        special = "format" in schema or "[0-9a-f]{8}-" in schema.get("pattern", "")
        return kind == "string" and not special and len(value) <= schema.get("maxLength", len(value))
    types = {"integer": int, "object": dict, "array": list}
    return kind in types and isinstance(value, types[kind])
