"""A push as FCM's HTTP v1 takes it; pure.

From "REST Resource: projects.messages" of the reference: `Message`, `Notification`, `AndroidConfig`,
`AndroidNotification`. `data` holds strings and nothing else.
"""

from __future__ import annotations

import json
from typing import Any

from notifier.providers.shared.fitting import dump, fitted
from notifier.push import Priority, Push, PushKind

PAYLOAD_BYTES_MAX = 4_096
"""Of notification and data. The whole message is counted here, but for the token: a little less than is allowed."""
TTL_S_MAX = 2_419_200
"""Four weeks; more is refused."""


def body(push: Push, token: str, *, channel: str = "", channel_important: str = "") -> bytes:
    """The request's body; `token` is the device's. Raises `PayloadTooLarge`."""
    if push.kind is PushKind.RETRACTION:
        # Data alone wakes the app and shows nothing. The app takes back what it shows by the tag or the conversation.
        return fitted(lambda _title, _content: _message(token, _retraction(push)), "", "", _bytes_max(token))
    important = push.priority is Priority.HIGH
    used_channel = (channel_important if important else "") or channel

    def message(title: str, content: str) -> dict[str, Any]:
        notification: dict[str, Any] = {"tag": push.message_id}
        if used_channel:
            notification["channel_id"] = used_channel
        if push.badge is not None:
            notification["notification_count"] = push.badge
        return _message(
            token,
            {
                "notification": {"title": title, "body": content},
                "data": _data(push),
                "android": _android(push, push.group) | {"notification": notification},
            },
        )

    return fitted(message, push.title, push.content, _bytes_max(token))


def _message(token: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"message": {"token": token, **fields}}


def _retraction(push: Push) -> dict[str, Any]:
    # Under the conversation's key it takes the place of the push that it is about, if the device has not had that.
    group = push.retract[0] if len(push.retract) == 1 else None
    return {"data": _data(push), "android": _android(push, group)}


def _android(push: Push, group: str | None) -> dict[str, Any]:
    android: dict[str, Any] = {
        "priority": "HIGH" if push.priority is Priority.HIGH else "NORMAL",
        "ttl": f"{min(max(push.ttl_s, 0), TTL_S_MAX)}s",
    }
    if group is not None:
        android["collapse_key"] = group
    return android


def _data(push: Push) -> dict[str, str]:
    data = dict(push.data)
    if push.badge is not None:
        data["badge"] = str(push.badge)
    if push.retract:
        data["retract"] = json.dumps(push.retract, separators=(",", ":"))
    return data


def _bytes_max(token: str) -> int:
    return PAYLOAD_BYTES_MAX + len(dump(token))
