"""OpenAPI links: which call takes what another one has just made, so that a reader or a program can follow."""

from __future__ import annotations

from typing import Any

MADE: dict[str, dict[str, tuple[str, ...]]] = {
    "POST /v1/conversations": {
        "conversation_id=/id": (
            "GET /v1/conversations/{conversation_id}",
            "PATCH /v1/conversations/{conversation_id}",
            "GET /v1/conversations/{conversation_id}/messages",
            "GET /v1/conversations/{conversation_id}/events",
            "GET /v1/conversations/{conversation_id}/cursors",
            "POST /v1/conversations/{conversation_id}/messages",
            "POST /v1/conversations/{conversation_id}/participants",
            "PUT /v1/conversations/{conversation_id}/read",
        ),
    },
    "POST /v1/conversations/{conversation_id}/messages": {
        "message_id=/id": (
            "PATCH /v1/messages/{message_id}",
            "DELETE /v1/messages/{message_id}",
            "GET /v1/messages/{message_id}/delivery",
        ),
    },
    "POST /v1/chat/{conversation_id}/send": {
        "message_id=/message_id": ("PATCH /v1/messages/{message_id}", "GET /v1/messages/{message_id}/delivery"),
    },
    "POST /v1/attachments": {
        "attachment_id=/id": ("GET /v1/attachments/{attachment_id}", "HEAD /v1/attachments/{attachment_id}"),
    },
    "POST /v1/consults": {
        "conversation_id=/consult/conversation_id": (
            "GET /v1/conversations/{conversation_id}/consult",
            "GET /v1/conversations/{conversation_id}",
            "POST /v1/conversations/{conversation_id}/consult/take",
            "POST /v1/conversations/{conversation_id}/consult/close",
        ),
    },
    "POST /v1/conversations/{conversation_id}/consult/take": {
        "conversation_id=/conversation_id": (
            "POST /v1/conversations/{conversation_id}/notes",
            "GET /v1/conversations/{conversation_id}/notes",
            "POST /v1/conversations/{conversation_id}/consult/hand-over",
            "POST /v1/conversations/{conversation_id}/consult/close",
        ),
    },
    "POST /v1/conversations/{conversation_id}/consult/close": {
        "conversation_id=/conversation_id": ("POST /v1/conversations/{conversation_id}/consult/reopen",),
    },
    "POST /v1/users": {
        "user_id=/user_id": (
            "GET /v1/users/{user_id}/presence",
            "GET /v1/users/{user_id}/connections",
            "POST /v1/users/{user_id}/notifications",
        ),
    },
    "POST /v1/admin/broadcasts": {
        "broadcast_id=/broadcast_id": ("GET /v1/admin/broadcasts/{broadcast_id}",),
    },
}
"""By the call that makes something: `parameter=/where/it/stands` in its answer, and the calls that take it."""


def add_links(paths: dict[str, Any]) -> None:
    """Write them into OpenAPI's `paths`, at each answer with a body that says that it worked."""
    for source, made in MADE.items():
        links = {
            (name := str(_operation(paths, target)["operationId"])): {
                "operationId": name,
                "parameters": {place.partition("=")[0]: f"$response.body#{place.partition('=')[2]}"},
            }
            for place, targets in made.items()
            for target in targets
        }
        for status, response in _operation(paths, source)["responses"].items():
            if status.startswith("2") and response.get("content"):
                response["links"] = links


def _operation(paths: dict[str, Any], name: str) -> dict[str, Any]:
    method, path = name.split()
    found: dict[str, Any] = paths[path][method.lower()]
    return found
